"""What a verb is asked for, as configuration and paths: shared by those that train and plan."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.config import Config, load_config
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.planning import DEFAULT_MINUTES

PathLike = str | os.PathLike[str]
Paths = PathLike | Sequence[PathLike]


def as_paths(paths: Paths) -> list[Path]:
    """One path or several, as Paths. Raises UserError for an empty one, as an unset shell variable gives it."""
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if "" in several:
        raise UserError("an empty path was given", fix="check the shell variable; `.` is the current folder")
    return [Path(path) for path in several]


def configure(
    config: PathLike | None, settings: Mapping[str, Any] | None, size: str | None, budget: Mapping[str, float | None]
) -> Config:
    """The configuration of a TOML file, changed by settings, the dial and a budget; without any, DEFAULT_MINUTES."""
    overrides = {f"training.{name}": value for name, value in budget.items() if value is not None}
    overrides |= {"size": size} if size else {}
    resolved = load_config(Path(config) if config else None, {**(settings or {}), **overrides})
    if not any(getattr(resolved.training, name) for name in budget):
        resolved.decide("training.minutes", DEFAULT_MINUTES, "no budget was given: minutes, steps, tokens or epochs")
    return resolved


def adopt_corpus(config: Config, corpus: Corpus) -> None:
    """Take a prepared corpus's own settings into `config`. Raises UserError where the user asked for others."""
    for key, value in corpus.manifest["settings"].items():
        asked = config.get(key)
        if key in config.origins and key not in config.planned and asked != value:
            raise UserError(
                f"{key} = {asked!r}, but the corpus was prepared with {value!r}",
                where=corpus.path,
                fix="leave the setting out, or prepare the corpus again with it",
            )
        section, name = key.split(".")
        setattr(getattr(config, section), name, value)
        config.origins[key] = "the prepared corpus"
