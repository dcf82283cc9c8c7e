"""The names inside a run directory, and the facts of a run in run.json."""

import json
from pathlib import Path
from typing import Any

from groundup.config import Config, load_config
from groundup.errors import UserError
from groundup.runs.checkpoints import published
from groundup.runs.facts import RUN_VERSION, check_facts
from groundup.runs.files import read_json, write_atomic
from groundup.runs.manifest import verify


class Run:
    """A run directory; `info` is the content of its run.json."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info: dict[str, Any] = {"version": RUN_VERSION}

    @classmethod
    def open(cls, path: Path) -> "Run":
        """An existing run. Raises UserError when `path` is none, or its run.json is damaged."""
        if not path.is_dir():
            raise UserError("no such run directory", where=path, fix="`groundup train PATH... --out DIR` makes one")
        if not (path / "run.json").is_file():
            raise UserError(
                "is not a run directory: it has no run.json",
                where=path,
                fix="give the directory that `groundup train --out` made",
            )
        run = cls(path)
        run.info = check_facts(read_json(path / "run.json"), path / "run.json")
        return run

    def update(self, **facts: Any) -> None:
        """Change facts in run.json, durably before this returns."""
        self.info.update(facts)
        write_atomic(
            self.path / "run.json",
            json.dumps(self.info, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        )

    def config(self) -> Config:
        """The resolved configuration the run was started with."""
        return load_config(self.path / "config.toml")

    @property
    def corpus(self) -> Path:
        """The directory of the corpus: inside the run, or the shared one that it refers to."""
        reference = self.path / "corpus" / "reference.json"
        if not reference.is_file():
            return self.path / "corpus"
        content = read_json(reference)
        path = content.get("path") if isinstance(content, dict) else None
        if not isinstance(path, str) or not path or "\0" in path:
            raise UserError("names no corpus", where=reference, fix='it should hold {"path": "the/corpus"}')
        return Path(path)


def find_checkpoint(path: Path) -> Path:
    """The checkpoint to use for `path`: itself when it is one, else the run's best, else its newest.

    Raises UserError when there is none, or when its files are damaged.
    """
    if (path / "config.json").is_file() and (path / "model.safetensors").is_file():
        chosen = path
    else:
        run = Run.open(path)
        best, steps = run.path / "best", published(run.path)
        # a link may have been made to lead elsewhere
        inside = best.is_dir() and any(best.iterdir()) and best.resolve().parent == run.path.resolve()
        if not steps and not inside:
            raise UserError("the run has no checkpoint yet", where=path, fix=f"`groundup resume {path}` continues it")
        chosen = best.resolve() if inside else list(steps.values())[-1]
    if (chosen / "manifest.json").is_file() and (problems := verify(chosen)):
        raise UserError(
            "the checkpoint is damaged: " + "; ".join(problems),
            where=chosen,
            fix="use another step-* directory of the run",
        )
    return chosen
