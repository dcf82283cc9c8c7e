"""The loss curve in characters: training as a line, validation as marks. It needs no color, and no Unicode."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from groundup.reporting.canvas import PAINT, RESET, Canvas
from groundup.reporting.wording import finite, number, short

_UNTRAINED = 25.0  # nats: ln of the largest vocabulary is half of it
_SCALE = ("(log scale above the lowest)", "(axis not linear)")  # the first that there is room for
_BEYOND = 3.0  # times the loss that 95% of the entries are below

Points = list[tuple[float, float]]


def terminal_curve(
    entries: Sequence[Mapping[str, Any]],
    width: int = 80,
    height: int = 16,
    color: bool = False,
    *,
    unicode: bool = True,
) -> str:
    """Training and validation loss (nats) over steps as `height` lines of at most `width` columns.

    The loss axis is logarithmic above the lowest loss, or the first fall would leave one line to the rest. Where more
    entries than columns are there, the line is the mean of those that share a column. Losses far beyond all others (of
    weights that began badly, or a spike) stay at the upper edge, and the legend says how high the highest was; a loss
    that is no number leaves a gap.

    Returns one line of explanation where no entry has a loss.
    """
    width, height = max(width, 24), max(height, 6)
    train, val = _stretches(entries, "train_loss"), _stretches(entries, "val_loss")
    points = [point for stretch in train for point in stretch]
    marks = [point for stretch in val for point in stretch]
    if not points and not marks:
        return "no loss was logged yet"

    low, high, highest = _range([y for _, y in points + marks])
    first, last = min(x for x, _ in points + marks), max(x for x, _ in points + marks)
    rows = height - 3
    up, down = _bend(low, high)
    ticks = dict.fromkeys(round(i * (rows - 1) / 4) for i in range(5)) if rows >= 9 else {0: 0, rows - 1: 0}
    labels = {row: number(down(1 - row / (rows - 1)), 2) for row in ticks}
    margin = max(map(len, labels.values())) + 1
    canvas = Canvas(width - margin - 2, rows, unicode=unicode)

    def place(stretch: Points) -> Points:
        return [((x - first) / ((last - first) or 1), up(min(y, high))) for x, y in stretch]

    for stretch in train:
        canvas.line(place(_mean_of_columns(stretch, first, last, 2 * canvas.columns)))
    canvas.put(place(marks))

    paint, reset = (PAINT, RESET) if color else (dict.fromkeys(PAINT, ""), "")
    names = ("training ", "validation ") if width >= 56 else ("", "")
    key = []
    for name, shown, mark, style in (
        (names[0], points, "⠤⠤" if unicode else "...", "train"),
        (names[1], marks, canvas.mark, "val"),
    ):
        if shown:
            key.append(f"{paint[style]}{mark}{reset} {name}{number(shown[-1][1])}")
    if highest is not None and width >= 56:
        key.append(f"{paint['faint']}(up to {number(highest, 1)}: cut off){reset}")
    if width >= 56 and (lost := _lost(entries)) is not None:
        key.append(f"not a number from step {lost:,.0f} on")
    legend = f"{'loss':>{margin}} {'  ' if width >= 56 else ''}{'  '.join(key)}"
    taken = len(re.sub("\x1b[^m]*m", "", legend))
    said = next((text for text in _SCALE if taken + 2 + len(text) <= width), "")
    lines = [f"{legend}  {paint['faint']}{said}{reset}" if said else legend]
    middle = f"step {short(round((first + last) / 2))}" if canvas.columns > 30 else ""
    return "\n".join(lines + canvas.framed(labels, (short(first), middle, short(last)), color=color))


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


def _range(losses: Sequence[float]) -> tuple[float, float, float | None]:
    """(lowest, highest drawn, highest of all where that one is beyond what is drawn)."""
    ranked = sorted(losses)
    beyond = max(_UNTRAINED, _BEYOND * ranked[(len(ranked) - 1) * 95 // 100])
    low, high = ranked[0], max((loss for loss in ranked if loss <= beyond), default=ranked[-1])
    highest = ranked[-1] if ranked[-1] > high else None
    return (low - 0.5, high + 0.5, highest) if high - low < 1e-9 else (low, high, highest)


def _stretches(entries: Sequence[Mapping[str, Any]], key: str) -> list[Points]:
    """The points (step, loss), in pieces between which a loss was no number."""
    rows = sorted((e for e in entries if "event" not in e and finite(e.get("step"))), key=lambda e: e["step"])
    pieces: list[Points] = [[]]
    for row in rows:
        if finite(row.get(key)):
            pieces[-1].append((row["step"], row[key]))
        elif row.get(key) is not None and pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _mean_of_columns(points: Points, first: float, last: float, columns: int) -> Points:
    """`points`, those in one of `columns` equal stretches of [first, last] made their mean; the two ends stay."""
    if len(points) <= columns:
        return points
    groups: dict[int, Points] = {}
    for point in points[1:-1]:
        groups.setdefault(int((point[0] - first) / ((last - first) or 1) * (columns - 1)), []).append(point)
    means = [(sum(x for x, _ in g) / len(g), math.fsum(y for _, y in g) / len(g)) for g in groups.values()]
    return [points[0], *means, points[-1]]


def _lost(entries: Sequence[Mapping[str, Any]]) -> float | None:
    """The step from which on no training loss is a number, if that is how the run ends."""
    rows = [e for e in entries if "event" not in e and finite(e.get("step")) and e.get("train_loss") is not None]
    step = None
    for row in reversed(rows):
        if finite(row["train_loss"]):
            break
        step = row["step"]
    return step
