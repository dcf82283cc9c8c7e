"""Files that are either the old or the new ones, never half of both."""

import json
import os
from pathlib import Path
from typing import Any

from groundup.errors import UserError


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


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises UserError naming it when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("the file is missing", where=path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"is not readable as JSON: {error}", where=path) from None
