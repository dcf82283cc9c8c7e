"""Texts on disk between two stages: parts that hold documents and ledger rows one after another, and which file each
came from, so that a later preparation reads only the files that changed."""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundup.documents import Document, FileRecord
from groundup.runs import read_journal

PART_BYTES = 4 << 20  # of text: a second of work for one core, so that all cores end at nearly the same time

Header = dict[str, Any]

_CHUNK = 1 << 20


def part_path(folder: Path, number: int) -> Path:
    """The file of a part."""
    return folder / f"{number:05d}.docs"


def header_of(item: Document | FileRecord, text: bytes) -> Header:
    """What a part says of a document before its text, or of a ledger row."""
    if isinstance(item, FileRecord):
        return {"record": asdict(item), "bytes": 0}
    header = {"source": item.source, "media_type": item.media_type, "bytes": len(text)}
    return {**header, "pages": item.pages} if item.pages else header


def document_of(header: Mapping[str, Any], text: bytes) -> Document:
    """The document of a header and its text."""
    return Document(text.decode(), header["source"], header["media_type"], tuple(header.get("pages", ())))


def read_items(path: Path, start: int = 0, end: int | None = None) -> Iterator[tuple[Header, bytes]]:
    """Headers with their texts (none for ledger rows) from bytes `start` to `end` of a part."""
    with path.open("rb") as file:
        file.seek(start)
        while (end is None or file.tell() < end) and (line := file.readline()):
            header = json.loads(line)
            yield header, file.read(header["bytes"])


def read_headers(path: Path) -> Iterator[tuple[Header, int]]:
    """Headers with the offset of their texts, which are passed over."""
    with path.open("rb") as file:
        while line := file.readline():
            header = json.loads(line)
            yield header, file.tell()
            file.seek(header["bytes"], 1)


class PartWriter:
    """Writes items into parts that are closed once they hold `part_bytes`, or into one part where that is 0."""

    def __init__(self, folder: Path, part_bytes: int = PART_BYTES, first: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.part_bytes = folder, part_bytes
        self.part = first
        self.checksum = 0
        """CRC-32 of what was written since it was last set to 0."""
        self._file = part_path(folder, first).open("wb")

    def write(self, header: Mapping[str, Any], text: bytes = b"") -> int | None:
        """Append an item; the number of the part that is now complete, if one is."""
        complete = None
        if self.part_bytes and self._file.tell() >= self.part_bytes:
            self._file.close()
            complete, self.part = self.part, self.part + 1
            self._file = part_path(self.folder, self.part).open("wb")
        for data in (json.dumps(header).encode() + b"\n", text):
            self._file.write(data)
            self.checksum = zlib.crc32(data, self.checksum)
        return complete

    def tell(self) -> tuple[int, int]:
        """(part, offset) of the next item, unless it begins a new part."""
        return self.part, self._file.tell()

    def flush(self) -> None:
        """Hand everything to the operating system, so that it outlives this process."""
        self._file.flush()

    def close(self) -> None:
        """Close the last part."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Kept:
    """A file as it was when it was read, and where its documents and ledger rows are."""

    folder: Path
    stat: tuple[int, ...]
    """Size in bytes, and the times of its last change in nanoseconds: of the content, of the entry."""
    read_at: int
    """When it was read, in nanoseconds since 1970."""
    digest: str
    ranges: tuple[tuple[int, int, int], ...]
    """(part, start, end) in bytes."""
    checksum: int
    """CRC-32 of the bytes in those ranges."""

    def intact(self) -> bool:
        """Whether they are still there: after a power cut or a full disk they need not be."""
        found = 0
        try:
            for part, start, end in self.ranges:
                with part_path(self.folder, part).open("rb") as file:
                    file.seek(start)
                    for at in range(start, end, _CHUNK):
                        found = zlib.crc32(file.read(min(_CHUNK, end - at)), found)
        except OSError:
            return False
        return found == self.checksum

    def items(self) -> Iterator[tuple[Header, bytes]]:
        """Its documents and ledger rows."""
        for part, start, end in self.ranges:
            yield from read_items(part_path(self.folder, part), start, end)


def kept_files(folder: Path, reading: Mapping[str, Any]) -> dict[str, Kept]:
    """What an earlier preparation left in `folder`, by path; nothing where it was read in another way than `reading`.

    What a preparation that was killed had finished counts; a half-written last row does not.
    """
    rows = read_journal(folder / "files.jsonl")
    if next(rows, None) != {"reading": dict(reading)}:
        return {}
    return {
        row["path"]: Kept(
            folder,
            tuple(row["stat"]),
            row["read_at"],
            row["digest"],
            tuple(tuple(part) for part in row["ranges"]),
            row["checksum"],
        )
        for row in rows
    }


def journaled(folder: Path) -> set[tuple[str, str]]:
    """(path, digest) of the files whose texts are complete in `folder`."""
    return {(row["path"], row["digest"]) for row in read_journal(folder / "files.jsonl") if "path" in row}
