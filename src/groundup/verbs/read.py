"""`read` and `prepare`: what is in the documents, and a corpus made of them once for many runs."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from groundup.config import load_config
from groundup.corpus import Corpus, prepare_corpus, read_clean
from groundup.documents import Document, FileRecord, check_servers
from groundup.errors import UserError
from groundup.events import Listener, nobody
from groundup.runs import stop_on_signals
from groundup.verbs.request import PathLike, Paths, as_inputs


def read(
    paths: Paths, *, config: PathLike | None = None, settings: Mapping[str, Any] | None = None
) -> Iterator[Document | FileRecord]:
    """The text that training would see of each file: its documents, then its row of the ledger."""
    resolved = load_config(Path(config) if config else None, settings)
    return read_clean(as_inputs(paths), resolved)


def prepare(
    paths: Paths,
    *,
    out: PathLike,
    config: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    listen: Listener = nobody,
) -> Corpus:
    """Read, deduplicate, split and tokenize documents into the corpus directory `out`, which `train` takes as a PATH.

    Raises UserError when `out` exists or nothing can be read.
    """
    resolved = load_config(Path(config) if config else None, settings)
    given, out = as_inputs(paths), Path(out)
    check_servers(given, resolved.data.query)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("exists already", where=out, fix="give another --out, or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            out.rmdir()
        with stop_on_signals() as stop:
            return prepare_corpus(given, out, resolved, listen=listen, poll=stop.poll)
    except OSError as error:
        free = shutil.disk_usage(out.parent if out.parent.exists() else Path.cwd()).free
        raise UserError(
            f"cannot be written: {error} ({free:,} bytes free)", where=out, fix="give another --out"
        ) from None
