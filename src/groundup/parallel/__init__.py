"""Where arithmetic happens: device, precision, threads, compilation and attention kernel, decided in one place.

No other room asks whether there is a GPU.
"""

from groundup.parallel.compute import Compute, decide_compute
from groundup.parallel.machine import describe_machine, keep_freed_memory, peak_memory_bytes

__all__ = ["Compute", "decide_compute", "describe_machine", "keep_freed_memory", "peak_memory_bytes"]
