"""Memory: how much this process may still take, and whether an error says that there was none left."""

import errno
import os
from pathlib import Path

import psutil
import torch

_GROUPS = Path("/sys/fs/cgroup")
_SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")


def available_memory() -> int:
    """Bytes that this process may still take: what the machine has free, its control group (a container, a Slurm job)
    allows, and RLIMIT_AS leaves."""
    return max(0, min([psutil.virtual_memory().available, *_of_control_groups(), *_of_address_space()]))


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is how Python, torch or the system say that memory is used up, on the processor or a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def _of_control_groups() -> list[int]:
    """What is left of the limit of this process's control group and of each one around it (version 2, then 1)."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = _GROUPS / "memory" if controllers else _GROUPS
        names = ("limit_in_bytes", "usage_in_bytes") if controllers else ("max", "current")
        for folder in [root / place.lstrip("/"), *(root / place.lstrip("/")).parents]:
            if folder.is_relative_to(root):
                left += _left(*(folder / f"memory.{name}" for name in names))
    return left


def _left(limit: Path, used: Path) -> list[int]:
    try:
        most, now = limit.read_text().strip(), int(used.read_text())
        facts = dict(line.split() for line in (limit.parent / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return []
    # pages of files that nobody has used lately go when memory is asked for
    return [int(most) - now + int(facts.get("inactive_file", 0))] if most.isdigit() else []


def _of_address_space() -> list[int]:
    try:
        import resource
    except ImportError:  # Windows
        return []
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if most == resource.RLIM_INFINITY else [most - psutil.Process(os.getpid()).memory_info().vms]
