"""Whether one run is better than another or only luckier: a difference of runs beside what seeds do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

CONFIDENCE = 0.95
"""Of all differences that one comparison could show, together."""
FEWEST_EVALUATIONS = 5


@dataclass(frozen=True)
class Noise:
    """How far runs that differ only in their seed lie apart."""

    deviation: float
    """Standard deviation of one run's figure."""
    freedom: int
    """Degrees of freedom: runs beyond the first of each group."""


@dataclass(frozen=True)
class Difference:
    """How much lower one group of runs ends than another."""

    amount: float
    """Mean of the other minus mean of this one; positive is better."""
    plus_minus: float
    """Half of its interval at the confidence asked for."""

    @property
    def beyond_seeds(self) -> bool:
        """Whether the interval leaves out zero."""
        return abs(self.amount) > self.plus_minus


def seed_noise(groups: Sequence[Sequence[float]]) -> Noise | None:
    """The deviation within groups of runs that differ only in their seed, pooled: s^2 = sum (n_i - 1) s_i^2 /
    sum (n_i - 1), as if it were the same in each. None where no group has two runs."""
    several = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    if not freedom:
        return None
    return Noise(math.sqrt(sum((len(group) - 1) * variance(group) for group in several) / freedom), freedom)


def difference(one: Sequence[float], other: Sequence[float], noise: Noise, *, of: int = 1) -> Difference:
    """mean(other) - mean(one), with the interval of Student's two-sample t at CONFIDENCE, shared out over `of`
    differences (Bonferroni): t s sqrt(1/n + 1/m), s and its degrees of freedom from `noise`."""
    t = student_t(1 - (1 - CONFIDENCE) / of, noise.freedom)
    return Difference(fmean(other) - fmean(one), t * noise.deviation * math.sqrt(1 / len(one) + 1 / len(other)))


def student_t(inside: float, freedom: int) -> float:
    """The t between whose negative and itself Student's distribution of `freedom` degrees has the share `inside`."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < inside:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < inside else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(-t < T < t), by the finite series for whole degrees of freedom (Abramowitz & Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(odd, freedom - 1, 2):
        total += term
        term *= (k + 1) / (k + 2) * cosine**2
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total


def evaluation_scatter(entries: Sequence[Mapping[str, Any]], key: str = "val_bits_per_byte") -> float | None:
    """How far the evaluations of the second half of a run lie from the line through their neighbors.

    For independent errors of variance s^2 the distance from the mean of both neighbors has variance 1.5 s^2. It is less
    than what seeds do, which move a whole curve. None for fewer than FEWEST_EVALUATIONS.
    """
    figures = [entry[key] for entry in entries if entry.get(key) is not None]
    half = figures[len(figures) // 2 :]
    if len(figures) < FEWEST_EVALUATIONS or len(half) < 3:
        return None
    off = [half[i] - (half[i - 1] + half[i + 1]) / 2 for i in range(1, len(half) - 1)]
    return math.sqrt(fmean(x * x for x in off) / 1.5)
