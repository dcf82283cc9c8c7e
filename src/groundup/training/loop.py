"""The training loop: batches and a model become weights.

Read `fit` from top to bottom. What happens at a step comes in one order (save, evaluate, log, update), and everything
before the update is a pure function of the checkpoint of that step: so a run resumed there repeats it byte for byte.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from groundup import runs
from groundup.config import Config
from groundup.corpus import IGNORE, Batches, Tokenizer
from groundup.evaluation import Scores, Windows, probe, score
from groundup.events import Listener, Logged, Notice, Progress, Sampled, Saved
from groundup.inference import SamplingSettings, generate
from groundup.model import Transformer
from groundup.parallel import Compute
from groundup.seeds import derive
from groundup.training.checkpoint import writer
from groundup.training.horizon import Horizon
from groundup.training.metrics import Metrics
from groundup.training.optimizers import Optimizers, clip_gradients
from groundup.training.schedules import multiplier
from groundup.training.state import State, Sums


@dataclass
class Job:
    """Everything `fit` works with."""

    run: runs.Run
    config: Config
    model: Transformer
    tokenizer: Tokenizer
    optimizers: Optimizers
    batches: Batches
    validation: Windows | None
    """The fixed part of the validation split that evaluations in training score."""
    probes: Sequence[str]
    prompts: Sequence[str]
    byte_lengths: Tensor
    """(V,) int64 on the CPU."""
    compute: Compute
    horizon: Horizon
    metrics: Metrics
    listen: Listener
    poll: Callable[[], None]


def fit(job: Job, state: State) -> str:
    """Train from `state` until the horizon, the patience or bad numbers end it; return which.

    Raises Stopped, with a checkpoint of the last finished step published, when `job.poll` does.
    """
    loss = job.compute.compile(_loss)
    clock = _Clock(state.tokens)
    last = (
        -1 if state.step == 0 else state.step
    )  # what was done at this step before a resume is done again below
    try:
        while True:
            final = state.step >= job.horizon.total
            evaluating = final or state.step % _decided(job.config.evaluation.every) == 0
            if evaluating or state.step % _decided(job.config.checkpoint.every) == 0:
                _save(job, state)
            if state.step == 0:
                state.window = _first_batch(job)
            validation = _evaluate(job, state, final) if evaluating else None
            if evaluating or state.step % _decided(job.config.training.log_every) == 0:
                _log(job, state, validation, clock)
            if reason := _why_finished(job, state, final, evaluating):
                return reason
            job.horizon.correct(state.step)
            last = state.step
            _update(job, state, loss)
            clock.tick(job, state)
    except runs.Stopped:
        if state.step > last >= 0 or state.step == 0:
            pass
        _save(job, state)
        raise
