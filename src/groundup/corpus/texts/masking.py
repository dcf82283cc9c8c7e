"""What must not be learned by heart, replaced by its kind: `<KEY>`, `<EMAIL>`, `<PHONE>`.

Written to be precise: a number or an identifier that only might be one of these stays."""

import math
import re
from collections import Counter
from itertools import pairwise

KEY, EMAIL, PHONE = "<KEY>", "<EMAIL>", "<PHONE>"

_BLOCK_EDGE = re.compile(r"-----(BEGIN|END) (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_BLOCK_LONGEST = 32_768  # characters; an RSA key of 16,384 bits has 12,700
# What tokens begin with; a text with none of them is not searched.
_STARTS = (
    "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "xapp-", "sk-", "AIza",
    "ya29.", "GOCSPX-", "k_live_", "k_test_", "whsec_", "eyJ", "hf_", "npm_", "pypi-AgE", "SG.", "hooks.slack.com",
)  # fmt: skip
# Lengths are bounded, and nothing starts within a word or in the middle of base64 data: the time is linear.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?:"
    r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9+/])"
    r"|gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,251}|glpat-[\w-]{20,100}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-\d-[A-Za-z0-9-]{20,250}"
    r"|sk-(?=[A-Za-z_-]{0,60}\d)(?=[\w-]{0,60}[A-Z])(?:[a-z]{2,10}(?:\d\d)?-)?[A-Za-z0-9_-]{20,250}"
    r"|AIza[\w-]{35}(?![\w-])|ya29\.[\w-]{20,250}|GOCSPX-[\w-]{28}"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9+/=]{24,100}"
    r"|eyJ[\w-]{10,4000}\.eyJ[\w-]{4,8000}\.[\w-]{10,2000}"
    r"|hf_[A-Za-z0-9]{34}(?!\w)|npm_[A-Za-z0-9]{36}(?!\w)|pypi-AgE[\w-]{50,250}|SG\.[\w-]{22}\.[\w-]{43}"
    r")|(?<=hooks\.slack\.com/services/)[A-Z0-9]{8,12}/[A-Z0-9]{8,12}/[A-Za-z0-9]{20,30}"
)
# Searched by its sign of assignment, which is rarer than the letters that names begin with.
_VALUE = re.compile(
    r"""[=:](?<![=:].)[=>]?[ \t]{0,8}(?:"([^\s"'<>${}]{8,200})"|'([^\s"'<>${}]{8,200})'"""
    r"""|([A-Za-z0-9_+/=~.!@#%^&*-]{16,200})(?=[\s;,]|$))"""
)
_SECRET_NAME = re.compile(
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[_-]?key|(?:access|auth|private|secret|account|"
    r"encryption)[_-]?key)[\"']?[ \t]{0,8}$",
    re.I,
)
_NAME_LONGEST = 40  # characters, with what stands between name and sign
_RUN = re.compile(r"[A-Za-z0-9]{6,}")
_LEAST_ENTROPY = 2.75  # bits a character: "password1" has 2.9, "aaaa1111" 1, random letters and digits above 3


def mask_keys(text: str, media_type: str = "") -> tuple[str, int]:
    """The text with private keys, access tokens and assigned secrets masked, and how many characters that took."""
    changed = 0
    if "PRIVATE KEY" in text:
        text, changed = _mask_blocks(text)
    if any(start in text for start in _STARTS):
        text, count = _replace(_TOKEN, text, KEY)
        changed += count
    text, count = _mask_assignments(text)
    return text, changed + count


def _mask_blocks(text: str) -> tuple[str, int]:
    parts, done, changed, begin = [], 0, 0, None
    for edge in _BLOCK_EDGE.finditer(text):
        if edge[1] == "BEGIN":
            begin = edge.start()
        elif begin is not None and edge.end() - begin <= _BLOCK_LONGEST:
            parts += [text[done:begin], KEY]
            changed += edge.end() - begin
            done, begin = edge.end(), None
    return "".join([*parts, text[done:]]), changed


def _mask_assignments(text: str) -> tuple[str, int]:
    parts, done, changed = [], 0, 0
    for match in _VALUE.finditer(text):
        group = match.lastindex or 0
        before = text[max(0, match.start() - _NAME_LONGEST) : match.start()]
        if _SECRET_NAME.search(before) and _is_random(match[group]):
            parts += [text[done : match.start(group)], KEY]
            changed += len(match[group])
            done = match.end(group)
    return "".join([*parts, text[done:]]), changed


def _is_random(value: str) -> bool:
    """Whether letters and digits are mixed within one run and few repeat: names such as `user_token_v2` are not."""
    if not any(not run.isalpha() and not run.isdigit() for run in _RUN.findall(value)):
        return False
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values()) >= _LEAST_ENTROPY


