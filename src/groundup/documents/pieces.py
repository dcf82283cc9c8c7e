"""Big files of records in pieces, so that several processes read one file: ranges of bytes, of which each has the
records that begin in it."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from groundup.documents.encoding import find_encoding
from groundup.documents.kinds import HEAD_BYTES, find_kind

PIECE_BYTES = 64 << 20  # some seconds of work for one core; records are named by it, so it never depends on the cores

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of bytes of a file."""

    path: Path
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.path}#@{self.start}"


def in_pieces(found: Iterable[T | Path]) -> Iterator[T | Path | Piece]:
    """What `find_files` found, with every JSONL and Parquet file of more than PIECE_BYTES divided. Compressed files and
    archives stay whole: they are read from their beginning."""
    for item in found:
        if isinstance(item, Path) and (size := _size_in_pieces(item)):
            for start in range(0, size, PIECE_BYTES):
                yield Piece(item, start, min(start + PIECE_BYTES, size))
        else:
            yield item


def _size_in_pieces(path: Path) -> int:
    """The size of a file that can be divided, or 0."""
    try:
        if (size := path.stat().st_size) <= PIECE_BYTES:
            return 0
        # a FIFO put in the file's place must not block
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            head = file.read(HEAD_BYTES)
        reader = find_kind(head, path.name).reader
        if reader == "jsonl":  # in UTF-16 half a character may look like the end of a line
            return size if (find_encoding(head) or ("", 0))[0] == "utf-8" else 0
        return size if reader == "parquet" else 0
    except (OSError, ValueError, RecursionError):
        return 0  # whoever reads it says what is wrong
