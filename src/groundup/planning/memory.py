"""How much memory a run holds at its peak, part by part, and how far off that was in runs that were measured."""

from groundup.config import Config
from groundup.evaluation.reference import COUNTED_TOKENS
from groundup.model import ModelShape
from groundup.planning.interval import Interval

START = 580_000_000  # Python, torch, its allocator, tokenizer and report libraries, measured
COUNTING_BYTES = 100  # for each training token that the n-gram models count: 61 to 92 beyond START in real runs

RATIOS = (0.8, 1.25)
"""Least and greatest of what runs held at their peak to `peak_bytes`."""


def peak_bytes(shape: ModelShape, config: Config, train_tokens: int) -> int:
    """Bytes at the peak of a run in which `config` decides everything but perhaps the device: while n-grams are
    counted or in a training step, whichever is more."""
    counting = COUNTING_BYTES * min(train_tokens, COUNTED_TOKENS)
    return int(START + max(counting, _training_bytes(shape, config)))


def _training_bytes(shape: ModelShape, config: Config) -> float:
    tokens = (config.training.microbatch or 1) * shape.context
    weights = 4 * shape.parameters()
    moments = weights * (1.2 if config.optimizer.name == "muon" else 2)
    # a checkpoint that is written while training goes on is a copy of both
    staged = weights + moments if config.checkpoint.asynchronous else 0
    # kept for the backward pass, in values of 4 bytes: 18 of the width, 5 of the inner width, attention weights
    activations = 4 * tokens * shape.layers * (18 * shape.width + 5 * shape.ffn_width + 2 * shape.heads * shape.context)
    logits = 4 * 4 * tokens * shape.vocab_size
    return 2 * weights + moments + staged + activations + logits


def expected_memory(peak: int, *, so_far: int) -> Interval:
    """The interval around `peak_bytes`, or around the `so_far` bytes that this process has already held if they are
    more: times RATIOS. It did all that the run will do but training and scoring to the end, and it may have compiled
    what the run then finds in the compiler's cache, so the run may hold less."""
    expected = max(peak, so_far)
    low, high = (ratio * expected for ratio in RATIOS)
    return Interval(expected, low, high)
