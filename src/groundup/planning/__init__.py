"""Corpus, machine and budget become sizes, rates and a schedule, each with its reason.

`make_plan` fills what the user left open in the configuration; `calibrate` measures a step where a clock is to be met.
"""

from groundup.planning.calibrate import TRAINING_SHARE, Pace, calibrate, matrix_flops_per_second
from groundup.planning.plan import DEFAULT_MINUTES, Plan, make_plan, shape_of
from groundup.planning.sizes import SHAPES, Size

__all__ = [
    "DEFAULT_MINUTES",
    "SHAPES",
    "TRAINING_SHARE",
    "Pace",
    "Plan",
    "Size",
    "calibrate",
    "make_plan",
    "matrix_flops_per_second",
    "shape_of",
]
