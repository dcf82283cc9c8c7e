"""Which tokens are in which batch: a pure function of (seed, step), whatever was trained before.

The training stream is a circle of L tokens. Epoch e cuts it, from an offset drawn for that epoch, into blocks of T
targets; a block's input is its targets shifted by one. Every token is a target exactly once an epoch (the last block
is shorter, and filled with IGNORE). Blocks are dealt in an order drawn for that epoch; a batch that reaches the end
of an epoch goes on in the next. Nothing is remembered between steps, so resuming is exact, and neither the number of
processes nor the microbatch can change what is learned from (docs/decisions.md, 4 and 5).
"""

from __future__ import annotations

import time
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
        self.seconds = 0.0
        """Spent in `at`, by the clock: training waits for it."""

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

    def targets(self, step: int) -> int:
        """How many targets the batch of `step` has: a last block is shorter than T."""
        return sum(self._length(block) for _, block in self.sequences(step))

    def at(self, step: int, rows: range | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the batch of `step` (from 0), or of some of its rows, both (B, T) int64."""
        began, T = time.monotonic(), self.context
        sequences = self.sequences(step) if rows is None else self.sequences(step)[rows.start : rows.stop]
        tokens = np.empty((len(sequences), T + 1), dtype=np.int64)
        lengths = np.empty(len(sequences), dtype=np.int64)
        for row, (epoch, block) in enumerate(sequences):
            start, lengths[row] = self.place(epoch, block)
            tokens[row] = self.stream.read(start - 1, T + 1)
        inputs, targets = tokens[:, :-1].copy(), tokens[:, 1:].copy()
        targets[np.arange(T) >= lengths[:, None]] = IGNORE
        import torch  # not at the top: the processes that prepare corpora need no torch, which takes a second to load

        self.seconds += time.monotonic() - began
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    def place(self, epoch: int, block: int) -> tuple[int, int]:
        """Where the targets of a sequence are in the stream: the first token, and how many there are."""
        return derive(self.seed, "epoch offset", epoch) % len(self.stream) + block * self.context, self._length(block)

    def _length(self, block: int) -> int:
        return min(self.context, len(self.stream) - block * self.context)

    def _draw_order(self, epoch: int) -> np.ndarray:
        return np.random.Generator(np.random.Philox(derive(self.seed, "block order", epoch))).permutation(self.blocks)
