"""Reads files into documents: a pool of limited reader processes, their results in the order of the files."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from groundup.cores import usable_cores
from groundup.documents.databases import Server, check_servers, could_not_read
from groundup.documents.document import Document, FileRecord, Limits, Options
from groundup.documents.files import as_sources, find_files
from groundup.documents.pieces import Piece, in_pieces
from groundup.documents.pool import Pool, Task
from groundup.errors import UserError

T = TypeVar("T")


def read_documents(
    paths: Sequence[Path | Server | str],
    *,
    limits: Limits = Limits(),  # noqa: B008 (it is frozen)
    options: Options = Options(),  # noqa: B008
    exclude: Sequence[str] = (),
    workers: int | None = None,
) -> Generator[Document | FileRecord, None, None]:
    """The documents of every file in `paths` (folders are walked, archives are entered, servers are asked
    `options.query`), each file's FileRecord after its documents, in the order of `find_files`, which leaves out what
    matches `exclude`, whatever the number of `workers`.

    Files are read in `workers` child processes (default: the usable cores, at most OMP_NUM_THREADS) that are
    stopped and replaced when they pass the limits, so a bad file costs only itself; documents that a file
    gave before it failed stay. About 64 MB are read ahead. Closing the iterator ends the processes.
    Raises UserError for a path that does not exist and for a server that gives nothing but an error."""
    if workers is not None and workers < 1:
        raise UserError(f"{workers} reader processes were asked for", where="workers", fix="ask for at least 1")
    sources = as_sources(paths)
    check_servers(sources, options.query)
    found = in_pieces(find_files(sources, exclude))
    return read_found(found, limits=limits, options=options, workers=workers or usable_cores())


def read_found(
    found: Iterator[Path | Piece | Server | T], *, limits: Limits, options: Options, workers: int
) -> Generator[Document | FileRecord | T, None, None]:
    """The same for what `find_files` found; what is no Path, Piece or Server is handed on in its place."""
    pool = Pool(workers, limits, options)
    window: deque[Task | T] = deque()
    try:
        while True:
            while len(window) < 16 + 4 * workers and (item := next(found, None)) is not None:
                window.append(pool.submit(item) if isinstance(item, Path | Piece | Server) else item)
            if not window:
                return
            head = window.popleft()
            if isinstance(head, Task):
                for item in pool.results(head):
                    if (
                        isinstance(head.path, Server)
                        and isinstance(item, FileRecord)
                        and item.status == "failed"
                        and not item.documents
                    ):
                        raise could_not_read(head.path, item.reason)
                    yield item
            else:
                yield head
    finally:
        pool.close()
