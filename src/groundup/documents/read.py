"""Reads files into documents: a pool of limited reader processes, their results in the order of the files."""

from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path

from groundup.cores import usable_cores
from groundup.documents.document import Document, FileRecord, Limits, Options
from groundup.documents.files import find_files
from groundup.documents.pool import Pool, Task
from groundup.errors import UserError


def read_documents(
    paths: Sequence[Path],
    *,
    limits: Limits = Limits(),  # noqa: B008 (it is frozen)
    options: Options = Options(),  # noqa: B008
    workers: int | None = None,
) -> Generator[Document | FileRecord, None, None]:
    """The documents of every file in `paths` (folders are walked, archives are entered), each file's
    FileRecord after its documents, in the order of `find_files` whatever the number of `workers`.

    Files are read in `workers` child processes (default: the usable cores, at most OMP_NUM_THREADS) that are
    stopped and replaced when they pass the limits, so a bad file costs only itself; documents that a file
    gave before it failed stay. About 64 MB are read ahead. Closing the iterator ends the processes.
    Raises UserError for a path that does not exist."""
    if workers is not None and workers < 1:
        raise UserError(f"{workers} reader processes were asked for", where="workers", fix="ask for at least 1")
    return _read(paths, limits, options, workers or usable_cores())


def _read(
    paths: Sequence[Path], limits: Limits, options: Options, workers: int
) -> Generator[Document | FileRecord, None, None]:
    found = find_files(paths)
    pool = Pool(workers, limits, options)
    window: deque[Task | FileRecord] = deque()
    try:
        while True:
            while len(window) < 16 + 4 * workers and (item := next(found, None)) is not None:
                window.append(pool.submit(item) if isinstance(item, Path) else item)
            if not window:
                return
            head = window.popleft()
            if isinstance(head, FileRecord):
                yield head
            else:
                yield from pool.results(head)
    finally:
        pool.close()
