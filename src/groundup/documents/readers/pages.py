"""Pages to one text: running heads and page numbers taken off, the pages joined, their offsets kept."""

import re
from collections import Counter
from collections.abc import Sequence

_DIGITS = re.compile(r"(?<!\d)\d{1,5}(?!\d)")
_ROMAN = re.compile(r"[ivxlc]{1,8}", re.I)
_EDGE_LINES = 2
_LONGEST_HEAD = 120  # characters


def strip_running_heads(pages: Sequence[str]) -> list[str]:
    """`pages` without running heads, feet and page numbers; documents of fewer than 3 pages stay as they are.

    A short line among the first or last two of its page is dropped if the same line is at that edge of more
    than half of the pages (if it is of some length: of four pages), or if it holds the page's number, which
    is to say a number at the same distance from the page's index: in the same words on more than half of the
    pages, or at the line's beginning or end on more than half (a head that changes by chapter)."""
    if len(pages) < 3:
        return list(pages)
    lines = [page.split("\n") for page in pages]
    half = sum(1 for page in pages if page.strip()) / 2
    counts: Counter[tuple] = Counter()
    for index, page in enumerate(lines):
        counts.update({mark for top, at in _edges(page) for mark in _marks(page[at].strip(), top, index)})
    heads = {
        mark
        for mark, count in counts.items()
        if (count > half and count > 2) or (mark[0] == "text" and count > 3 and len(mark[2]) > 7)
    }
    numbered = any(mark[0] != "text" for mark in heads)
    kept = []
    for index, page in enumerate(lines):
        drop = {
            at
            for top, at in _edges(page)
            if not heads.isdisjoint(_marks(page[at].strip(), top, index))
            or (numbered and _ROMAN.fullmatch(page[at].strip()))
        }
        kept.append("\n".join(line for at, line in enumerate(page) if at not in drop).strip("\n"))
    return kept


def _marks(line: str, top: bool, index: int) -> set[tuple]:
    """What a line at a page's edge has in common with its likes on other pages: its text; its text around a
    number at a fixed distance from the page's index; or such a number at its beginning or end."""
    marks: set[tuple] = set()
    if len(line) > _LONGEST_HEAD:
        return marks
    if line[:1].isalnum():
        marks.add(("text", top, line))
    shape = _DIGITS.sub("#", line)
    for match in _DIGITS.finditer(line):
        distance = int(match[0]) - index
        marks.add(("shape", top, shape, distance))
        if match.start() == 0 or match.end() == len(line):
            marks.add(("edge", top, distance))
    return marks


def join_pages(pages: Sequence[str], run_on: bool = True) -> tuple[str, tuple[int, ...]]:
    """The text of all pages, and the offset in characters at which each begins.

    Pages are a blank line apart; with `run_on` only a newline apart where a sentence runs on over the break, which it
    never does from slide to slide."""
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for page in pages:
        page = page.strip("\n")
        if page and length:
            last = parts[-1].rstrip()[-1:]
            runs_on = page[0] == " " or (page[0].islower() and (last.isalnum() or last in ",;-–"))
            gap = "\n" if run_on and runs_on else "\n\n"
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
