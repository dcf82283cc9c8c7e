"""What loss a run will end at, with an interval: a line fitted to runs that were measured, or no prediction at all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from groundup.errors import UserError

COVERAGE = 0.9  # the share of runs that end inside their interval, if new texts are like those of the fit
FEWEST_RUNS = 15  # three for each coefficient
FEWEST_TEXTS = 3
BASELINE = "5-gram"


@dataclass(frozen=True)
class Fit:
    """ln(bits per byte / bits per byte of the corpus's 5-gram) as a line in ln(bytes seen), ln(weights), ln(epochs) and
    1 / sqrt(updates).

    The baseline says how hard the text is, so that corpora share one line; epochs count below 1 too, as the baseline
    has read the whole text when the model has seen a part. The last term is what few updates leave undone, whatever
    they read. Linear least squares; the interval is that of one new observation (Draper & Smith, "Applied regression
    analysis", 3rd edition, section 3.1).
    """

    coefficients: tuple[float, ...]
    """Of 1 and the four figures."""
    inverse: tuple[tuple[float, ...], ...]
    """(X^T X)^-1, 5 x 5."""
    deviation: float
    """Of the runs of a text from the line of the other texts: root of the mean over texts of the mean square."""
    runs: int
    texts: int
    lowest: tuple[float, ...]
    """Of bytes, weights, epochs and updates in the runs fitted: nothing outside of them is predicted."""
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
    coefficients=(0.70225616, -0.021293846, -0.030085671, -0.055822536, 1.5718935),
    inverse=(
        (5.4388175, -0.36419302, 0.018195981, 0.026174164, -8.6790458),
        (-0.36419302, 0.034469315, -0.012858451, -0.005334562, 0.82596094),
        (0.018195981, -0.012858451, 0.013735134, 0.0039041295, -0.35889426),
        (0.026174164, -0.005334562, 0.0039041295, 0.0070029763, -0.00319127),
        (-8.6790458, 0.82596094, -0.35889426, -0.00319127, 32.011034),
    ),
    deviation=0.082960868,
    runs=115,
    texts=14,
    lowest=(176056.32, 147904, 0.012, 30),
    highest=(31642800, 13768320, 9.003, 5101),
    source="docs/experiments.md, What the planner makes of it",
)
"""The fit that `groundup plan` uses, made by `python benchmarks/experiments fit`: 104 of 106 of its runs lie inside the
interval that the other texts give them."""


def predict(
    fit: Fit, *, bytes_seen: float, parameters: int, epochs: float, steps: int, baseline: float | None
) -> Prediction | str:
    """The prediction for training on `bytes_seen` bytes of text in `steps` updates, `epochs` times over, with
    `parameters` weights, where the corpus's 5-gram model needs `baseline` bits per byte; or the reason why there is
    none."""
    if baseline is None:
        return "nothing is held out to measure it on"
    figures = (bytes_seen, parameters, epochs, steps)
    names = ("bytes of training", "weights", "epochs", "updates")
    for name, value, low, high in zip(names, figures, fit.lowest, fit.highest, strict=True):
        if not low * (1 - 1e-6) <= value <= high * (1 + 1e-6):
            return f"{value:,.4g} {name} are outside of the runs that were measured ({low:,.4g} to {high:,.4g})"
    x = np.array(_terms(*figures))
    middle = float(x @ np.array(fit.coefficients))
    spread = fit.deviation * math.sqrt(1 + float(x @ np.array(fit.inverse) @ x))
    wide = student_quantile((1 + COVERAGE) / 2, max(fit.texts - 1, 5)) * spread
    return Prediction(*(baseline * math.exp(middle + sign * wide) for sign in (0, -1, 1)))


def fit_runs(rows: Sequence[Mapping[str, Any]], source: str) -> Fit:
    """Fit finished runs, as benchmarks/experiments and benchmarks/predictions.py keep them; `corpus` names their text.

    Raises UserError when there are fewer than FEWEST_RUNS or FEWEST_TEXTS, or when they do not differ enough to tell
    the coefficients apart.
    """
    good = [row for row in rows if row["bits_per_byte"] is not None and BASELINE in row["baselines"]]
    texts = sorted({row["corpus"] for row in good})
    if len(good) < FEWEST_RUNS or len(texts) < FEWEST_TEXTS:
        few = f"{len(good)} finished runs of {len(texts)} texts are too few"
        raise UserError(f"{few}: {FEWEST_RUNS} of {FEWEST_TEXTS} at least", where=source)
    figures = np.array([figures_of(row) for row in good])
    x = np.array([_terms(*row) for row in figures])
    y = np.log([row["bits_per_byte"] / row["baselines"][BASELINE] for row in good])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise UserError("the runs do not differ in bytes, weights, epochs and updates independently", where=source)
    squares = []
    for text in texts:
        own = np.array([row["corpus"] == text for row in good])
        others, *_ = np.linalg.lstsq(x[~own], y[~own], rcond=None)
        squares.append(float(np.mean((y[own] - x[own] @ others) ** 2)))
    coefficients, *_ = np.linalg.lstsq(x, y, rcond=None)
    return Fit(
        coefficients=tuple(coefficients.tolist()),
        inverse=tuple(map(tuple, np.linalg.inv(x.T @ x).tolist())),
        deviation=math.sqrt(float(np.mean(squares))),
        runs=len(good),
        texts=len(texts),
        lowest=tuple(figures.min(0).tolist()),
        highest=tuple(figures.max(0).tolist()),
        source=source,
    )


def figures_of(row: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Bytes seen, weights, epochs and updates of a finished run."""
    return row["tokens"] * row["bytes_per_token"], row["parameters"], row["epochs"], row["steps"]


def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t with `freedom` degrees, 5 or more (Abramowitz & Stegun, 26.7.5; good to 0.5%)."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _terms(bytes_seen: float, parameters: float, epochs: float, steps: float) -> tuple[float, ...]:
    return 1.0, math.log(bytes_seen), math.log(parameters), math.log(epochs), steps**-0.5
