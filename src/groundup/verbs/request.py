"""What a verb is asked for, as configuration and paths: shared by those that train and plan."""

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.config import Config, load_config
from groundup.corpus import Corpus, is_corpus
from groundup.documents import Server, as_sources, find_files
from groundup.errors import UserError
from groundup.runs import make_directory

PathLike = str | os.PathLike[str]
Paths = PathLike | Sequence[PathLike]


def as_paths(paths: Paths) -> list[Path]:
    """One path or several, as Paths. Raises UserError for an empty one, as an unset shell variable gives it."""
    return [Path(path) for path in _several(paths)]


def as_inputs(paths: Paths) -> list[Path | Server]:
    """The same for documents, where a path may be the URL of a database; the str() of its Server has no password."""
    return as_sources([path if isinstance(path, str) else Path(path) for path in _several(paths)])


def prepared_corpus(given: Sequence[Path | Server]) -> Path | None:
    """The directory that `groundup prepare` made, where `given` is just that."""
    return path if len(given) == 1 and isinstance(path := given[0], Path) and is_corpus(path) else None


def _several(paths: Paths) -> list[PathLike]:
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if "" in several:
        raise UserError("an empty path was given", fix="check the shell variable; `.` is the current folder")
    return several


def configure(
    config: PathLike | None, settings: Mapping[str, Any] | None, size: str | None, budget: Mapping[str, float | None]
) -> Config:
    """The configuration of a TOML file, changed by settings, the dial and a budget; without any, DEFAULT_MINUTES."""
    from groundup.planning import DEFAULT_MINUTES  # not at the top: it loads torch, and reading needs none

    overrides = {f"training.{name}": value for name, value in budget.items() if value is not None}
    overrides |= {"size": size} if size else {}
    resolved = load_config(Path(config) if config else None, {**(settings or {}), **overrides})
    if not any(getattr(resolved.training, name) for name in budget):
        resolved.decide("training.minutes", DEFAULT_MINUTES, "no budget was given: minutes, steps, tokens or epochs")
    return resolved


def adopt_corpus(config: Config, corpus: Corpus) -> None:
    """Take a prepared corpus's own settings into `config`. Raises UserError where the user asked for others."""
    for key, value in corpus.manifest["settings"].items():
        value = tuple(value) if isinstance(value, list) else value  # as JSON gives it
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


def as_request(given: Sequence[Path | Server], config: Config) -> dict[str, Any]:
    """What is asked for, as JSON keeps it and `differences` compares it."""
    return {
        "paths": [str(path.resolve() if isinstance(path, Path) else path) for path in given],
        "settings": plain(config.values()),
        "inputs": fingerprint(given, config.data.exclude),
    }


def new_directory(path: Path, what: str, file: str) -> None:
    """Make `path`, which `file` will make that of a run, or of `what` else, unless it is there and empty.

    Raises UserError where it is no directory, or not empty.
    """
    try:
        make_directory(path)
        # what a process leaves that is killed before `file` is written is no stranger
        strangers = [entry.name for entry in path.iterdir() if not entry.name.startswith((".lock", f".{file}."))]
    except (NotADirectoryError, FileExistsError):
        raise UserError("is not a directory", where=path, fix="give another --out") from None
    if strangers:
        raise UserError(
            f"is not empty and holds no {what} (there is {strangers[0]!r})",
            where=path,
            fix="give an empty or new --out",
        )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two requests for a run, in words."""
    found = []
    if before.get("paths") != now["paths"]:
        found.append(f"its documents are {', '.join(before.get('paths', []))}")
    elif before.get("inputs") != now["inputs"]:
        found.append("its documents changed since it began")
    defaults = plain(Config().values())  # of settings that there were not yet when it began
    old, new = {**defaults, **before.get("settings", {})}, {**defaults, **now["settings"]}
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            found.append(f"{key} is {old.get(key, 'not set')} there, {new.get(key, 'not set')} here")
    return found


def fingerprint(paths: Sequence[Path | Server], exclude: Sequence[str]) -> str:
    """A name for the state of the input files: their paths, sizes and times, without reading them.

    What is in a database has no state that could be asked for."""
    name = hashlib.sha256()
    for path in find_files(paths, exclude):
        if isinstance(path, Path):
            try:
                status = path.stat()
            except OSError:
                continue
            name.update(f"{os.fsencode(path.resolve())!r} {status.st_size} {status.st_mtime_ns}\n".encode())
    return name.hexdigest()[:32]


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as JSON gives them back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def shell_command(request: Mapping[str, Any], directory: Path) -> str:
    """The shell command that repeats the run of a request."""
    defaults = plain(Config().values())
    settings = {key: value for key, value in request["settings"].items() if defaults.get(key) != value}
    words = ["groundup", "train", *request["paths"], "--out", str(directory)]
    for key, value in settings.items():
        name = key.removeprefix("training.")
        if name in ("minutes", "steps", "epochs", "tokens", "size"):
            words += [f"--{name}", str(value)]
        else:
            words += ["--set", f"{key}={json.dumps(value) if not isinstance(value, str) else value}"]
    return shlex.join(words)
