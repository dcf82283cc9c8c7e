"""A training state to a checkpoint directory and back: a Hugging Face model, with `training/` beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from groundup.errors import UserError
from groundup.model import Transformer, load_weights, save_files
from groundup.training.optimizers import Optimizers
from groundup.training.state import State


class Staging:
    """A copy of tensors in memory that is used again by the next copy."""

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}

    @torch.no_grad()
    def copy(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The values that `tensors` have now, on the CPU; they stay as they are until the next call."""
        for name, tensor in tensors.items():
            if name not in self._held:  # pinned: what a GPU copies into it needs no second copy on the way
                self._held[name] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._held[name].copy_(tensor)
        return self._held


def writer(
    model: Transformer,
    tokenizer: bytes,
    eos_id: int,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    state: State,
) -> Callable[[Path], None]:
    """A function that writes all files of a checkpoint into a directory; `runs.publish` makes them durable.

    `tokenizer` is its JSON. `weights` and `moments` (the optimizer's state) must not change until it has been called:
    `model` gives only the shape.
    """

    def write(directory: Path) -> None:
        training = directory / "training"
        training.mkdir()
        tensors = {name: tensor.contiguous() for name, tensor in moments.items()}
        try:
            save_files(model, directory, tokenizer=tokenizer, eos_id=eos_id, weights=weights)
            save_file(tensors, training / "optimizer.safetensors")
        except SafetensorError as error:  # how safetensors says that the disk is full
            raise OSError(str(error)) from error
        (training / "state.json").write_text(state.to_json(), encoding="utf-8")

    return write


def restore(checkpoint: Path, model: Transformer, optimizers: Optimizers) -> State:
    """Fill `model` and `optimizers` from a checkpoint, return its state; raises UserError naming what does not fit."""
    path = checkpoint / "training" / "optimizer.safetensors"
    load_weights(model, checkpoint)
    try:
        optimizers.load_state_tensors(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(str(error), where=path) from None
    return State.load(checkpoint / "training" / "state.json")


def finite(model: nn.Module) -> bool:
    """Whether every weight is a finite number."""
    with torch.no_grad():
        sums = torch.stack([parameter.sum(dtype=torch.float32) for parameter in model.parameters()])
        # a sum of finite numbers may overflow; that of others is never finite
        return bool(sums.isfinite().all()) or all(bool(p.isfinite().all()) for p in model.parameters())
