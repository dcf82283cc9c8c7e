"""Updates that went wrong: spikes of the loss and the gradient norm are found, and recorded like those not finite.

Both figures are compared with their medians over a window, in median absolute deviations, which spikes do not move:
z = (x - median) / (1.4826 MAD), a standard score where values are normal (Iglewicz & Hoaglin 1993, How to Detect and
Handle Outliers, section 3.3; 1.4826 is 1 / 0.6745). The window is part of the state that checkpoints keep, and all
processes of a group have the same numbers: each finds the same spikes, as does a run that was resumed.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.events import Notice
from groundup.training.job import Job
from groundup.training.state import State

STEADY = 0.01
"""Share of the median that a deviation is at least taken for: the noise of a steady loss holds no spikes."""


def robust_z(value: float, window: Sequence[float]) -> float:
    """How many standard deviations `value` is above the median of `window`, with the deviation estimated robustly."""
    middle = _median(window)
    deviation = 1.4826 * _median([abs(x - middle) for x in window])
    return (value - middle) / max(deviation, STEADY * abs(middle), 1e-12)


def judge(job: Job, state: State, loss: float, norm: float) -> None:
    """Compare the finite loss and gradient norm of an update with the window before it, record it where one is a spike,
    count spikes of the loss in `state.spikes`, and let the window move on."""
    health, z = job.config.health, (0.0, 0.0)
    if health.spike and len(state.losses) >= health.window:
        z = robust_z(loss, state.losses), robust_z(norm, state.norms)
        if max(z) >= health.spike:
            facts = {"loss": loss, "loss_z": round(z[0], 2), "grad_norm": norm, "grad_norm_z": round(z[1], 2)}
            words = f"loss {loss:.4g} (z {z[0]:.1f}), gradient norm {norm:.4g} (z {z[1]:.1f})"
            record(job, state, {"event": "spike", **facts}, f"a spike: {words}")
    # a gradient norm by itself is no reason to go back: it is clipped, and on small batches a tail of it is normal
    state.spikes = state.spikes + 1 if z[0] >= health.spike > 0 else 0
    state.losses = (*state.losses, loss)[-health.window :]
    state.norms = (*state.norms, norm)[-health.window :]


def record(job: Job, state: State, what: Mapping[str, Any], words: str) -> None:
    """Put what happened at the update of `state` into metrics.jsonl, with its samples, and say so."""
    batch = {"batch": state.batch, "sequences": [list(pair) for pair in job.batches.sequences(state.batch)]}
    job.metrics.happened({"step": state.step, **what, **batch, "text": f"groundup batch RUN {state.batch}"})
    if job.group.is_main:
        shown = f"`groundup batch {shlex.quote(str(job.run.path))} {state.batch}` shows its text"
        job.listen(Notice(f"step {state.step}: {words}; {shown}", "warning"))


def _median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
