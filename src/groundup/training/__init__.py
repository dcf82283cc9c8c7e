"""Batches and a model become weights: optimizers, schedules, the loop, and when it stops.

It emits events and knows no screen.
"""

from groundup.training.build import build_batches, build_model, build_optimizers
from groundup.training.checkpoint import restore
from groundup.training.compatible import check_fits
from groundup.training.horizon import Horizon
from groundup.training.job import Job
from groundup.training.loop import SCALE_START, fit, gradients
from groundup.training.loss import loss_sums
from groundup.training.metrics import Metrics
from groundup.training.optimizers import Optimizers, build_optimizer, clip_gradients
from groundup.training.restarts import choose_checkpoint, missing_best
from groundup.training.rewinds import Rewinds, abandoned
from groundup.training.schedules import multiplier
from groundup.training.state import State, Sums

__all__ = [
    "SCALE_START",
    "Horizon",
    "Job",
    "Metrics",
    "Optimizers",
    "Rewinds",
    "State",
    "Sums",
    "abandoned",
    "build_batches",
    "build_model",
    "build_optimizer",
    "build_optimizers",
    "check_fits",
    "choose_checkpoint",
    "clip_gradients",
    "fit",
    "gradients",
    "loss_sums",
    "missing_best",
    "multiplier",
    "restore",
]
