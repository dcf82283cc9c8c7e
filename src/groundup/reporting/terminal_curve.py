"""The loss curve in characters: training as a braille line, validation as marks. It needs no color."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from groundup.reporting.wording import finite, number, short

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row, then column, of a 4 x 2 cell
_VALIDATION = "●"
_PAINT = {"train": "\x1b[34m", "val": "\x1b[31m", "faint": "\x1b[2m"}
_RESET = "\x1b[0m"


def terminal_curve(entries: Sequence[Mapping[str, Any]], width: int = 80, height: int = 16, color: bool = False) -> str:
    """Training and validation loss (nats) over steps as `height` lines of at most `width` columns.

    The loss axis is logarithmic above the lowest loss, or the first fall would leave one line to the rest.

    Returns one line of explanation where no entry has a loss.
    """
    width, height = max(width, 24), max(height, 6)
    train = _points(entries, "train_loss")
    val = _points(entries, "val_loss")
    if not train and not val:
        return "no loss was logged yet"

    losses = [y for _, y in train + val]
    low, high = min(losses), max(losses)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    first, last = min(x for x, _ in train + val), max(x for x, _ in train + val)
    rows = height - 3
    up, down = _bend(low, high)
    ticks = dict.fromkeys(round(i * (rows - 1) / 4) for i in range(5)) if rows >= 9 else {0: 0, rows - 1: 0}
    labels = {row: number(down(1 - row / (rows - 1)), 2) for row in ticks}
    margin = max(map(len, labels.values())) + 1
    columns = width - margin - 2

    def place(x: float, y: float, across: int, along: int) -> tuple[int, int]:
        return (
            round((x - first) / ((last - first) or 1) * (across - 1)),
            min(max(round((1 - up(y)) * (along - 1)), 0), along - 1),  # a float may miss the end by a hair
        )

    cells = [[0] * columns for _ in range(rows)]
    dots = [place(x, y, 2 * columns, 4 * rows) for x, y in train]
    for (x0, y0), (x1, y1) in zip(dots, dots[1:] or dots, strict=False):
        reach = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(reach + 1):
            x, y = x0 + round((x1 - x0) * i / reach), y0 + round((y1 - y0) * i / reach)
            cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
    marks = {place(x, y, columns, rows) for x, y in val}

    paint = _PAINT if color else dict.fromkeys(_PAINT, "")
    reset = _RESET if color else ""
    names = ("training ", "validation ") if width >= 56 else ("", "")
    key = f"{paint['train']}⠤⠤{reset} {names[0]}{number(train[-1][1])}" if train else ""
    if val:
        key += f"  {paint['val']}{_VALIDATION}{reset} {names[1]}{number(val[-1][1])}"
    lines = [f"{'loss':>{margin}} {key}" if width < 56 else f"{'loss':>{margin}}   {key}"]
    for r in range(rows):
        label = labels.get(r, "")
        body = ""
        for c in range(columns):
            if (c, r) in marks:
                body += f"{paint['val']}{_VALIDATION}{reset}"
            elif cells[r][c]:
                body += f"{paint['train']}{chr(_BRAILLE + cells[r][c])}{reset}"
            else:
                body += " "
        lines.append(f"{label:>{margin}} {'┤' if label else '│'}{body}".rstrip())
    lines.append(f"{'':>{margin}} └{'─' * columns}")
    ends = [short(first), f"step {short((first + last) / 2)}" if columns > 30 else "", short(last)]
    gap = columns - sum(map(len, ends))
    lines.append(f"{'':>{margin}}  {ends[0]}{' ' * (gap // 2)}{ends[1]}{' ' * (gap - gap // 2)}{ends[2]}")
    return "\n".join(lines)


def sparkline(values: Sequence[Any], width: int) -> str:
    """The last values in one line of at most `width` blocks; stretches of equal length are averaged."""
    shown = [value for value in values if finite(value)]
    if not shown or width < 1:
        return ""
    if len(shown) > width:
        edges = [round(i * len(shown) / width) for i in range(width + 1)]
        shown = [sum(shown[a:b]) / (b - a) for a, b in pairwise(edges)]
    if max(shown) - min(shown) < 1e-9:
        return "▁" * len(shown)
    up, _ = _bend(min(shown), max(shown))
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(up(value) * 8))] for value in shown)


def _bend(low: float, high: float) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """A logarithmic scale from [low, high] to [0, 1] that has room at its lower end, and its inverse."""
    foot = 0.12 * (high - low)
    decades = math.log((high - low + foot) / foot)
    return (
        lambda value: math.log((value - low + foot) / foot) / decades,
        lambda height: low + foot * (math.exp(height * decades) - 1),
    )


def _points(entries: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    rows = [e for e in entries if "event" not in e and finite(e.get("step")) and finite(e.get(key))]
    return [(e["step"], e[key]) for e in rows]
