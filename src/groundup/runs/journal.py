"""Append-only JSON lines: metrics, probes, samples, events."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from groundup.runs.files import write_atomic


class Journal:
    """One .jsonl file that grows by whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        torn = _ends_torn(path)
        self._file = path.open("a", encoding="utf-8")
        if torn:  # else the next row would be lost with what a crash left of the last one
            self._file.write("\n")

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row; it reaches the operating system at once, the disk at the next `sync`."""
        self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Return when every row so far is on the disk."""
        os.fsync(self._file.fileno())

    def cut(self, step: int) -> None:
        """Drop every row of `step` and later, and a last line that a crash left half written."""
        self._file.close()
        kept = [row for row in read_journal(self.path) if row["step"] < step]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        write_atomic(self.path, text)
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _ends_torn(path: Path) -> bool:
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def read_entries(run: Path) -> list[dict[str, Any]]:
    """The entries of a run's metrics.jsonl, without the lines that tell of events."""
    return [row for row in read_journal(run / "metrics.jsonl") if "event" not in row]


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal, which may be growing: an unfinished last line is left out; a missing file has no rows."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.endswith("\n"):
                    return
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(row, dict):
                    yield row
    except FileNotFoundError:
        return
