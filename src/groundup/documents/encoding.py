"""Bytes to text: which encoding a file is in, decoding it as a stream, and the form every text gets."""

import codecs
import itertools
import math
import re
from collections.abc import Iterable, Iterator

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_ASCII = re.compile("[^\x00-\x7f]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_WINDOWS_MARKS = "€…‘’“”•–—™\xa0£§©®°½".encode("cp1252")
_JAPANESE_MAIL = re.compile(rb"\x1b\$[@B(]")
_LEGACY = (
    *("cp1252", "iso8859-15", "cp1250", "iso8859-2", "cp1254", "cp1257", "mac-roman", "cp850", "cp852"),
    *("cp1251", "koi8-r", "koi8-u", "cp866", "iso8859-5", "cp1253", "iso8859-7"),
    *("cp1255", "iso8859-8", "cp1256", "iso8859-6", "cp874"),
    *("cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949"),
)
_GUESSED_BYTES = 10_000
_WESTERN = 0.02  # by far the most frequent; 0.04 loses Baltic texts, 0 takes Catalan for Slovak
_WORD = re.compile(r"[^\W\d_]{2,}")
_ODD = re.compile(
    "[\x80-\x9f\ue000-\uf8ff\ufffd¤]|[¼½¾](?=[^\\W\\d_])"  # hardly anybody's characters
    "|(?<=[A-Za-z\xc0-\u024f])(?=[^\\W\\d_A-Za-z\xc0-\u024f])|(?<=[^\\W\\d_A-Za-z\xc0-\u024f])(?=[A-Za-z\xc0-\u024f])"
    "|(?<=[^\\W\\d_])[^\\w\\s\x00-\x7f’‐-—·\xad]+(?=[^\\W\\d_])"  # a symbol in a word
)
_ONLY_ACCENTED = re.compile("(?<![A-Za-z\xc0-\u024f])[\xc0-\u024f]{2,}(?![A-Za-z\xc0-\u024f])")
_NEVER_TEXT = bytes([*range(7), *range(14, 27), *range(28, 32)])  # bell to return and escape do occur in text


def find_encoding(head: bytes) -> tuple[str, int] | None:
    """The codec of a text that begins with `head`, and the length of its byte order mark; None for binary
    data.

    In this order: byte order mark, UTF-16 by where its zeros are, the escapes of ISO-2022-JP, strict UTF-8, a guess.
    UTF-8 that is damaged in places is still UTF-8. Latin-1 is read as its superset, Windows-1252."""
    for mark, codec in _BOMS:
        if head.startswith(mark):
            return codec, len(mark)
    if b"\0" in head[: 1 << 16]:
        codec = _utf16_by_zeros(head[: 1 << 16])
        return (codec, 0) if codec else None
    if _binary_share(head) > 0.02:
        return None
    if _JAPANESE_MAIL.search(head) and head.isascii():
        return "iso2022_jp_ext", 0
    good = _valid_utf8(head)
    if good == len(head) or (good >= len(head) - 3 and len(head) >= 1 << 16):
        return "utf-8", 0
    window = head[max(0, good - 2000) : good + 60_000]
    text = window.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if sum(map(len, _NOT_ASCII.findall(text))) > 4 * damaged:
        return "utf-8", 0  # damaged here and there, but other encodings hardly ever make valid sequences
    if all(byte in _WINDOWS_MARKS for byte in window if byte > 127):
        return "cp1252", 0  # English with typographic marks, which statistics take for Hebrew
    lines = b"\n".join(line for line in window.splitlines() if not line.isascii())
    return _guess(lines[:_GUESSED_BYTES]), 0


def _guess(data: bytes) -> str:
    """The codec of text in an encoding from before UTF-8.

    chardet's models of languages tell Russian in one Cyrillic encoding from Russian in another, but on short texts also
    take French for Hebrew. So its confidence (0 to 1) counts less the share of characters beyond ASCII that no writer
    puts where the codec puts them (`_oddities`). Of 543 texts of 25 to 1,400 bytes (those of the tests,
    whole, eight times over, and cut) chardet alone decoded 487 as they were written, this rule 534."""
    import chardet  # takes 60 ms, and most files never need it

    guesses = chardet.detect_all(data, ignore_threshold=True, include_encodings=_LEGACY, compat_names=False)
    best, least = "cp1252", math.inf
    for guess in guesses:
        codec = guess["encoding"] or "cp1252"
        # Incremental, as the last character may be cut.
        text = codecs.getincrementaldecoder(codec)("replace").decode(data)
        odd = _oddities(text) / max(1, sum(map(len, _NOT_ASCII.findall(text)))) - guess["confidence"]
        odd -= _WESTERN if codec == "cp1252" else 0
        if odd < least:
            best, least = codec, odd
    # Eight characters of Latin-9 are others, œ for ½, € for ¤: it is taken where they make words.
    if best == "iso8859-15" and _oddities(data.decode("cp1252", "replace")) <= _oddities(data.decode(best)):
        return "cp1252"
    return best


def _oddities(text: str) -> float:
    """How many places of `text` say that it was decoded by the wrong codec: letters of Latin beside those of another
    script ("cafи"), Latin words all of accents ("Ïðèâåò"), a capital after a small letter, a symbol within a word."""
    odd = len(_ODD.findall(text)) + sum(map(len, _ONLY_ACCENTED.findall(text))) / 2
    for word in _WORD.findall(text):
        if not word.isascii() and word.lower() != word and not word.isupper():
            odd += sum(a.islower() and b.isupper() for a, b in itertools.pairwise(word))
    return odd


def decode_pieces(chunks: Iterable[bytes], codec: str) -> Iterator[str]:
    """The text of each of `chunks`, with "\\n" newlines; bad bytes become U+FFFD."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    held_cr = ""
    for chunk in chunks:
        text = held_cr + decoder.decode(chunk)
        held_cr = "\r" if text.endswith("\r") else ""  # its "\n" may be the first of the next chunk
        yield newlines(text[:-1] if held_cr else text)
    if rest := held_cr + decoder.decode(b"", True):
        yield newlines(rest)


def newlines(text: str) -> str:
    """`text` with "\\r\\n" and "\\r" as "\\n"."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def replace_surrogates(text: str) -> str:
    """`text` with lone surrogates, which UTF-8 cannot hold, as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


def plain(text: str) -> str:
    """`text` as every reader gives it: "\\n" newlines, no NUL, no lone surrogates."""
    text = newlines(text)
    return replace_surrogates(text.replace("\0", "") if "\0" in text else text)


def _valid_utf8(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def _binary_share(data: bytes) -> float:
    sample = data[: 1 << 16]
    return 1 - len(sample.translate(None, _NEVER_TEXT)) / max(1, len(sample))


def _utf16_by_zeros(data: bytes) -> str | None:
    # Every other byte of ASCII-like text in UTF-16 is zero.
    even, odd = data[0::2].count(0), data[1::2].count(0)
    half = len(data) // 2
    for zeros, others, codec in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros > 0.4 * half and others < 0.05 * half:
            try:
                text = data[: half * 2].decode(codec, "strict")
            except UnicodeDecodeError:
                return None
            return codec if "\0" not in text else None
    return None
