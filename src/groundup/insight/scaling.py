"""How loss falls with the amount of text: the fit L(D) = E + (D0/D)^a, its intervals, what twice the text brings."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from groundup.insight.noise import seed_noise, student_t

INSIDE = 0.9
"""The share of the bootstrap that an interval holds."""
FEWEST_SIZES = 4  # three parameters, and one more to see whether they hold
SAME = 1.3  # times: parts of documents are not of equal size for all seeds
DRAWS = 1000
STEEPEST, FLATTEST = 3.0, 0.02  # exponents that are tried
_HUBER = 2.5  # deviations beyond which a point counts less: without effect on most normal errors
_REWEIGHTINGS = 8


@dataclass(frozen=True)
class Interval:
    """A fitted value and where INSIDE of its bootstrap lies."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ScalingFit:
    """L(D) = E + (D0/D)^a, fitted to the losses of runs on D bytes of text."""

    floor: Interval
    """E: what the same model, trained to its best, comes to on any amount of such text, in bits per byte."""
    size: Interval
    """D0, in bytes: the text with which the loss stands 1 bit per byte above E."""
    exponent: Interval
    """a: twice the text leaves 2^-a of what is above E."""
    now: Interval
    """The fit's loss at the `whole` text."""
    twice: Interval
    """Its loss at twice that."""
    gain: Interval
    """How much twice the text brings: `now` - `twice`."""
    deviation: float
    """Of the points from the fit, with `freedom` degrees of freedom."""
    freedom: int
    whole: float
    """The D of `now`."""

    def at(self, size: float) -> float:
        """The fitted loss at `size` bytes."""
        return self.floor.value + (self.size.value / size) ** self.exponent.value

    def to_json(self) -> dict[str, Any]:
        """For scaling.json."""
        return {**asdict(self), "inside": INSIDE}


def fit_scaling(
    sizes: Sequence[float], losses: Sequence[float], *, whole: float | None = None, draws: int = DRAWS, seed: int = 0
) -> ScalingFit | str:
    """Fit the losses (bits per byte, one of each run) at `sizes` (bytes of training text); or say why they cannot carry
    a fit. `now`, `twice` and `gain` are those of `whole` bytes, by default the largest of `sizes`.

    The form is that of Hestness et al. 2017 ("Deep learning scaling is predictable, empirically", equation 1) and, for
    one model size, Hoffmann et al. 2022 (equation 2). For a given a it is linear in E and D0^a, which are solved for,
    both held at 0 or more, so that only a is searched (variable projection; Golub & Pereyra 1973). Points far off count
    less (Huber 1964, by reweighting). The intervals are a parametric bootstrap: `draws` times the points are drawn anew
    around the fit, with the normal deviation of the residuals on n - 3 degrees of freedom, widened by Student's t over
    the normal quantile, and fitted again with the same weights. They say how sure the fit is if the form is true and if
    points of all sizes scatter alike; not what a change of kind in the documents would do.
    """
    x, y = np.array(sizes, float), np.array(losses, float)
    groups = _alike(x, y)
    if len(groups) < FEWEST_SIZES:
        return f"{len(groups)} sizes of the text are too few for three parameters: {FEWEST_SIZES} at least"
    if why := _not_falling(groups):
        return why
    whole, freedom = whole or float(x.max()), len(x) - 3
    x = x / whole
    floor, above, exponent, weights = _robust(x, y)
    residuals = y - floor - above * x**-exponent
    deviation = math.sqrt(float((residuals**2).sum()) / freedom)  # of all: a point far off is doubt, too
    wider = student_t(INSIDE, freedom) / 1.6449  # the normal's
    draw = np.random.Generator(np.random.Philox(seed)).standard_normal((len(x), draws))
    again = (y - residuals)[:, None] + wider * deviation * draw
    floors, aboves, exponents = _solve(x, again, weights)

    def interval(value: float, drawn: np.ndarray) -> Interval:
        low, high = np.quantile(drawn, [(1 - INSIDE) / 2, (1 + INSIDE) / 2])
        return Interval(value, min(float(low), value), max(float(high), value))

    def above_floor(above: Any, exponent: Any) -> Any:
        return above * 2.0**-exponent

    return ScalingFit(
        floor=interval(floor, floors),
        size=interval(whole * above ** (1 / exponent), whole * aboves ** (1 / exponents)),
        exponent=interval(exponent, exponents),
        now=interval(floor + above, floors + aboves),
        twice=interval(floor + above_floor(above, exponent), floors + above_floor(aboves, exponents)),
        gain=interval(above - above_floor(above, exponent), aboves - above_floor(aboves, exponents)),
        deviation=deviation,
        freedom=freedom,
        whole=whole,
    )


