"""What a GPU changes in a plan: its memory bounds the microbatch, and only long runs earn back what compiling takes.

Not yet measured on a GPU: the figures are estimates.
"""

import torch

from groundup.model import ModelShape
from groundup.parallel.compute import accelerator_memory

_CPU_TOKENS = 8_192  # larger microbatches gain nothing (the matrix products are at their peak) and cost memory
_CPU_LOGITS = 2**27  # elements at once
_GPU_TOKENS = 65_536
_GPU_SHARE = 0.6  # of its memory: the rest is for what is not counted, and for pieces between
_CPU_COMPILE_FLOPS = 1e13  # compiling takes 12 to 23 s on two cores, and trains 1.9 times as fast (measured)
_GPU_COMPILE_FLOPS = 1e16  # about a minute at what a GPU computes eagerly


def microbatch_tokens(wanted: str, shape: ModelShape) -> tuple[int, str]:
    """Tokens of one forward and backward pass on the device that `device.device` = `wanted` stands for, and why.

    By the memory that there is, not by what is free: equal runs must be cut into equal parts.
    """
    memory = accelerator_memory(wanted)
    if memory is None:
        most = min(_CPU_TOKENS, _CPU_LOGITS // shape.vocab_size)
        return most, f"at most {_CPU_TOKENS:,} tokens and 512 MB of logits at once"
    weights = 16 * shape.parameters()  # with gradients and two moments
    # values of 2 and 4 bytes kept for the backward pass: 18 of the width, 5 of the inner width; logits
    # are in parts of at most so many, in bfloat16 and twice in float32
    activations = 3 * shape.layers * (18 * shape.width + 5 * shape.ffn_width) + 10 * shape.vocab_size
    most = max(1, int((_GPU_SHARE * memory - weights) / activations))
    return min(
        most, _GPU_TOKENS
    ), f"fits {_GPU_SHARE:.0%} of the GPU's {memory / 1e9:.0f} GB, at most {_GPU_TOKENS:,} tokens"


def compile_flops(wanted: str) -> float:
    """Floating-point operations of a run from which on compiling its step pays, on the device as above."""
    return _CPU_COMPILE_FLOPS if accelerator_memory(wanted) is None else _GPU_COMPILE_FLOPS


def describe_device(device: torch.device) -> str:
    """Why a run computes there: what this machine has, and what a GPU does otherwise."""
    if device.type != "cuda":
        return "what this machine has"
    card = torch.cuda.get_device_properties(torch.cuda.current_device())
    return f"{card.name}, {card.total_memory / 1e9:.0f} GB: flash attention, fused AdamW, recorded decoding steps"
