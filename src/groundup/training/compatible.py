"""Whether a checkpoint is the run's own: the same architecture, the same tokens."""

from dataclasses import fields
from pathlib import Path

from groundup.corpus import Tokenizer
from groundup.errors import UserError
from groundup.model import ModelShape, load_shape


def check_fits(checkpoint: Path, shape: ModelShape, tokenizer: Tokenizer) -> None:
    """Raise UserError with every difference between a checkpoint and the run that is to go on from it: the `shape` of
    its configuration and the `tokenizer` of its corpus. No memory is taken for weights yet."""
    other = Tokenizer.load(checkpoint / "tokenizer.json")
    if difference := tokenizer.difference(other):
        raise UserError(
            f"the corpus has another tokenizer than the checkpoint: {difference}",
            where=checkpoint / "tokenizer.json",
            fix="restore the corpus that this run began with, or begin another run with another --out",
        )
    saved = load_shape(checkpoint)
    differences = [
        f"model.{entry.name} is {getattr(saved, entry.name)} in the checkpoint, {getattr(shape, entry.name)} in the run"
        for entry in fields(ModelShape)
        if entry.name != "dropout" and getattr(saved, entry.name) != getattr(shape, entry.name)
    ]
    if differences:
        raise UserError(
            "another architecture: " + "; ".join(differences),
            where=checkpoint / "config.json",
            fix="put config.toml of the run back as it was, or begin another run with another --out",
        )
