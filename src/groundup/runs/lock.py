"""One process trains in a run directory at a time."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from groundup.errors import UserError


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run's lock; the operating system frees it when the process dies, however it dies.

    Raises UserError naming the host and process that holds it.
    """
    path = run / ".lock"
    holder = run / ".lock-holder"
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        who = holder.read_text(encoding="utf-8", errors="replace").strip() if holder.exists() else "another process"
        raise UserError(
            f"the run is in use by {who}", where=run, fix="wait for it, stop it, or give another --out"
        ) from None
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=run, fix="give another --out") from None
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
