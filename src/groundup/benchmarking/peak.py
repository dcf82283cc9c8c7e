"""What this machine can do at most: matrix products in float32 and bfloat16, and copying memory.

It is one more contestant, so that it is measured in the same rounds and with the same threads as those whose share of
it is stated.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

SIZES = (1024, 1536, 2048)
COPY_BYTES = 256_000_000  # far more than any cache holds


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As contestant.py asks for it; `settings` may have other `sizes`."""
    sizes = settings.get("sizes", SIZES)

    def work(seconds: float) -> dict[str, Any]:
        return {
            "float32": matrix_peak(torch.float32, seconds / 3, sizes),
            "bfloat16": matrix_peak(torch.bfloat16, seconds / 3, sizes),
            "copy": copy_bandwidth(seconds / 3),
        }

    work(0.0)
    return {"threads": torch.get_num_threads(), "versions": {"torch": torch.__version__}}, work


def matrix_peak(dtype: torch.dtype, seconds: float, sizes: Sequence[int] = SIZES) -> float:
    """Floating-point operations per second of the fastest product of two square matrices, on the CPU.

    Each of `sizes` is multiplied twice at least, and for its share of `seconds`.
    """
    best = 0.0
    for size in sizes:
        a, b = torch.ones(size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
        best = max(best, 2 * size**3 / _fastest(lambda a=a, b=b: torch.mm(a, b), seconds / len(sizes)))
    return best


def copy_bandwidth(seconds: float) -> float:
    """Bytes read and written per second by copying, at best."""
    source = torch.ones(COPY_BYTES // 4)
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / _fastest(lambda: target.copy_(source), seconds)


def _fastest(work: Callable[[], object], seconds: float) -> float:
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
