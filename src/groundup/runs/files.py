"""Files that are either the old or the new ones, never half of both, and files that anyone may have written."""

import json
import os
from pathlib import Path
from typing import Any

from groundup.errors import UserError

MOST_BYTES = 64 << 20
"""Of a file that is read whole: the tokenizer.json of a quarter of a million entries has half as many."""


def write_atomic(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Replace `path` by `content` in one step; with `durable`, it is on the disk before this returns.

    Readers see the old or the new file at every moment. Raises OSError (disk full, read-only) with the old one intact.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        fsync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Make `path`, with the directories above it that are missing, so that a power cut leaves it there."""
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for directory in missing:
        fsync_directory(directory.parent)


def fsync_directory(path: Path) -> None:
    """Make renames in `path` survive a power cut (a no-op where directories cannot be opened, as on Windows)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(directory: Path) -> None:
    """Put every file and directory below `directory`, and itself, on the disk."""
    entries = sorted(directory.rglob("*"))
    for path in entries:
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for path in [*entries, directory]:
        if path.is_dir():
            fsync_directory(path)


def mount_point(path: Path) -> Path:
    """Where the disk that holds `path` is mounted."""
    path = path.resolve()
    while not path.is_mount():
        path = path.parent
    return path


def read_text(path: Path) -> str:
    """The UTF-8 text of a file that is no larger than MOST_BYTES; raises UserError naming it otherwise."""
    try:
        if not path.is_file():  # a pipe would wait for someone to write into it
            raise UserError("is not a file" if path.exists() else "the file is missing", where=path)
        if (size := path.stat().st_size) > MOST_BYTES:
            raise UserError(f"has {size:,} bytes, more than the {MOST_BYTES:,} that such a file can need", where=path)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"is not readable as UTF-8: {error}", where=path) from None
    except (OSError, ValueError) as error:  # a name that cannot be one
        raise UserError(f"cannot be read: {error}", where=path) from None


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises UserError naming it when it is missing, damaged, too large, or holds numbers
    that JSON does not have (NaN, Infinity)."""
    text = read_text(path)
    try:
        return writable(json.loads(text, parse_constant=_no_number, parse_float=_finite), text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not readable as JSON: {error}", where=path) from None


def writable(value: Any, source: str) -> Any:
    """`value`, which is the JSON `source`; raises ValueError where it holds half a character (a lone surrogate), which
    JSON can spell and no file can hold."""
    if "\\ud" in source.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text[:20]} is more than a number can be")
    return number
