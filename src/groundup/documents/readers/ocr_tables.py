"""Puts the cells of tables without rules, whose columns Tesseract reads one after the other, back into rows."""

import itertools
from statistics import median
from typing import Any, NamedTuple

_MOST_WORDS = 3  # of a line of a column, its median; newspaper columns have five
_MOST_ROWS = 45
_MOST_ROWS_OF_TWO = 25  # two columns of many short lines are an index, or verse


class Line(NamedTuple):
    """A recognized line in pixels; `base` is its baseline's height at the page's left edge, without the page's skew."""

    left: int
    right: int
    base: float
    height: int
    text: str


class Column(NamedTuple):
    """A block of recognized text, with its paragraphs, and its lines."""

    text: str
    lines: list[Line]


def find_columns(results: Any) -> list[Column]:
    """The blocks that a tesserocr engine has recognized, in its order, from its iterator."""
    import tesserocr

    level = tesserocr.RIL
    found: list[tuple[str, list[tuple[tuple[int, int, int, int], Any, str]]]] = []
    slopes: list[float] = []
    for item in tesserocr.iterate_level(results, level.TEXTLINE):
        if item.Empty(level.TEXTLINE):
            continue
        if item.IsAtBeginningOf(level.BLOCK) or not found:
            found.append((item.GetUTF8Text(level.BLOCK), []))
        box, base = item.BoundingBox(level.TEXTLINE), item.Baseline(level.TEXTLINE)
        if not box or not base:
            continue
        (x, y), (x2, y2) = base
        if x2 - x > 300:
            slopes.append((y2 - y) / (x2 - x))
        found[-1][1].append((box, base, item.GetUTF8Text(level.TEXTLINE)))
    slope = median(slopes) if slopes else 0.0
    columns = []
    for text, parts in found:
        lines = []
        for (left, top, right, bottom), ((x, y), (x2, y2)), words in parts:
            base = (y + y2) / 2 - slope * (x + x2) / 2
            lines.append(Line(left, right, base, bottom - top, words.strip()))
        columns.append(Column(text, lines))
    return columns


def in_rows(columns: list[Column]) -> str:
    """The text of all columns, those of one table in rows, cells with a blank between them.

    A table is a series of blocks with few words in a line, of whose lines most have another one at their height."""
    out = []
    for short, series in itertools.groupby(columns, _is_short):
        run = list(series)
        rows = _rows([line for column in run for line in column.lines]) if short and len(run) > 1 else []
        if _is_table(rows):
            out.append("\n".join(" ".join(line.text for line in row) for row in rows) + "\n\n")
        else:
            out += [column.text for column in run]
    return "".join(out)


def _is_short(column: Column) -> bool:
    return bool(column.lines) and median(len(line.text.split()) for line in column.lines) <= _MOST_WORDS


def _is_table(rows: list[list[Line]]) -> bool:
    shared = [row for row in rows if len(row) > 1]
    if len(shared) < 3 or sum(map(len, shared)) < 0.7 * sum(map(len, rows)):
        return False
    if any(line.right > following.left for row in shared for line, following in itertools.pairwise(row)):
        return False
    cells = median(map(len, shared))
    # Two columns with more than one word in a line may be addresses, verse, or the columns of an index.
    words = min(median(len(row[side].text.split()) for row in shared) for side in (0, -1))
    return len(rows) <= (_MOST_ROWS if cells > 2 else _MOST_ROWS_OF_TWO) and (cells > 2 or words <= 1)


def _rows(lines: list[Line]) -> list[list[Line]]:
    height = median(line.height for line in lines)
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.base):
        if rows and line.base - rows[-1][-1].base < 0.4 * height:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row) for row in rows]
