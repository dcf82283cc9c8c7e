"""Corpus, machine and budget become sizes, rates and a schedule, each with its reason.

`decide` settles a run before its first step; `make_plan` is the part of it that needs no clock.
"""

from groundup.planning.calibrate import Pace, calibrate, matrix_flops_per_second
from groundup.planning.decisions import announce, decide
from groundup.planning.plan import DEFAULT_MINUTES, Plan, make_plan, most_steps, plan_length, shape_of, warmup_steps
from groundup.planning.sizes import SHAPES, Size

__all__ = [
    "DEFAULT_MINUTES",
    "SHAPES",
    "Pace",
    "Plan",
    "Size",
    "announce",
    "calibrate",
    "decide",
    "make_plan",
    "matrix_flops_per_second",
    "most_steps",
    "plan_length",
    "shape_of",
    "warmup_steps",
]
