"""Decoding on a GPU: one token of every row as one recorded step, replayed without starting its kernels one by one.

A step of one token is hundreds of kernels of microseconds each; a CUDA graph starts them all at once. It has one shape:
every row keeps its slot to the end, and attention reads the whole cache under a mask.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from groundup.inference.packing import PackedModel
from groundup.model import KVCache

_ALIGNED = 64  # slots: fused attention reads masks in whole vectors, and texts of about a length share a recording
_WARM_UPS = 3  # steps before the recording: what kernels and libraries prepare on first use must not be in it


class SlotDecoder:
    """Decodes `rows` texts of at most `capacity` tokens side by side; on a CPU it computes the same unrecorded.

    Raises RuntimeError where the device does not record.
    """

    def __init__(self, model: PackedModel, rows: int, capacity: int) -> None:
        capacity += -capacity % _ALIGNED
        device = model.cos.device
        self.rows, self.capacity, self.compiled = rows, capacity, model.compiled
        self.cache = _Slots(model.shape, rows, capacity, device=device, dtype=model.dtype)
        self._given = torch.zeros(2, rows, 1, dtype=torch.long, device=device)
        self._logits = torch.empty(0)
        forward = torch.compile(model.forward, dynamic=False) if model.compiled else model.forward

        def step() -> None:
            tokens, positions = self._given
            self._logits = forward(tokens, self.cache, positions)[:, -1].float()

        self._replay = _record(step) if device.type == "cuda" else step

    def fits(self, rows: int, capacity: int, compiled: bool) -> bool:
        """Whether this decoder is the one that would be made for these."""
        return (self.rows, self.capacity, self.compiled) == (rows, capacity + -capacity % _ALIGNED, compiled)

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Read a token of each row at its position; returns the next logits (B, V), float32, which the next step
        overwrites."""
        self._given.copy_(torch.tensor([tokens, positions])[..., None])
        self._replay()
        return self._logits


class _Slots(KVCache):
    """A cache whose use depends on no position but through tensors: one new token of every row, all slots attended."""

    def begin(self, positions: Tensor) -> tuple[Tensor | None, bool]:
        """`positions` (B, 1); the mask is what attention adds, (B, 1, 1, S), so that no layer converts it again."""
        heads = torch.arange(self.rows * self.shape.kv_heads, device=positions.device).view(self.rows, -1)
        self._places = (heads * self.capacity + positions).flatten()
        hidden = torch.arange(self.capacity, device=positions.device) > positions[:, None]
        return torch.zeros_like(hidden, dtype=self.keys.dtype).masked_fill(hidden, float("-inf"))[:, None], False

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values (B, kv_heads, 1, D); return all."""
        size = self.shape.head_dim
        for store, new in ((self.keys[layer], keys), (self.values[layer], values)):
            store.view(-1, size).index_copy_(0, self._places, new.reshape(-1, size))
        return self.keys[layer], self.values[layer]


def _record(step: Callable[[], None]) -> Callable[[], None]:
    """What repeats `step`, which reads and writes the same memory each time."""
    mode = torch.get_deterministic_debug_mode()
    # no two rows write to one place, so every order gives the same; torch, which cannot know, would sort the places
    torch.set_deterministic_debug_mode("default")
    try:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
    finally:
        torch.set_deterministic_debug_mode(mode)
    return graph.replay
