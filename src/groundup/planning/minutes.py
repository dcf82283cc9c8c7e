"""How long a run takes: what it does beside its steps, and the wall clock of the whole command with its interval."""

from dataclasses import dataclass

from groundup.config import Config
from groundup.corpus import SCORED_TOKENS, Corpus
from groundup.model import ModelShape
from groundup.planning.calibrate import Pace
from groundup.planning.interval import Interval
from groundup.training.horizon import TOLERANCE

REPORT_SECONDS = 1.5  # importing what draws, pictures and page and the end of the process: measured 1.2 to 1.6
EVALUATION_SECONDS = 0.1  # probes and a checkpoint, beside the scoring
COMPILE_AGAIN_SECONDS = 4.0  # the run's own model, after the one that was calibrated: from the compiler's cache

RATIOS = (0.55, 1.15)
"""Least and greatest of what runs of given steps took to what was expected: seven took 0.59 to 0.87 of it on a quiet
machine; the rest is for a busier one."""
LATE = (-3.0, 3.0)
"""Least and greatest of how much later than `--minutes` runs ended, to TOLERANCE of the minutes (what the horizon does
not correct) and the seconds after the last step (which are estimated)."""


@dataclass(frozen=True)
class Beside:
    """Seconds of what a run does beside its steps."""

    evaluation: float
    """Scoring, probes and the checkpoint."""
    draw: float
    """Texts drawn from the model, at the evaluations 0, 1, 2, 4, 8, ... and the last."""
    ending: float
    """After training: all that is held out once more, in float32, the pictures and the report."""


def beside_steps(config: Config, corpus: Corpus, shape: ModelShape, pace: Pace) -> Beside:
    """What follows from the pace of scoring."""
    held_out = min(len(corpus.validation), SCORED_TOKENS)
    scored = min(held_out, config.evaluation.tokens or held_out)
    draw = 0.01 * shape.layers * config.samples.max_new_tokens / 4
    return Beside(
        evaluation=pace.score_seconds * scored + EVALUATION_SECONDS,
        draw=draw,
        ending=2 * pace.score_seconds * held_out + REPORT_SECONDS + draw,
    )


def expected_minutes(
    config: Config, corpus: Corpus, shape: ModelShape, steps: int, pace: Pace, *, elapsed: float, compiled: bool
) -> Interval:
    """The minutes of the whole command, of which `elapsed` seconds are over: reading, baselines and calibrating took
    them, and take them again where this is only a plan.

    A number of steps: steps times the median step of the calibration, and all beside them; the interval is that sum
    with the first and third quartile of the calibration's steps instead, times RATIOS. Under `--minutes` the horizon
    is corrected while training, so what remains is LATE. Where patience may end the run, the interval begins at the
    earliest evaluation that can.
    """
    beside = beside_steps(config, corpus, shape, pace)
    every = config.evaluation.every or 1
    evaluations = 2 + (steps - 1) // every  # at step 0, at each `every`-th and at the last
    draws = 2 + (evaluations - 1).bit_length()
    more = evaluations * beside.evaluation + draws * beside.draw + COMPILE_AGAIN_SECONDS * compiled
    if config.training.minutes:
        budget = config.training.minutes * 60
        unit = TOLERANCE * budget + beside.ending
        soonest = elapsed + 2 * beside.evaluation + beside.ending
        middle = max(budget, soonest)
        low, high = middle + LATE[0] * unit, middle + LATE[1] * unit
    else:
        fast, middle, slow = (
            elapsed + steps * step + more + beside.ending for step in (pace.fast, pace.step_seconds, pace.slow)
        )
        low, high = RATIOS[0] * fast, RATIOS[1] * slow
    if (patience := config.training.patience or 0) and patience + 1 < evaluations:
        share = (patience + 1) / (evaluations - 1)
        low = min(low, elapsed + share * (low - elapsed - beside.ending) + beside.ending)
    return Interval(middle / 60, max(low, 0.0) / 60, high / 60)
