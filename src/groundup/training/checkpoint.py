"""A training state to a checkpoint directory and back: a Hugging Face model, with `training/` beside it."""

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from groundup.corpus import Tokenizer
from groundup.errors import UserError
from groundup.model import Transformer, load_weights, save_files
from groundup.training.optimizers import Optimizers
from groundup.training.state import State


def writer(model: Transformer, tokenizer: Tokenizer, optimizers: Optimizers, state: State) -> Callable[[Path], None]:
    """A function that writes all files of a checkpoint into a directory; `runs.publish` makes them durable."""

    def write(directory: Path) -> None:
        training = directory / "training"
        training.mkdir()
        tensors: dict[str, Tensor] = {name: tensor.contiguous() for name, tensor in optimizers.state_tensors().items()}
        try:
            save_files(model, directory, tokenizer=tokenizer.to_json().encode(), eos_id=tokenizer.eos_id)
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