_FILE_ENDINGS = "png|jpe?g|gif|svg|webp|ico|bmp|js|mjs|ts|css|html?|json|py|md|pdf|zip|gz|scss|avif"
_ADDRESS = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}"
    rf"(?!(?:{_FILE_ENDINGS})\b)[^\W\d_]{{2,24}}(?![\w(@])(?!:[\w~/])",
    re.I,
)


def mask_emails(text: str, media_type: str = "") -> tuple[str, int]:
    """The text with mail addresses masked, and how many characters that took.

    Not `git@host:path`, `logo@2x.png` or `a@b.dot(...)`, which only look like addresses.
    """
    return _replace(_ADDRESS, text, EMAIL) if "@" in text else (text, 0)


# The first character is matched before the look behind, which so is tried only there. What follows it: a country code
# after "+"; the North American form; an area code after a trunk zero (Europe, Japan, Australia).
_APART = r"(?:[ \xa0./-]|[ \xa0]?\(|\) ?[/-]?)"
_NUMBER = re.compile(
    r"[+(\d](?<![\w./+#$€£=-].)(?<!\d[,: \xa0].)(?:"
    rf"(?<=\+)[1-9]\d{{0,14}}(?:{_APART}\d{{1,12}}){{0,6}}(?!\d|[.,/:-]\d)"
    r"|(?:(?<=1)[ .-]\(?[2-9]\d\d|(?<=\()[2-9]\d\d|(?<=[2-9])\d\d)(?:\) ?|[ .-])[2-9]\d\d[ .-]\d{4}(?!\w|[.,/:-]\d)"
    r"|(?:(?<=\()0|(?<=0))[1-9]\d{0,4}(?:\)? ?[/-] ?|\) ?|[ \xa0.])\d{2,8}(?:[ \xa0.-]\d{2,6}){0,4}(?!\w|[ .,/:-]\d)"
    r")"
)
_ANY_NUMBER = re.compile(r"[(\d](?<![\w.(].)(?<=[(\d])\d?(?:[ ()./-]{0,3}\d){6,14}(?!\w|[.,/:-]\d)")
_TOLD = re.compile(
    r"\b(?:tel|telephone|telefon|téléphone|teléfono|phone|fax|mobile|mobil|handy|cell)\b\.?(?: ?(?:no|nr|number)\.?)?"
    r" ?:? ?$",
    re.I,
)
_TOLD_LONGEST = 24  # characters
_DATE = re.compile(r"\(?\d{1,2}([./ -])\d{1,2}\1(?:19|20)\d\d|\(?(?:19|20)\d\d([./-])\d{1,2}\2\d{1,2}")


def mask_phones(text: str, media_type: str = "") -> tuple[str, int]:
    """The text with telephone numbers masked, and how many characters that took.

    Numbers in international form, in the forms of North America, of countries with a trunk zero, and any number after
    a word such as "Tel."; not dates, ISBNs, IP addresses or decimal numbers."""
    parts, done, changed = [], 0, 0
    numbers = [match for match in _NUMBER.finditer(text) if _is_phone(match[0])]
    for match in _ANY_NUMBER.finditer(text):
        if _TOLD.search(text[max(0, match.start() - _TOLD_LONGEST) : match.start()]):
            numbers.append(match)
    # A "(" without its ")" belongs to the sentence.
    spans = sorted((match.start() + (match[0][0] == "(" and ")" not in match[0]), match.end()) for match in numbers)
    for start, end in spans:
        if start >= done:
            parts += [text[done:start], PHONE]
            changed += end - start
            done = end
    return ("".join([*parts, text[done:]]), changed) if changed else (text, 0)


def _is_phone(number: str) -> bool:
    groups = re.findall(r"\d+", number)
    digits = sum(map(len, groups))
    if len(groups) == 4 and (number.count(".") == 3 or set(map(len, groups)) == {3}):
        return False  # an IP address; a row of a table
    if number[0] == "+":
        # "+12345678" is a sum or a line of a patch, "+40.71281234" a coordinate.
        return 8 <= digits <= 15 and (len(groups) > 2 or (digits >= 10 and not re.fullmatch(r"\+\d+\.\d+", number)))
    if groups[0][0] != "0":
        return re.search("[().-]", number) is not None  # three numbers of a table have blanks only
    if set(map(len, groups)) == {2} and len(groups) != 5:
        return False  # the French form has five pairs, a dump of bytes any number
    if re.fullmatch(r"\d{5}-\d{4}", number):
        return False  # an American postal code
    counting = len(groups) > 2 and all(int(b) - int(a) == 1 for a, b in pairwise(groups))
    return 9 <= digits <= 12 and not _DATE.match(number) and not counting and len(groups[-1]) < 9


def _replace(pattern: re.Pattern[str], text: str, mask: str) -> tuple[str, int]:
    changed = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal changed
        changed += len(match[0])
        return mask

    return pattern.sub(replaced, text), changed
