"""Files to texts on disk: every file once, those that did not change since an earlier preparation not again."""

import hashlib
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from groundup.cores import usable_cores
from groundup.corpus.preparation.store import Kept, PartWriter, header_of, kept_files, part_path, read_headers
from groundup.documents import Document, FileRecord, Limits, Options, Server, find_files
from groundup.documents.files import show
from groundup.documents.pieces import Piece, in_pieces
from groundup.documents.read import read_found
from groundup.errors import UserError
from groundup.events import Listener, Notice, Phase, Progress
from groundup.runs import Journal

_FRESH = 2_000_000_000  # nanoseconds: a file that changed this shortly before it was read may change without a trace


@dataclass(slots=True)
class _Same:
    path: Path | Piece
    stat: tuple[int, ...]
    kept: Kept


def read_texts(
    paths: Sequence[Path | Server],
    folder: Path,
    options: Options,
    earlier: Sequence[Path],
    *,
    exclude: Sequence[str] = (),
    listen: Listener,
    poll: Callable[[], None],
    complete: Callable[[int], None] = lambda part: None,
) -> int:
    """Write the texts of `paths` but what matches `exclude` into parts in `folder`, and say which of them are
    `complete`; the number of parts.

    Files that one of the folders in `earlier` has, and that have not changed, are copied from there. Raises UserError
    for a path that does not exist, or when nothing can be read.
    """
    reading = {"groundup": version("groundup"), **asdict(options)}
    before: dict[str, Kept] = {}
    for place in earlier:
        before |= kept_files(place, reading)
    total = sum(1 for _ in in_pieces(find_files(paths, exclude)))
    listen(Phase("reading", total, "files"))
    totals = {"read": 0, "skipped": 0, "failed": 0}
    folder.mkdir(parents=True)
    writer, journal = PartWriter(folder), Journal(folder / "files.jsonl")
    journal.append({"reading": reading})
    waiting: deque[tuple[Path | Piece, str, tuple[int, ...] | None]] = deque()
    start = writer.tell()  # of what the file that is being read gave
    done = texts = 0

    def write(header: Mapping[str, Any], text: bytes = b"") -> None:
        nonlocal texts
        texts += len(text) > 0
        if (part := writer.write(header, text)) is not None:
            complete(part)

    def count(record: Mapping[str, Any]) -> None:
        totals[record["status"]] += 1
        if record["status"] == "failed":
            listen(Notice(f"{record['path']}: {record['reason']}", "warning"))
        listen(Progress(min(done, total), record["path"]))

    def begin_next() -> None:
        nonlocal done, start
        done, start, writer.checksum = done + 1, writer.tell(), 0

    def finish(path: Path | Piece, stat: tuple[int, ...] | None, digest: str | None) -> None:
        writer.flush()
        if stat is not None and stat == _stat(path) and (digest := digest or _digest(path)):
            ranges = _ranges(folder, start, writer.tell())
            row = {"path": show(str(path)), "stat": stat, "read_at": time.time_ns(), "digest": digest}
            journal.append({**row, "ranges": ranges, "checksum": writer.checksum})

    def found() -> Iterator[Path | Piece | Server | FileRecord | _Same]:
        for item in in_pieces(find_files(paths, exclude)):
            if isinstance(item, Path | Piece):
                name = show(str(item))
                stat, kept = _stat(item), before.get(name)
                if kept and stat and _unchanged(item, stat, kept) and kept.intact():
                    yield _Same(item, stat, kept)
                    continue
                waiting.append((item, name, stat))
            yield item

    # closed at once when `poll` raises: an exception that is kept would keep the reader processes, too
    limits = Limits()
    with closing(read_found(found(), limits=limits, options=options, workers=usable_cores())) as items:
        for item in items:
            poll()
            if isinstance(item, _Same):
                for header, text in item.kept.items():
                    write(header, text)
                    if "record" in header:
                        count(header["record"])
                finish(item.path, item.stat, item.kept.digest)
                begin_next()
                continue
            text = item.text.encode() if isinstance(item, Document) else b""
            write(header_of(item, text), text)
            if isinstance(item, Document):
                continue
            count(asdict(item))
            if waiting and item.path.startswith(waiting[0][1] + "!/"):
                continue  # a member of an archive; the row of the archive comes after them
            if waiting and item.path == waiting[0][1]:
                path, _, stat = waiting.popleft()
                finish(path, stat if item.status != "failed" else None, None)
            begin_next()
    writer.close()
    journal.close()
    if not texts:
        reasons = _first_reasons(folder)
        shutil.rmtree(folder)
        raise UserError(
            f"no text could be read: {totals['skipped']} files skipped, {totals['failed']} failed" + reasons,
            where=", ".join(str(path) for path in paths),
            fix="give a folder or files with text in them; `groundup read FILE` shows what is read of a file",
        )
    return writer.part + 1


def _stat(path: Path | Piece) -> tuple[int, ...] | None:
    try:
        status = path.path.stat() if isinstance(path, Piece) else path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _unchanged(path: Path | Piece, stat: tuple[int, ...], kept: Kept) -> bool:
    if stat == kept.stat and kept.read_at - max(stat[1:]) > _FRESH:
        return True
    return stat[0] == kept.stat[0] and _digest(path) == kept.digest


def _digest(path: Path | Piece) -> str | None:
    if isinstance(path, Piece):
        return str(time.time_ns())  # equal to no other: its last record may go on beyond it
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return None


def _ranges(folder: Path, start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int, int]]:
    (first, at), (last, until) = start, end
    sizes = {part: part_path(folder, part).stat().st_size for part in range(first, last)}
    ranges = [(part, at if part == first else 0, sizes.get(part, until)) for part in range(first, last + 1)]
    return [(part, a, b) for part, a, b in ranges if a < b]


def _first_reasons(folder: Path) -> str:
    rows = (header["record"] for header, _ in read_headers(part_path(folder, 0)) if "record" in header)
    return "".join(f"\n  {row['path']}: {row['reason']}" for row in islice(rows, 3))
