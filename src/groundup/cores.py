"""How many processors this process may use, and which of the processes of one run it is."""

import os

import psutil


def usable_cores() -> int:
    """Physical cores that this process may run on; OMP_NUM_THREADS is a ceiling."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(allowed, psutil.cpu_count(logical=False) or allowed)
    ceiling = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # a list gives one number for each nesting level
    return max(1, min(cores, int(ceiling))) if ceiling.isdigit() and int(ceiling) else cores


def process_of_run() -> tuple[int, int]:
    """(number of this process, how many there are), as torchrun's environment says; (0, 1) without it."""
    given = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "MASTER_PORT")]
    if not os.environ.get("MASTER_ADDR") or not all(value.isdigit() for value in given):
        return 0, 1
    return int(given[0]), int(given[1])
