"""The optimizer's state of a run's newest checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from groundup.errors import UserError
from groundup.insight.subject import Subject


@dataclass(frozen=True)
class Moments:
    """`tensors` by name, as `Optimizers.state_tensors` gives them, after `step` updates."""

    checkpoint: Path
    step: int
    tensors: dict[str, Tensor]


def newest_moments(subject: Subject) -> Moments | None:
    """Those of the newest checkpoint; None before the first update. Raises UserError where they are gone or damaged."""
    if not subject.checkpoints:
        raise UserError("the run has no checkpoint yet", where=subject.run.path)
    step, checkpoint = list(subject.checkpoints.items())[-1]
    path = checkpoint / "training" / "optimizer.safetensors"
    try:
        return Moments(checkpoint, step, load_file(path)) if step else None
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot be read: {error}", where=path, fix="the state of the optimizer is needed") from None
