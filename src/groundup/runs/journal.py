"""Append-only JSON lines: metrics, probes, samples, events."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from groundup.runs.files import writable, write_atomic

_FIGURES = ("loss", "perplexity", "accuracy", "bits_per_byte")
_NEEDED = {"epoch", "learning_rate", "val_loss"}
_ENTRY = (*_NEEDED, "tokens", "grad_norm", "clipped", *(f"{of}_{x}" for of in ("train", "val") for x in _FIGURES))


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

    def cut(self, step: int) -> int:
        """Drop every row of `step` and later, and a last line that a crash left half written.

        Rows that are no rows, as after a bit has flipped, go too; how many there were before those of `step`.
        """
        self._file.close()
        kept, damaged, lost = [], 0, 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                row = parse_row(line)
                if row is None or type(row.get("step")) is not int:
                    lost += 1
                elif row["step"] < step:
                    kept.append(line)
                    damaged = lost
        write_atomic(self.path, b"".join(kept))
        self._file = self.path.open("a", encoding="utf-8")
        return damaged

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
    """The entries of a run's metrics.jsonl, without the lines that tell of events, and without damaged ones."""
    return [row for row in read_journal(run / "metrics.jsonl") if "event" not in row and _is_entry(row)]


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal, which may be growing: an unfinished last line is left out; a missing file has no rows."""
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                if (row := parse_row(line)) is not None:
                    yield row
    except FileNotFoundError:
        return


def parse_row(line: bytes) -> dict[str, Any] | None:
    """The row that a line of a journal holds; None where it holds none, as after a crash or after a bit has flipped."""
    try:
        row = writable(json.loads(text := line.decode()), text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _is_entry(row: Mapping[str, Any]) -> bool:
    numbers = [row.get("step"), row.get("train_loss"), *(row[key] for key in _ENTRY if row.get(key) is not None)]
    return row.keys() >= _NEEDED and all(type(x) in (int, float) and x - x == 0 for x in numbers)
