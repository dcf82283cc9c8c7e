"""`read` and `prepare`: what is in the documents, and a corpus made of them once for many runs."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.config import Config, load_config
from groundup.corpus import Corpus, is_corpus, prepare_corpus, read_clean
from groundup.documents import Document, FileRecord, Server, check_servers
from groundup.errors import Stopped, UserError
from groundup.events import Listener, Notice, nobody
from groundup.runs import read_journal, stop_on_signals
from groundup.verbs.request import PathLike, Paths, as_inputs


def read(
    paths: Paths, *, config: PathLike | None = None, settings: Mapping[str, Any] | None = None
) -> Iterator[Document | FileRecord]:
    """The text that training would see of each file: its documents, then its row of the ledger."""
    resolved = load_config(Path(config) if config else None, settings)
    return read_clean(as_inputs(paths), resolved)


def prepare(
    paths: Paths = (),
    *,
    out: PathLike,
    config: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    executor: str | None = None,
    tasks: int = 1,
    options: Mapping[str, Any] | None = None,
    listen: Listener = nobody,
) -> Corpus:
    """Read, clean, deduplicate, split and tokenize documents into the corpus directory `out`, which `train` takes as a
    PATH.

    A corpus that is there is brought up to date: only files that changed are read. Without `paths` it is opened as it
    is. With an `executor` (local, slurm or ray) datatrove does the work in `tasks` tasks on files that all of them
    see; `options` are arguments of its executor. Slurm only gets the jobs: the Corpus is there when they are done.
    Raises UserError when `out` holds something else, or nothing can be read.
    """
    resolved = load_config(Path(config) if config else None, settings)
    given, out = as_inputs(paths), Path(out)
    if executor is None and (tasks != 1 or options):
        raise UserError(
            "tasks and options are an executor's", where="--tasks", fix="give --executor, or leave them out"
        )
    if not given:
        if config or settings or executor:
            raise UserError("settings were given, but no documents", where=out, fix="give the documents as well")
        if not is_corpus(out):
            raise UserError("is not a corpus", where=out, fix="give the documents that it is to be made of")
        return Corpus(out)
    check_servers(given, resolved.data.query)
    if out.resolve() == Path.cwd():
        raise UserError("is the current folder", where=out, fix="give the corpus a folder of its own")
    if is_corpus(out):
        _warn_of_changes(Corpus(out), given, resolved, listen)
    if is_corpus(out) and (out.parent / "run.json").is_file():
        raise UserError(
            "belongs to a run, which would lose the text it learned from", where=out, fix="give another --out"
        )
    if out.exists() and not is_corpus(out) and (not out.is_dir() or any(out.iterdir())):
        raise UserError("exists already, and is no corpus", where=out, fix="give another --out, or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and not any(out.iterdir()):
            out.rmdir()
        with stop_on_signals() as stop:
            if executor is not None:
                prepare_with = _cluster()
                return prepare_with(
                    given,
                    out,
                    resolved,
                    executor=executor,
                    tasks=tasks,
                    options=options or {},
                    listen=listen,
                    poll=stop.poll,
                )
            return prepare_corpus(given, out, resolved, keep_texts=True, listen=listen, poll=stop.poll)
    except Stopped as stopped:
        raise Stopped(str(stopped), fix="run the same command again: what has been read is not read again") from None
    except OSError as error:
        free = shutil.disk_usage(out.parent if out.parent.exists() else Path.cwd()).free
        raise UserError(
            f"cannot be written: {error} ({free:,} bytes free)", where=out, fix="give another --out"
        ) from None


def _warn_of_changes(corpus: Corpus, given: Sequence[Path | Server], config: Config, listen: Listener) -> None:
    """Say which settings the corpus that is brought up to date was made with, where they are others now, and that
    other documents take the place of all it was made of."""
    folders = {os.path.abspath(path) for path in given if isinstance(path, Path)}  # noqa: PTH100 (links stay names)
    rows = read_journal(corpus.path / "ledger.jsonl")
    if folders and not any(_inside(str(row.get("path", "")).partition("!/")[0], folders) for row in rows):
        listen(Notice("none of the documents that the corpus was made of is given: others take their place", "warning"))
    now = config.values()
    for key, value in corpus.manifest["settings"].items():
        value = tuple(value) if isinstance(value, list) else value
        if key in now and now[key] != value:
            listen(Notice(f"{key} is {now[key]!r}; the corpus was made with {value!r}", "warning"))


def _inside(path: str, folders: set[str]) -> bool:
    place = Path(os.path.abspath(path))  # noqa: PTH100
    return any(str(parent) in folders for parent in (place, *place.parents))


def _cluster() -> Callable[..., Corpus]:
    try:
        from groundup.corpus.preparation.cluster import prepare_on_cluster
    except ModuleNotFoundError as error:
        raise UserError(
            f"needs the package {error.name}", where="--executor", fix="pip install 'groundup[cluster]'"
        ) from None
    return prepare_on_cluster