def _alike(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The losses at each size, rising; sizes that differ by less than SAME are one."""
    order = np.argsort(x, kind="stable")
    groups: list[list[int]] = []
    for n in order:
        if groups and x[n] < SAME * x[groups[-1][0]]:
            groups[-1].append(int(n))
        else:
            groups.append([int(n)])
    return [y[group] for group in groups]


def _not_falling(groups: Sequence[np.ndarray]) -> str | None:
    """Why the losses do not fall with the size, where they do not beyond what seeds do."""
    fall = float(groups[0].mean() - groups[-1].mean())
    noise = seed_noise([group.tolist() for group in groups])
    least = 2 * noise.deviation * math.sqrt(1 / len(groups[0]) + 1 / len(groups[-1])) if noise else 0.0
    if fall > least:
        return None
    return f"the loss does not fall with the text: {fall:.4f} bits per byte from the smallest part to the largest" + (
        f", where seeds alone do {least:.4f}" if noise else ""
    )


def _robust(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """(E, loss above it at x = 1, a, weights)."""
    floor, above, exponent, weights = 0.0, 0.0, 1.0, np.ones(len(x))
    for _ in range(_REWEIGHTINGS):
        floor, above, exponent = (float(v[0]) for v in _solve(x, y[:, None], weights))
        off = np.abs(y - floor - above * x**-exponent)
        spread = max(1.4826 * float(np.median(off)) * math.sqrt(len(x) / (len(x) - 3)), 1e-6 * float(y.mean()))
        before, weights = weights, np.minimum(1.0, _HUBER * spread / np.maximum(off, 1e-12))
        if np.abs(weights - before).max() < 1e-3:
            break
    else:
        floor, above, exponent = (float(v[0]) for v in _solve(x, y[:, None], weights))
    return floor, above, exponent, weights


def _solve(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted least squares of each column of y (n, K) on E + B x^-a: (E, B, a), each (K,).

    a is found on a grid, then between its neighbors by golden section."""
    grid = np.geomspace(FLATTEST, STEEPEST, 48)
    errors = np.stack([_linear(x, y, weights, np.full(y.shape[1], a))[2] for a in grid])
    best = errors.argmin(0)
    low, high = np.log(grid[np.maximum(best - 1, 0)]), np.log(grid[np.minimum(best + 1, len(grid) - 1)])
    shrink = (math.sqrt(5) - 1) / 2
    left, right = high - shrink * (high - low), low + shrink * (high - low)
    for _ in range(24):
        lower = _linear(x, y, weights, np.exp(left))[2] < _linear(x, y, weights, np.exp(right))[2]
        low, high = np.where(lower, low, left), np.where(lower, right, high)
        left, right = high - shrink * (high - low), low + shrink * (high - low)
    exponents = np.exp((low + high) / 2)
    floors, aboves, _ = _linear(x, y, weights, exponents)
    return floors, aboves, exponents


def _linear(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, exponents: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(E, B, weighted sum of squares) of E + B x^-a for given a (K,), E and B at least 0."""
    z, w = x[:, None] ** -exponents, weights[:, None]
    mean_z, mean_y = (w * z).sum(0) / w.sum(), (w * y).sum(0) / w.sum()
    above = (w * (z - mean_z) * (y - mean_y)).sum(0) / (w * (z - mean_z) ** 2).sum(0)
    floor = mean_y - above * mean_z
    alone = (w * z * y).sum(0) / (w * z * z).sum(0)
    above, floor = np.where(floor < 0, alone, above), np.maximum(floor, 0.0)
    above, floor = np.maximum(above, 0.0), np.where(above < 0, mean_y, floor)
    return floor, above, (w * (y - floor - above * z) ** 2).sum(0)
