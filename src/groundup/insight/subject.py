"""A run, or a checkpoint of one, opened for insight: everything is read when it is first asked for, nothing changed."""

from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.config import Config
from groundup.corpus import Corpus, Tokenizer
from groundup.errors import UserError
from groundup.model import Transformer, load_model
from groundup.parallel import decide_compute
from groundup.runs import Run, find_checkpoint, published, read_entries


class Subject:
    """What is looked at. Every property raises UserError, naming what is missing, where the run does not have it."""

    def __init__(self, path: Path, checkpoint: Path | None, run: Run | None) -> None:
        self.path = path
        """As it was given."""
        self.given = checkpoint
        """The checkpoint that was asked for; None for a run, of which the best is looked at."""
        self._run = run

    @classmethod
    def open(cls, path: str | Path, *, checkpoint: str | Path | None = None) -> "Subject":
        """The run at `path`, or the checkpoint there with the run around it; `checkpoint` is used instead of the best.

        Raises UserError when `path` is neither.
        """
        path = Path(path)
        chosen = Path(checkpoint) if checkpoint is not None else None
        if (path / "config.json").is_file() and (path / "model.safetensors").is_file():
            home = path.resolve().parent
            return cls(path, chosen or path, Run.open(home) if (home / "run.json").is_file() else None)
        return cls(path, chosen, Run.open(path))

    @property
    def has_run(self) -> bool:
        """Whether there is a run around the checkpoint."""
        return self._run is not None

    @cached_property
    def run(self) -> Run:
        """The run directory."""
        if self._run is None:
            raise UserError(
                "is a checkpoint outside its run, and this needs the run",
                where=self.path,
                fix="give the run's directory",
            )
        return self._run

    @cached_property
    def checkpoint(self) -> Path:
        """The directory of the checkpoint that is looked at: the one given, else the best."""
        return find_checkpoint(self.given or self.run.path)

    @cached_property
    def checkpoints(self) -> dict[int, Path]:
        """Every checkpoint that the run has kept, by step, oldest first."""
        return published(self.run.path)

    @cached_property
    def config(self) -> Config:
        """The resolved configuration that the run was started with."""
        if not (self.run.path / "config.toml").is_file():
            raise UserError(
                "the run is not planned yet", where=self.run.path, fix=f"`groundup resume {self.path}` continues it"
            )
        return self.run.config()

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus that the run learned from."""
        return Corpus(self.run.corpus)

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The entries of metrics.jsonl."""
        entries = read_entries(self.run.path)
        if not entries:
            raise UserError(
                "the run has no figures yet", where=self.run.path, fix=f"`groundup resume {self.path}` continues it"
            )
        return entries

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's tokenizer."""
        return Tokenizer.load(self.checkpoint / "tokenizer.json")

    @cached_property
    def model(self) -> Transformer:
        """The checkpoint's model, in evaluation mode, float32 on the CPU: the same figures wherever it is looked at."""
        return self.load(self.checkpoint)

    def load(self, checkpoint: Path) -> Transformer:
        """The model of another checkpoint of the run, like `model`."""
        here = Config()
        here.device.device, here.device.precision = "cpu", "float32"
        return load_model(checkpoint, decide_compute(here).device)
