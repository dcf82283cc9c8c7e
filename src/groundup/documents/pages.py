"""Pages to one text: running heads and page numbers taken off, the pages joined, their offsets kept."""

import re
from collections import Counter
from collections.abc import Sequence

_DIGITS = re.compile(r"\d+")
_EDGE_NUMBER = re.compile(r"^(\d{1,5})\b|\b(\d{1,5})$")
_ROMAN = re.compile(r"[ivxlc]{1,8}", re.I)
_EDGE_LINES = 2
_LONGEST_HEAD = 120  # characters


def strip_running_heads(pages: Sequence[str]) -> list[str]:
    """`pages` without running heads, feet and page numbers; documents of fewer than 3 pages stay as they are.

    A line among the first or last two of its page is dropped if, digits aside, it is at that edge of more
    than half of the pages; if it is of some length and at that edge of four pages; or if it is short and
    begins or ends with the page's number, which is to say: a number at the same distance from the page's
    index on more than half of the pages (so that heads may change by chapter)."""
    if len(pages) < 3:
        return list(pages)
    lines = [page.split("\n") for page in pages]
    half = sum(1 for page in pages if page.strip()) / 2
    repeated: Counter[tuple[bool, str]] = Counter()
    exact: Counter[tuple[bool, str]] = Counter()
    offsets: Counter[tuple[bool, int]] = Counter()
    for index, page in enumerate(lines):
        edges = list(_edges(page))
        repeated.update({(top, _DIGITS.sub("#", page[at].strip())) for top, at in edges})
        exact.update({(top, page[at].strip()) for top, at in edges})
        offsets.update({(top, number - index) for top, at in edges for number in _edge_numbers(page[at])})
    heads = {key for key, count in repeated.items() if count > half and count > 2}
    chapters = {key for key, count in exact.items() if count > 3 and len(key[1]) > 7 and key[1][0].isalnum()}
    numbered = {key for key, count in offsets.items() if count > half and count > 3}
    kept = []
    for index, page in enumerate(lines):
        drop = set()
        for top, at in _edges(page):
            line = page[at].strip()
            if (
                (top, _DIGITS.sub("#", line)) in heads
                or (top, line) in chapters
                or any((top, number - index) in numbered for number in _edge_numbers(line))
                or (numbered and _ROMAN.fullmatch(line))
            ):
                drop.add(at)
        kept.append("\n".join(line for at, line in enumerate(page) if at not in drop).strip("\n"))
    return kept


def join_pages(pages: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The text of all pages, and the offset in characters at which each begins.

    Pages are a blank line apart; only a newline apart where a sentence runs on over the break."""
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for page in pages:
        page = page.strip("\n")
        if page and length:
            last = parts[-1].rstrip()[-1:]
            gap = "\n" if page[0].islower() and (last.isalnum() or last in ",;-–") else "\n\n"
            parts.append(gap)
            length += len(gap)
        starts.append(length)
        if page:
            parts.append(page)
            length += len(page)
    if length:
        parts.append("\n")
    return "".join(parts), tuple(starts)


def _edges(page: list[str]) -> list[tuple[bool, int]]:
    """(is at the top, index) of the first and last lines that are not blank."""
    filled = [at for at, line in enumerate(page) if line.strip()]
    top, bottom = filled[:_EDGE_LINES], filled[-_EDGE_LINES:]
    return [(True, at) for at in top] + [(False, at) for at in bottom]


def _edge_numbers(line: str) -> list[int]:
    line = line.strip()
    if len(line) > _LONGEST_HEAD:
        return []
    return [int(first or last) for first, last in _EDGE_NUMBER.findall(line)]
