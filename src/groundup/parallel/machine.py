"""What machine this is."""

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from groundup.cores import usable_cores

# instruction sets that arithmetic is done in, as Linux names them, and what tells libraries to use others
_ARITHMETIC = ("sse", "ssse", "avx", "amx", "fma", "f16c", "asimd", "neon", "sve", "sme", "bf16", "i8mm", "fphp")
_OVERRIDES = ("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "NVIDIA_TF32_OVERRIDE")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@cache
def processor_flags() -> frozenset[str]:
    """Instruction sets as Linux names them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return frozenset(lines[0].partition(":")[2].split()) if lines else frozenset()


def computes_in_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices faster than float32 ones (and not by emulation)."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & processor_flags())


def keep_freed_memory() -> None:
    """Let glibc keep the memory that a training step frees, since the next one asks for the same again.

    By default it maps every large array anew and gives it back at once, and the kernel clears each page of it. Keeping
    it made steps 1.26 times as fast at 6 layers, 384 wide (one thread, bfloat16, compiled; decision 35).
    """
    if sys.platform != "linux" or (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is None:
        return
    # some releases refuse more than 32 MB; where both fail, the default, which adapts, is better than half of this
    if mallopt(_M_MMAP_THRESHOLD, 1 << 30) or mallopt(_M_MMAP_THRESHOLD, 32 << 20):
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def peak_memory_bytes() -> int:
    """Most memory this process has held, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().peak_wset)  # pyright: ignore[reportAttributeAccessIssue]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe_machine() -> dict[str, Any]:
    """Facts for run.json: what results may depend on."""
    packages = ("groundup", "torch", "numpy", "tokenizers", "safetensors")
    name = platform.processor() or platform.machine()
    try:
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    except OSError:
        pass
    return {
        "processor": name,
        "flags": sorted(flag for flag in processor_flags() if flag.startswith(_ARITHMETIC)),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "overrides": {name: os.environ[name] for name in _OVERRIDES if name in os.environ},
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
    }


def machine_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What may change results, in words, between two of `describe_machine`; what one of them does not know is left
    out."""
    found = [
        f"{name} {before[name]}, now {now[name]}"
        for name in ("processor", "capability", "gpu", "overrides")
        if name in before and before[name] != now[name]
    ]
    flags = {str(flag) for flag in before["flags"]} if isinstance(before.get("flags"), list) else {*now["flags"]}
    found += [f"without {flag}" for flag in sorted(flags - {*now["flags"]})]
    found += [f"with {flag}" for flag in sorted({*now["flags"]} - flags)]
    versions = before["versions"] if isinstance(before.get("versions"), dict) else {}
    found += [
        f"{name} {versions[name]}, now {version}"
        for name, version in now["versions"].items()
        if name in versions and versions[name] != version
    ]
    return found
