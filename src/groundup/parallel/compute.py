"""Device, precision, threads, compilation and attention: fixed before the first step by rules that read no clock.

Whatever changes the arithmetic is decided here, so that two runs with the same settings are byte-equal
(design.md, decisions 6 and 11).
"""

import shutil
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
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
    notices: list[str] = field(default_factory=list)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which forward passes run; parameters stay float32."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

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
    torch.use_deterministic_algorithms(True, warn_only=True)
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
    compiled = config.device.compile == "on" or (config.device.compile == "auto" and long_enough)
    if compiled and device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        notices.append(
            "torch.compile needs a C++ compiler and none was found: training runs eagerly, the same but slower"
        )
        compiled = False
    context = config.model.context or 0
    # in bfloat16 on a CPU the backward pass of scaled_dot_product_attention is slow at short contexts (measured
    # 92 ms against 58 ms at T = 256; 166 ms against 184 ms at T = 1024)
    short = device.type == "cpu" and precision == torch.bfloat16 and 0 < context <= MANUAL_ATTENTION_CONTEXT
    return Compute(device, precision, threads, compiled, "manual" if short else "sdpa", notices)


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


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and computes_in_bfloat16():
        return torch.bfloat16
    return torch.float32
