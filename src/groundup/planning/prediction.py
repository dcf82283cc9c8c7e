"""What loss a run will end at, with an interval: a line fitted to runs that were measured, or no prediction at all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from groundup.errors import UserError

COVERAGE = 0.9  # the share of runs that end inside their interval, if new runs are like those of the fit
FEWEST_RUNS = 12  # three for each coefficient
BASELINE = "5-gram"


@dataclass(frozen=True)
class Fit:
    """ln(bits per byte / bits per byte of the corpus's 5-gram) as a line in ln(bytes seen), ln(weights), ln(epochs).

    The baseline says how hard the text is, so that corpora share one line. `epochs` below 1 count as 1: nothing is
    repeated then. Linear least squares; the interval is that of one new observation (Draper & Smith, "Applied
    regression analysis", 3rd edition, section 3.1).
    """

    coefficients: tuple[float, ...]
    """Of 1 and the three logarithms."""
    inverse: tuple[tuple[float, ...], ...]
    """(X^T X)^-1, 4 x 4."""
    deviation: float
    """Of the residuals, with `runs` - 4 degrees of freedom."""
    runs: int
    lowest: tuple[float, ...]
    """Of each logarithm in the runs fitted: nothing outside of them is predicted."""
    highest: tuple[float, ...]
    source: str
    """The results that were fitted."""


@dataclass(frozen=True)
class Prediction:
    """Bits per byte on the held-out text at the end of training, and where COVERAGE of such runs end."""

    bits_per_byte: float
    low: float
    high: float


FITTED: Fit | None = Fit(
    coefficients=(1.1989096, -0.087716758, 0.012876893, -0.048576299),
    inverse=(
        (17.859521, -0.71562397, -0.61904254, 0.91594162),
        (-0.71562397, 0.046773403, 0.0056193875, -0.05080509),
        (-0.61904254, 0.0056193875, 0.041900851, -0.017812131),
        (0.91594162, -0.05080509, -0.017812131, 0.11078429),
    ),
    deviation=0.072509002,
    runs=68,
    lowest=(12.078559, 12.058037, 0.0),
    highest=(16.016604, 13.924831, 2.1975579),
    source="benchmarks/experiments: dial, sizes",
)
"""The fit that `groundup plan` uses, made by `python benchmarks/experiments fit dial sizes`: 58 of 66 of its runs lie
inside the interval that the others give them."""


def predict(fit: Fit, *, bytes_seen: float, parameters: int, epochs: float, baseline: float | None) -> Prediction | str:
    """The prediction for training on `bytes_seen` bytes of text, `epochs` times over, with `parameters` weights, where
    the corpus's 5-gram model needs `baseline` bits per byte; or the reason why there is none."""
    if baseline is None:
        return "nothing is held out to measure it on"
    logs = _logs(bytes_seen, parameters, epochs)
    names = ("bytes of training", "weights", "epochs")
    for name, value, low, high in zip(names, logs, fit.lowest, fit.highest, strict=True):
        if not low - 1e-9 <= value <= high + 1e-9:
            return (
                f"{math.exp(value):,.4g} {name} are outside of the runs that were measured"
                f" ({math.exp(low):,.4g} to {math.exp(high):,.4g})"
            )
    x = np.array([1.0, *logs])
    middle = float(x @ np.array(fit.coefficients))
    spread = fit.deviation * math.sqrt(1 + float(x @ np.array(fit.inverse) @ x))
    wide = student_quantile((1 + COVERAGE) / 2, fit.runs - len(x)) * spread
    return Prediction(*(baseline * math.exp(middle + sign * wide) for sign in (0, -1, 1)))


def fit_runs(rows: Sequence[Mapping[str, Any]], source: str) -> Fit:
    """Fit finished runs, as benchmarks/experiments keeps them.

    Raises UserError when there are fewer than FEWEST_RUNS, or when they do not differ enough to tell the
    coefficients apart.
    """
    good = [row for row in rows if row["bits_per_byte"] is not None and BASELINE in row["baselines"]]
    if len(good) < FEWEST_RUNS:
        raise UserError(f"{len(good)} finished runs are too few: {FEWEST_RUNS} at least", where=source)
    logs = np.array([_logs(r["tokens"] * r["bytes_per_token"], r["parameters"], r["epochs"]) for r in good])
    x = np.column_stack([np.ones(len(good)), logs])
    y = np.log([row["bits_per_byte"] / row["baselines"][BASELINE] for row in good])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise UserError("the runs do not differ in bytes, weights and epochs independently", where=source)
    coefficients, *_ = np.linalg.lstsq(x, y, rcond=None)
    residuals = y - x @ coefficients
    return Fit(
        coefficients=tuple(coefficients.tolist()),
        inverse=tuple(map(tuple, np.linalg.inv(x.T @ x).tolist())),
        deviation=math.sqrt(float(residuals @ residuals) / (len(good) - x.shape[1])),
        runs=len(good),
        lowest=tuple(logs.min(0).tolist()),
        highest=tuple(logs.max(0).tolist()),
        source=source,
    )


def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t with `freedom` degrees, 5 or more (Abramowitz & Stegun, 26.7.5; good to 0.5%)."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _logs(bytes_seen: float, parameters: int, epochs: float) -> tuple[float, float, float]:
    return math.log(bytes_seen), math.log(parameters), math.log(max(epochs, 1.0))
