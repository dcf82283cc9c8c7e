"""Keys and values of the tokens already seen, so that a new token costs one token's arithmetic."""

from collections.abc import Sequence

import torch
from torch import Tensor

from groundup.model.shape import ModelShape


class KVCache:
    """Preallocated keys and values, each (L, B, kv_heads, capacity, D).

    The token at position p of a row always lies in slot p, so a query at position p sees exactly the slots
    0..p. Rows of unequal length therefore need no bookkeeping: prompts are padded on the right, and what
    padding left in later slots is invisible until real tokens overwrite it.
    """

    def __init__(
        self,
        shape: ModelShape,
        rows: int,
        capacity: int | None = None,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.shape = shape
        self.capacity = shape.context if capacity is None else capacity
        sizes = (shape.layers, rows, shape.kv_heads, self.capacity, shape.head_dim)
        self.keys = torch.zeros(sizes, device=device, dtype=dtype)
        self.values = torch.zeros(sizes, device=device, dtype=dtype)

    @property
    def rows(self) -> int:
        """B."""
        return self.keys.shape[1]

    def begin(self, positions: Tensor) -> tuple[Tensor | None, bool]:
        """Say where the next tokens go: `positions` (B, T), consecutive in each row.

        Returns (mask, causal) for attention over the slots that `update` will return: a mask (B, 1, T, S)
        that is true where a query sees a slot, or None with `causal` telling whether the plain causal
        triangle holds.
        """
        first = positions[:, 0]
        start, new = int(first.min()), positions.shape[1]
        uniform = int(first.max()) == start
        self._positions = positions
        self._start = start if uniform else None
        self._end = int(first.max()) + new
        assert self._end <= self.capacity, "more tokens than the cache holds"
        if uniform and (new == 1 or start == 0):
            return None, new > 1
        slots = torch.arange(self._end, device=positions.device)
        return (slots <= positions[..., None])[:, None], False

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values (B, kv_heads, T, D); return all in use."""
        for store, new in ((self.keys[layer], keys), (self.values[layer], values)):
            if self._start is not None:
                store[:, :, self._start : self._end] = new
            else:
                rows = torch.arange(self.rows, device=new.device)[:, None]
                store[rows, :, self._positions] = new.transpose(1, 2).to(store.dtype)
        return self.keys[layer][:, :, : self._end], self.values[layer][:, :, : self._end]

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every row but these."""
        index = torch.tensor(rows, dtype=torch.long, device=self.keys.device)
        self.keys, self.values = self.keys[:, index], self.values[:, index]

    def put(self, rows: Sequence[int], other: "KVCache") -> None:
        """Replace these rows by the rows of `other`, whose capacity may be smaller."""
        index = torch.tensor(rows, dtype=torch.long, device=self.keys.device)
        self.keys[:, index, :, : other.capacity] = other.keys
        self.values[:, index, :, : other.capacity] = other.values
