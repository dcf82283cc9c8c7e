"""How well a stretch of text was predicted: loss, perplexity, accuracy and bits per byte, always over the
same tokens."""

import math
from dataclasses import dataclass

_LARGEST_EXPONENT = 700.0  # exp(710) is infinite, which JSON cannot hold


@dataclass(frozen=True)
class Scores:
    """Figures of `tokens` scored targets, whose text is `bytes` bytes of UTF-8."""

    loss: float
    """Mean of -ln P(correct token), nats per token."""
    perplexity: float
    """exp(loss); never more than exp(700)."""
    accuracy: float
    """Share of targets that were the likeliest token."""
    bits_per_byte: float
    """loss x tokens / (bytes x ln 2): comparable between tokenizers."""
    tokens: int
    bytes: int

    @classmethod
    def from_sums(cls, nll: float, correct: int, tokens: int, bytes: int) -> "Scores":
        """From the summed -ln P (`nll`, nats), the targets predicted right, and how many tokens and bytes
        those were."""
        assert tokens > 0 and bytes > 0, (tokens, bytes)
        loss = nll / tokens
        return cls(
            loss=loss,
            perplexity=math.exp(min(loss, _LARGEST_EXPONENT)),
            accuracy=correct / tokens,
            bits_per_byte=nll / (bytes * math.log(2)),
            tokens=tokens,
            bytes=bytes,
        )
