"""The shapes that are compared, and what groundup should reach at each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder-only transformer and of its batch."""

    layers: int
    heads: int
    width: int
    context: int
    batch: int
    vocabulary: int

    @property
    def ffn_width(self) -> int:
        """Inner width at which SwiGLU's three matrices have as many weights as GPT-2's two: 8/3 of the width.

        In multiples of 8, so that all weights and all operations stay within 2% of GPT-2's at every shape below.
        """
        return max(1, round(self.width / 3)) * 8

    @property
    def memory_bytes(self) -> int:
        """About what a peer in float32 holds at its peak: the program, weights, gradients and two moments, what the
        backward pass needs, and the logits with their gradients."""
        tokens, weights = self.batch * self.context, 12 * self.layers * self.width**2 + self.vocabulary * self.width
        activations = self.layers * (34 * self.width + 2 * self.heads * self.context)
        return 500_000_000 + 16 * weights + 4 * tokens * (activations + 4 * self.vocabulary)


SHAPES = {
    "a": Shape(layers=4, heads=4, width=128, context=64, batch=12, vocabulary=65),
    "b": Shape(layers=6, heads=6, width=384, context=256, batch=8, vocabulary=65),
    "c": Shape(layers=12, heads=12, width=768, context=256, batch=4, vocabulary=50_257),
    "d": Shape(layers=12, heads=12, width=768, context=1024, batch=1, vocabulary=50_257),
}
