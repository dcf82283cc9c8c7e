"""What can be read off a curve of few, noisy points: its level, its noise, its gain over the last stretch."""

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

BENT = 0.75
"""Of the points of a curve that is simply not straight, so many at least lie on the same side of their neighbors."""

Points = list[tuple[float, float]]
"""(step, value) in the order of steps."""


def points(rows: Sequence[Mapping[str, Any]], key: str) -> Points:
    """The finite values of `key` in rows that have a step."""
    return [(row["step"], row[key]) for row in rows if is_number(row.get(key))]


def is_number(value: Any) -> bool:
    """Whether `value` is finite and no boolean."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # JSON knows integers beyond every float
        return False


def final(curve: Points, most: int = 5) -> float:
    """Mean of the last tenth of the entries: one at least, `most` at most."""
    count = max(1, min(most, len(curve) // 10))
    return statistics.fmean(value for _, value in curve[-count:])


def lowest(curve: Points) -> tuple[float, float]:
    """(step, value) of the lowest point."""
    return min(curve, key=lambda point: point[1])


def levels(curve: Points) -> Points:
    """Running medians of three: one wild point does not move them."""
    return [(curve[i][0], statistics.median(v for _, v in curve[max(0, i - 1) : i + 2])) for i in range(len(curve))]


def residuals(curve: Points) -> Points:
    """(step, distance from the line through the two neighbors) of every inner point."""
    inner = []
    for i in range(1, len(curve) - 1):
        (x0, y0), (x, y), (x1, y1) = curve[i - 1 : i + 2]
        line = y0 + (y1 - y0) * ((x - x0) / (x1 - x0) if x1 > x0 else 0.5)
        inner.append((x, y - line))
    return inner


def noise(curve: Points) -> float:
    """Standard deviation of one point, estimated robustly: spikes, slope and bend do not count."""
    sizes = [size for _, size in residuals(curve)]
    bend = statistics.median(sizes) if len(sizes) >= 3 else 0.0
    if sum(size * bend > 0 for size in sizes) < BENT * len(sizes):  # it goes up and down, which is no bend
        bend = 0.0
    # the median of |N(0,1)| is 0.6745; a residual of three independent points has variance 1 + 2/4
    return statistics.median(abs(size - bend) for size in sizes) / 0.6745 / math.sqrt(1.5) if sizes else 0.0


def gain(curve: Points, share: float) -> float:
    """How far the curve fell over the last `share` of its steps."""
    first, last = curve[0][0], curve[-1][0]
    start = last - share * (last - first)
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 <= start <= x1 and x1 > x0:
            around = [v for x, v in curve if abs(x - start) <= 0.05 * (last - first)]
            level = y0 + (y1 - y0) * (start - x0) / (x1 - x0)
            return (statistics.fmean(around) if len(around) >= 3 else level) - final(curve)
    return 0.0
