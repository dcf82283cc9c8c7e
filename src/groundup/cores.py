"""How many processors this process may use."""

import os

import psutil


def usable_cores() -> int:
    """Physical cores that this process may run on; OMP_NUM_THREADS is a ceiling."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(allowed, psutil.cpu_count(logical=False) or allowed)
    ceiling = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # a list gives one number for each nesting level
    return max(1, min(cores, int(ceiling))) if ceiling.isdigit() and int(ceiling) else cores
