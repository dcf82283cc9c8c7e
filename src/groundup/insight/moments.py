"""The state that the optimizer of a run has kept in a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from groundup.errors import UserError
from groundup.insight.subject import Subject
from groundup.training import State


@dataclass(frozen=True)
class Moments:
    """`tensors` by name, as `Optimizers.state_tensors` gives them, after `step` updates."""

    checkpoint: Path
    step: int
    tensors: dict[str, Tensor]


def load_moments(subject: Subject) -> Moments | None:
    """Those of the checkpoint that was asked for, else of the run's newest; None before the first update.

    Raises UserError where they are gone or damaged.
    """
    if not (subject.given or subject.checkpoints):
        raise UserError("the run has no checkpoint yet", where=subject.run.path)
    checkpoint = subject.checkpoint if subject.given else list(subject.checkpoints.values())[-1]
    step = State.load(checkpoint / "training" / "state.json").step
    path = checkpoint / "training" / "optimizer.safetensors"
    try:
        return Moments(checkpoint, step, load_file(path)) if step else None
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot be read: {error}", where=path, fix="the state of the optimizer is needed") from None
