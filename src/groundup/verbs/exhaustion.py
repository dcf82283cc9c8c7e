"""What is said when memory has run out, and when a disk is full or cannot be written."""

import errno
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundup import runs
from groundup.config import Config
from groundup.errors import UserError
from groundup.parallel import available_memory
from groundup.runs import Run


@contextmanager
def disk_errors_told(directory: Path) -> Iterator[None]:
    """Make of each OSError within a UserError that names the disk of the run in `directory`, which need not be there,
    how much of it is free and, of a run that has saved before, how much a checkpoint needs."""
    try:
        yield
    except OSError as error:
        # unlike those of Path, these bear names that are too long and folders that may not be looked into
        begun = os.path.isfile(directory / "run.json")  # noqa: PTH113
        places = (directory.resolve(), *directory.resolve().parents)
        there = next(path for path in places if os.path.isdir(path))  # noqa: PTH112
        saved = [*runs.published(directory).values()] if begun else []
        needed = sum(path.stat().st_size for path in saved[-1].rglob("*")) if saved else 0
        free = f"{shutil.disk_usage(there).free:,} bytes are free on the disk at {runs.mount_point(there)}"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        further = ", or give another --out"
        if begun:
            further = f"; then `groundup resume {shlex.quote(str(directory))}` continues"
        raise UserError(
            f"cannot be written: {error.strerror or error} ({free}"
            f"{f', and each checkpoint needs {needed:,}' if needed else ''})",
            where=error.filename if begun and not full and error.filename else directory,
            fix=("make room on this disk" if full else "make it one that can be written") + further,
        ) from error


def memory_ran_out(run: Run, config: Config, doing: str) -> UserError:
    """What to say when there was no memory left while `doing`: which setting needs less."""
    microbatch = config.training.microbatch
    if "horizon" in run.info and microbatch and microbatch > 1:
        fix = (
            f"`groundup resume {shlex.quote(str(run.path))} --set training.microbatch={microbatch // 2}` continues with"
            f" half as many sequences at once ({microbatch} now)"
        )
    else:
        fix = "begin again with a smaller --size or --set model.context, or give the process more memory"
    free = f"{available_memory() / 1e6:,.0f} MB are free now"
    return UserError(f"memory ran out while {doing} ({free})", where=run.path, fix=fix)
