"""Loss, accuracy and bits per byte of documents: every token scored once, in windows of the training context.

A document is read from the end-of-text token on: its first token is predicted from that alone, and no document sees
another. Windows of T tokens do not overlap. End-of-text is context, never a target (docs/decisions.md, 8), so that
`tokens` and `bytes` are those of the text.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from groundup.corpus import IGNORE
from groundup.evaluation.scores import Scores
from groundup.parallel import Compute, Group

LOGITS_AT_ONCE = 8_000_000  # elements of the (B, T, V) logits: 32 MB in float32; larger batches scored more slowly


@dataclass(frozen=True)
class Windows:
    """Where to find the scored stretches: document number, first target, targets; each shape (n,)."""

    documents: Sequence[np.ndarray]
    which: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, documents: Sequence[np.ndarray], context: int) -> "Windows":
        """All windows of `documents` (each (n,) token ids without specials), the longest first."""
        counts = [-(-len(document) // context) for document in documents]
        which = np.repeat(np.arange(len(documents)), counts)
        starts = np.concatenate([np.arange(count) * context for count in counts] or [np.zeros(0, int)])
        sizes = np.array([len(document) for document in documents], dtype=int)
        lengths = np.minimum(sizes[which] - starts, context)
        order = np.argsort(-lengths, kind="stable")  # little padding: neighbors have equal lengths
        return cls(documents, which[order], starts[order], lengths[order])

    @property
    def tokens(self) -> int:
        """Targets in all windows."""
        return int(self.lengths.sum())

    def at_most(self, tokens: int) -> "Windows":
        """Evenly spaced windows with about `tokens` targets: always the same ones."""
        if self.tokens <= tokens:
            return self
        count = max(1, len(self.starts) * tokens // self.tokens)
        chosen = np.linspace(0, len(self.starts) - 1, count).round().astype(int)
        return Windows(self.documents, self.which[chosen], self.starts[chosen], self.lengths[chosen])

    def batches(self, tokens: int) -> Iterator[slice]:
        """Stretches of windows, each of at most `tokens` tokens with its padding, or of one window."""
        start = 0
        while start < len(self.starts):
            end = start + max(1, tokens // int(self.lengths[start]))  # the first is the longest
            yield slice(start, min(end, len(self.starts)))
            start = end

    def rows(self, chosen: slice, eos_id: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (B, T) of some windows; padding is IGNOREd."""
        lengths = self.lengths[chosen]
        inputs = np.full((len(lengths), int(lengths.max())), eos_id, np.int64)
        targets = np.full_like(inputs, IGNORE)
        for row, (document, start, length) in enumerate(
            zip(self.which[chosen], self.starts[chosen], lengths, strict=True)
        ):
            tokens = self.documents[document]
            targets[row, :length] = tokens[start : start + length]
            inputs[row, 1:length] = tokens[start : start + length - 1]
            inputs[row, 0] = tokens[start - 1] if start else eos_id
        return torch.from_numpy(inputs), torch.from_numpy(targets)


@torch.no_grad()
def score(
    model: nn.Module,
    windows: Windows,
    *,
    eos_id: int,
    byte_lengths: torch.Tensor,
    compute: Compute,
    poll: Callable[[], None] = lambda: None,
    group: Group | None = None,
) -> Scores:
    """Score every target of `windows`. `model` turns token ids (B, T) into logits (B, T, V).

    `byte_lengths` (V,) is the bytes of each token; `poll` is called for each batch. The processes of `group` take the
    batches in turns.

    Sums are kept in float64 and taken in the order of the batches, whoever scored them, so that equal weights give
    equal scores to the last bit.
    """
    group = group or Group()
    was_training = model.training
    model.eval()
    totals = [0.0, 0.0, 0.0]
    batches = list(windows.batches(LOGITS_AT_ONCE // len(byte_lengths)))
    for first in range(0, len(batches), group.size):
        poll()
        figures = [0.0] * 3 * group.size
        if first + group.rank < len(batches):
            inputs, targets = windows.rows(batches[first + group.rank], eos_id)
            inputs, targets = inputs.to(compute.device), targets.to(compute.device)
            with compute.autocast():
                logits = model(inputs)
            scored = targets != IGNORE
            figures[3 * group.rank : 3 * group.rank + 3] = (
                F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum").double().item(),
                int(((logits.argmax(-1) == targets) & scored).sum()),
                int(byte_lengths.to(targets.device)[targets[scored]].sum()),
            )
        for place, figure in enumerate(group.sum(figures)):
            totals[place % 3] += figure
    model.train(was_training)
    return Scores.from_sums(totals[0], int(totals[1]), windows.tokens, int(totals[2]))
