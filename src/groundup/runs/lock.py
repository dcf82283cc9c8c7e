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

    Raises UserError naming the host and process that holds it, and for a run in which writing would write elsewhere;
    OSError where it cannot be written.
    """
    refuse_links(run)
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
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


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
