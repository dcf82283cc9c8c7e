"""What this machine can do at most: matrix products in float32 and bfloat16, and copying memory.

It is one more contestant, so that it is measured in the same rounds and with the same threads as those whose share of
it is stated.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

SIZES = {"cpu": (1024, 1536, 2048), "cuda": (4096, 8192, 12288)}
COPY_BYTES = {"cpu": 256_000_000, "cuda": 4_000_000_000}  # far more than any cache holds


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As contestant.py asks for it; `settings` may have a `device` and other `sizes`."""
    device = settings.get("device", "cpu")
    sizes = settings.get("sizes", SIZES[device])

    def work(seconds: float) -> dict[str, Any]:
        return {
            "float32": matrix_peak(torch.float32, seconds / 3, sizes, device),
            "bfloat16": matrix_peak(torch.bfloat16, seconds / 3, sizes, device),
            "copy": copy_bandwidth(seconds / 3, device),
        }

    work(0.0)
    return {"threads": torch.get_num_threads(), "versions": {"torch": torch.__version__}}, work


def matrix_peak(dtype: torch.dtype, seconds: float, sizes: Sequence[int] = SIZES["cpu"], device: str = "cpu") -> float:
    """Floating-point operations per second of the fastest product of two square matrices.

    Each of `sizes` is multiplied twice at least, and for its share of `seconds`. A float32 product is one: a GPU does
    not round its factors to TF32, as training does not.
    """
    best = 0.0
    for size in sizes:
        # drawn: GPUs multiply constants faster, with less power
        a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
        best = max(best, 2 * size**3 / _fastest(lambda a=a, b=b: torch.mm(a, b), seconds / len(sizes), device))
    return best


def copy_bandwidth(seconds: float, device: str = "cpu") -> float:
    """Bytes read and written per second by copying, at best."""
    size = COPY_BYTES[device]
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / _fastest(lambda: target.copy_(source), seconds, device)


def _fastest(work: Callable[[], object], seconds: float, device: str) -> float:
    times: list[float] = []
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return min(times)
