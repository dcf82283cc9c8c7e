"""Words that were broken at a line's end or over a page break, made whole again."""

import itertools
import re
from collections.abc import Sequence

MARKS = "\x02\ufffe\xad"
"""Characters that stand for the hyphen of a word broken at a line's end; PDFium writes the first two."""

_BROKEN = re.compile(rf"[{MARKS}](?:\n{{1,2}} *(\S+)( |\n{{0,2}})|(?=(\w?)))")
_WORD_BEFORE = re.compile(r"\w*\Z")
_WORD = re.compile(r"\w*")
_COMPOUND = re.compile(r"\w+-\w+")
_LONGEST = 60  # letters of a word


def mend_words(pages: Sequence[str]) -> list[str]:
    """`pages` with each word that MARKS or a page break cut in two on the line, and the page, where it begins.

    Its hyphen stays where a capital or a digit stands beside it ("S-Plus"), or where the document has the word
    with a hyphen within a line ("well-known"); a mark that ends the last line becomes a hyphen."""
    whole = _over_page_breaks(pages)
    compounds: set[str] = set()
    if any(mark in page for page in whole for mark in MARKS):
        compounds = {word.lower() for page in whole if "-" in page for word in _COMPOUND.findall(page)}

    def mend(match: re.Match[str]) -> str:
        below, gap, beside = match.groups()
        start = match.start()
        before = _WORD_BEFORE.search(match.string[max(0, start - _LONGEST) : start])[0]  # type: ignore[index]
        after = _WORD.match((below or beside or "")[:_LONGEST])[0]  # type: ignore[index]
        letters = before[-1:].islower() and after[:1].islower()
        hyphen = "" if letters and f"{before}-{after}".lower() not in compounds else "-"
        if below is None:
            return hyphen
        return hyphen + below + (gap if gap in ("", "\n\n") else "\n")

    return [_BROKEN.sub(mend, page) for page in whole]


def _over_page_breaks(pages: Sequence[str]) -> list[str]:
    """`pages` with the second half of a word that a page break cuts moved to the page before it."""
    out = [page.strip("\n") for page in pages]
    filled = [at for at, page in enumerate(out) if page]
    for at, following in itertools.pairwise(filled):
        page = out[at]
        if page[-1] in MARKS + "-\u2010" and page[-2:-1].islower() and out[following][0].islower():
            half, space, rest = _split_word(out[following])
            out[at] = f"{page[:-1]}\x02\n{half}"
            out[following] = rest if space else ""
    return out


def _split_word(text: str) -> tuple[str, str, str]:
    match = re.match(r"(\S+)(\s*)(.*)", text, re.S)
    return match.groups() if match else (text, "", "")  # type: ignore[return-value]
