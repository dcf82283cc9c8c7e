"""One process trains in a run directory at a time."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from groundup.errors import UserError

_DEAD_HOLDER_SECONDS = 10.0


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run's lock; the operating system frees it when the process dies, however it dies.

    A process that was killed while it started another leaves the lock with that one for a moment: where the holder
    is dead, the lock is waited for.

    Raises UserError naming the host and process that holds it, and for a run in which writing would write elsewhere;
    OSError where it cannot be written.
    """
    refuse_links(run)
    path = run / ".lock"
    holder = run / ".lock-holder"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_DEAD_HOLDER_SECONDS if _dead(_who(holder)) else 0)
    except Timeout:
        raise UserError(
            f"the run is in use by {_who(holder)}", where=run, fix="wait for it, stop it, or give another --out"
        ) from None
    try:
        holder.write_text(f"{_name(os.getpid())}\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _name(pid: int) -> str:
    return f"process {pid} on {socket.gethostname()}"


def _who(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return "another process"


def _dead(who: str) -> bool:
    """Whether `who` was a process of this machine that is no more."""
    pid = re.match(r"process (\d{1,9}) ", who)
    return pid is not None and who == _name(int(pid[1])) and not psutil.pid_exists(int(pid[1]))


def refuse_links(run: Path) -> None:
    """Raise UserError where a file of the run is a link to one outside, which writing the run would change.

    Folders may be links: what is written into a checkpoint or a corpus is written beside it and then renamed.
    """
    if not run.is_dir():
        return
    home = run.resolve()
    for path in run.iterdir():
        # realpath, unlike resolve, bears links in a circle
        if path.is_symlink() and not path.is_dir() and not Path(os.path.realpath(path)).is_relative_to(home):
            raise UserError(
                "is a link that leads out of the run", where=path, fix="put the file itself here, or remove the link"
            )
