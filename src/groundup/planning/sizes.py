"""The dial: four named sizes and the steps between them, and the rule that picks one."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A model's depth and width, the context it is trained with, and the tokens of one update that suit it."""

    layers: int
    width: int
    context: int
    tokens_per_update: int

    @property
    def block_parameters(self) -> int:
        """Weights in the blocks' matrices, about 12 L C^2."""
        return 12 * self.layers * self.width**2


# Depth and width grow together (width about 64 x depth from 6 layers on, as in nanochat). Updates of 2,048 tokens
# learned more per CPU second than 1,024 at 128 wide (measured: 1.554 against 1.580 nats at equal time); larger
# models afford and need larger ones.
SHAPES = (
    Size(2, 64, 64, 1_024),
    Size(2, 128, 64, 1_024),
    Size(4, 128, 128, 2_048),
    Size(5, 192, 256, 4_096),
    Size(6, 256, 256, 4_096),
    Size(6, 384, 256, 8_192),
    Size(8, 512, 512, 16_384),
    Size(12, 768, 1_024, 65_536),
    Size(24, 1_024, 1_024, 262_144),
)
# Where a clock leaves less than SHAPES[1] takes: in 20 seconds of one core it came to 2.00 bits per byte on 1 MB, 2
# layers of 128 to 2.05, 4 to 2.28; in 40 seconds it was equal to 2 layers (docs/experiments.md, "Seconds to minutes").
SECONDS = Size(1, 96, 64, 1_024)
DIAL = {"tiny": SHAPES[2], "small": SHAPES[4], "medium": SHAPES[6], "large": SHAPES[7]}

# nanochat's; Hoffmann et al. 2022 come to 20 for long runs. In four minutes on 3.3 MB of Python's documentation and
# code 0.8M weights at 6.6 tokens each came to 1.23 bits per byte, 2.2M at 1.2 and 1.6 to 1.34 and 1.25; not swept yet.
TOKENS_PER_WEIGHT = 12
WEIGHTS_PER_TOKEN = 3  # where no clock decides: beyond this a model memorizes a corpus faster than it learns from it
# Where a text is read so often that weight decay and dropout hold back learning by heart. 48,000 tokens read 21 times:
# 2.24 bits per byte with 2 layers of 128 (8 weights a token), 2.22 with 4 (16), 2.29 with 2 of 64 (2), decay 0.1.
MOST_WEIGHTS_PER_TOKEN = 16
MOST_EPOCHS = 40  # read 43 times, with twice the decay, the same 4 layers came to the same 2.22


def for_compute(flops: float, train_tokens: int) -> tuple[Size, str]:
    """The size to train with `flops` operations on a corpus of `train_tokens` tokens, and why."""
    optimal = math.sqrt(flops / (6 * TOKENS_PER_WEIGHT))
    most = MOST_WEIGHTS_PER_TOKEN * train_tokens
    size = _largest(min(optimal, most))
    if most < optimal:
        return size, f"the corpus of {train_tokens:,} tokens supports about {most:,} weights"
    if size == SHAPES[0]:
        return SECONDS, f"{flops:.1e} operations, a few seconds of them: one layer learned more than two narrower ones"
    return (
        size,
        f"{flops:.1e} operations train about {optimal:,.0f} weights, {TOKENS_PER_WEIGHT} tokens each",
    )


def for_corpus(train_tokens: int) -> tuple[Size, str]:
    """The size for a corpus where no clock decides, and why: as the corpus supports, at most `small`."""
    size = _largest(min(WEIGHTS_PER_TOKEN * train_tokens, DIAL["small"].block_parameters))
    return size, f"a corpus of {train_tokens:,} tokens, and no more than `small` unless asked for"


def _largest(weights: float) -> Size:
    """The largest size within a factor of 1.5 above `weights`; the smallest one there is when none is."""
    fitting = [size for size in SHAPES if size.block_parameters <= 1.5 * weights]
    return fitting[-1] if fitting else SHAPES[0]
