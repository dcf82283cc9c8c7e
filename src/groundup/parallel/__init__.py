"""Where arithmetic happens: device, precision, threads, compilation and attention kernel, decided in one place; and the
processes that train one run together.

No other room asks whether there is a GPU, or other processes.
"""

from groundup.parallel.compute import Compute, decide_compute
from groundup.parallel.group import Group, group_of_processes
from groundup.parallel.machine import describe_machine, keep_freed_memory, machine_differences, peak_memory_bytes
from groundup.parallel.memory import available_memory, ran_out_of_memory

__all__ = [
    "Compute",
    "Group",
    "available_memory",
    "decide_compute",
    "describe_machine",
    "group_of_processes",
    "keep_freed_memory",
    "machine_differences",
    "peak_memory_bytes",
    "ran_out_of_memory",
]
