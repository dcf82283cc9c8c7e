"""Which tokens are in which batch: a pure function of (seed, step), whatever was trained before.

The training stream is a circle of L tokens. Epoch e cuts it, from an offset drawn for that epoch, into blocks of T
targets; a block's input is its targets shifted by one. Every token is a target exactly once an epoch (the last block
is shorter, and filled with IGNORE). Blocks are dealt in an order drawn for that epoch; a batch that reaches the end
of an epoch goes on in the next. Nothing is remembered between steps, so resuming is exact, and neither the number of
processes nor the microbatch can change what is learned from (design.md, decision 3).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from groundup.corpus.shards import TokenStream
from groundup.seeds import derive

if TYPE_CHECKING:
    import torch

IGNORE = -100  # target that counts for nothing; torch's cross_entropy skips it by default


class Batches:
    """Deals batches of B sequences of T tokens from a stream."""

    def __init__(self, stream: TokenStream, *, context: int, batch: int, seed: int) -> None:
        self.stream, self.context, self.batch, self.seed = stream, context, batch, seed
        self.blocks = -(-len(stream) // context)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    @property
    def tokens_per_step(self) -> int:
        """Targets in a full batch."""
        return self.batch * self.context

    def epoch(self, step: int) -> int:
        """The epoch, from 0, of the last sequence dealt when `step` steps are done."""
        return max(step * self.batch - 1, 0) // self.blocks

    def sequences(self, step: int) -> list[tuple[int, int]]:
        """(epoch, block) of each sequence of the batch of `step`: what to look at when a batch was bad."""
        first = step * self.batch
        pairs = (divmod(number, self.blocks) for number in range(first, first + self.batch))
        return [(epoch, int(self._order(epoch)[position])) for epoch, position in pairs]

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the batch of `step` (from 0), both (B, T) int64."""
        T = self.context
        rows = np.empty((self.batch, T + 1), dtype=np.int64)
        lengths = np.empty(self.batch, dtype=np.int64)
        for row, (epoch, block) in enumerate(self.sequences(step)):
            start = derive(self.seed, "epoch offset", epoch) % len(self.stream) + block * T
            rows[row] = self.stream.read(start - 1, T + 1)
            lengths[row] = min(T, len(self.stream) - block * T)
        inputs, targets = rows[:, :-1].copy(), rows[:, 1:].copy()
        targets[np.arange(T) >= lengths[:, None]] = IGNORE
        import torch  # not at the top: the processes that prepare corpora need no torch, which takes a second to load

        return torch.from_numpy(inputs), torch.from_numpy(targets)

    def _draw_order(self, epoch: int) -> np.ndarray:
        return np.random.Generator(np.random.Philox(derive(self.seed, "block order", epoch))).permutation(self.blocks)
