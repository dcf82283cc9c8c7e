"""How far a text is from the truth: character error rate, words, reading order, code to the byte."""

import re
import unicodedata
from bisect import bisect_left
from collections import Counter

import numpy as np

_LONGEST = 60_000  # characters; the exact edit distance takes time in proportion to the square
_RULE = re.compile(r"^[\s|:+=_*-]*$", re.M)
_MARK = re.compile(r"^[ \t>]*(?:#{1,6}[ \t]|[-*+•◦▪·●○■][ \t]+|\d{1,3}[.)][ \t])", re.M)
_MARKUP = re.compile(r"^```.*$|[|`*]|\\(?=[^\w\s])", re.M)
_WORD = re.compile(r"[぀-ヿ㐀-鿿]|[^\W_]+")
_PLAIN = str.maketrans(
    {"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "‐": "-", "…": "..."}
)
_COMMENT = re.compile(r"<!--.*?-->", re.S)


def letters(text: str) -> str:
    """`text` in NFC with plain quotes and dashes (truths of scans are typed so), without Markdown's marks for headings,
    lists, tables and emphasis (nobody is punished for, or gains by, showing structure), white space as single blanks;
    for CJK, whose lines break anywhere, without."""
    text = _COMMENT.sub("", unicodedata.normalize("NFC", text).translate(_PLAIN))
    text = _MARKUP.sub(" ", _MARK.sub("", _RULE.sub("", text)))
    return re.sub(r"(?<=[\u3001-\u9fff])\s+(?=[\u3001-\u9fff])", "", " ".join(text.split()))


def character_error_rate(truth: str, text: str) -> float | None:
    """The Levenshtein distance of the two in characters (missing, made up and changed ones count 1 each) over the
    length of `truth`: 0 is perfect, above 1 is possible. None above 60,000 characters."""
    a = np.frombuffer(truth.encode("utf-32-le"), np.uint32)
    b = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    if max(len(a), len(b)) > _LONGEST:
        return None
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for at, letter in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (b != letter))
        # Insertions run along the row: the running minimum of the distance less its column.
        row = np.minimum.accumulate(np.concatenate(([at], best)) - steps) + steps
    return float(row[-1]) / max(1, len(a))


def word_scores(truth: str, text: str) -> tuple[float, float]:
    """(recall, precision) of words as a multiset, without regard to their order; case counts."""
    wanted, given = Counter(_WORD.findall(truth)), Counter(_WORD.findall(text))
    both = sum((wanted & given).values())
    return both / max(1, sum(wanted.values())), both / max(1, sum(given.values()))


def order_score(truth: str, text: str) -> float | None:
    """Of the three-word sequences that occur once in each, the share in the longest series that stands in `text` in
    the order of `truth`: 1 where all is in order, about 0.5 where two columns change places. None below 10."""
    places = _once(truth), _once(text)
    series = [places[1][key] for key in places[0] if key in places[1]]
    if len(series) < 10:
        return None
    ends: list[int] = []
    for place in series:
        at = bisect_left(ends, place)
        ends[at : at + 1] = [place]
    return len(ends) / len(series)


def _once(text: str) -> dict[tuple[str, ...], int]:
    words = _WORD.findall(text)
    triples = list(zip(words, words[1:], words[2:], strict=False))
    counts = Counter(triples)
    return {triple: at for at, triple in enumerate(triples) if counts[triple] == 1}


def exact_share(blocks: list[str], text: str) -> float | None:
    """The share of code blocks that stand in `text` to the byte (beside one common indentation, and blanks at the
    ends of lines, which print does not show); None without code."""
    if not blocks:
        return None
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    return sum(_stands(re.sub(r"[ \t]+$", "", block, flags=re.M), text) for block in blocks) / len(blocks)


def _stands(block: str, text: str) -> bool:
    return any(re.sub(r"^(?=.)", " " * indent, block, flags=re.M) in text for indent in (0, 2, 4, 8))
