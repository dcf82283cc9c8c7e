"""Device, precision, threads, compilation and attention: fixed before the first step by rules that read no clock.

Whatever changes the arithmetic is decided here, so that two runs with the same settings are byte-equal.
"""

import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

import torch

from groundup.config import Config
from groundup.cores import usable_cores
from groundup.errors import UserError
from groundup.parallel.machine import computes_in_bfloat16

MANUAL_ATTENTION_CONTEXT = 256


@dataclass(frozen=True)
class Compute:
    """How this run computes."""

    device: torch.device
    precision: torch.dtype
    threads: int
    compiled: bool
    attention: Literal["sdpa", "manual"]
    deterministic: bool = True
    """Only kernels that give the same bytes every time are used."""
    notices: list[str] = field(default_factory=list)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which forward passes run; parameters stay float32."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    @property
    def accelerated(self) -> bool:
        """Whether large matrix products run far faster than the processor's, and small ones wait for their launch."""
        return self.device.type != "cpu"

    @property
    def scales_loss(self) -> bool:
        """float16 gradients underflow unless the loss is scaled up."""
        return self.precision == torch.float16

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, compiled if this run compiles."""
        return torch.compile(function, dynamic=False) if self.compiled else function

    def describe(self) -> dict[str, Any]:
        """For run.json: resuming repeats these."""
        return {
            "device": self.device.type,
            "precision": str(self.precision).removeprefix("torch."),
            "threads": self.threads,
            "compiled": self.compiled,
            "attention": self.attention,
            "deterministic": self.deterministic,
        }


def decide_compute(config: Config, long_enough: bool = False) -> Compute:
    """Decide how to compute, and set torch's threads and deterministic algorithms accordingly.

    `long_enough` says that training will earn back the time compiling takes. Raises UserError for a missing device.
    """
    notices: list[str] = []
    device = _device(config.device.device)
    precision = _precision(config.device.precision, device)
    threads = min(config.device.threads or usable_cores(), usable_cores())
    torch.set_num_threads(threads)
    compiled = config.device.compile == "on" or (config.device.compile == "auto" and long_enough)
    if compiled and (lacking := _lacking_to_compile(device)):
        notices.append(f"torch.compile needs {lacking}: training runs eagerly, the same but slower")
        compiled = False
    deterministic = _use_deterministic(config.device.deterministic, device, compiled)
    context = config.model.context or 0
    # in bfloat16 on a CPU the backward pass of scaled_dot_product_attention is slow at short contexts (measured
    # 92 ms against 58 ms at T = 256; 166 ms against 184 ms at T = 1024)
    short = device.type == "cpu" and precision == torch.bfloat16 and 0 < context <= MANUAL_ATTENTION_CONTEXT
    return Compute(device, precision, threads, compiled, "manual" if short else "sdpa", deterministic, notices)


def accelerator_memory(wanted: str) -> int | None:
    """Bytes of memory, used or not, of the GPU that `device.device` = `wanted` stands for; None where there is none."""
    if _device(wanted).type != "cuda":
        return None
    return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory


def _use_deterministic(wanted: bool | None, device: torch.device, compiled: bool) -> bool:
    """Have torch use deterministic kernels, or let it use any; which of both."""
    deterministic = device.type != "cuda" if wanted is None else wanted
    if deterministic and device.type == "cuda":  # read when cuBLAS starts; without it its sums may come in any order
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # else each new tensor is first filled with NaN, a pass over memory that shows faults no run has
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    if not wanted:  # whoever asked for it must hear where torch has no such kernel
        warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
    if compiled:
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
    else:  # the same without loading the compiler, which takes more than a second
        torch.set_deterministic_debug_mode("warn" if deterministic else "default")
    return deterministic


def _device(wanted: str) -> torch.device:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        wanted = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[wanted]:
        raise UserError(
            f"device.device = {wanted!r}: this machine has none",
            fix="use --set device.device=auto",
        )
    return torch.device(wanted)


def _lacking_to_compile(device: torch.device) -> str | None:
    """What torch.compile needs for code on `device` and this machine has not."""
    if device.type == "cuda" and find_spec("triton") is None:
        return "the package triton, which is not installed"
    # on a GPU the compiler only makes what starts a kernel, and any for C does
    names = ("g++", "clang++") if device.type == "cpu" else ("gcc", "clang", "cc")
    if device.type != "mps" and not any(map(shutil.which, names)):
        return "a C++ compiler and none was found" if device.type == "cpu" else "a C compiler and none was found"
    return None


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and computes_in_bfloat16():
        return torch.bfloat16
    return torch.float32
