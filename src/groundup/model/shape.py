"""The shape of a model and what it costs in parameters, arithmetic and memory: plain numbers, no tensors."""

from dataclasses import dataclass
from typing import Literal

from groundup.errors import UserError


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder-only transformer; raises UserError where they do not fit together."""

    arch: Literal["qwen3", "llama"]
    """`qwen3` normalizes queries and keys per head; `llama` is the same without that."""
    vocab_size: int
    """V: rows of the embedding matrix."""
    layers: int
    """L: transformer blocks."""
    width: int
    """C: size of the residual stream."""
    heads: int
    """H: query heads."""
    kv_heads: int
    """Key and value heads; each serves `heads / kv_heads` query heads."""
    head_dim: int
    """D: size of one head; `heads * head_dim` need not equal `width`."""
    ffn_width: int
    """Inner size of the SwiGLU layer."""
    context: int
    """Most tokens the model sees at once."""
    tied: bool
    """The output head is the embedding matrix."""
    dropout: float = 0.0
    """On the embeddings and on each sublayer's output, in training mode only."""
    rope_theta: float = 10_000.0
    """Base of the rotary position angles."""
    norm_eps: float = 1e-6
    """Added to the mean square in RMSNorm."""

    def __post_init__(self) -> None:
        if self.arch not in ("qwen3", "llama"):
            raise UserError(f"unknown architecture '{self.arch}'", where="model.arch", fix="use qwen3 or llama")
        for name in (
            "vocab_size",
            "layers",
            "width",
            "heads",
            "kv_heads",
            "head_dim",
            "ffn_width",
            "context",
        ):
            if getattr(self, name) < 1:
                raise UserError(f"is {getattr(self, name)}", where=f"model.{name}", fix="use 1 or more")
        if self.heads % self.kv_heads:
            raise UserError(
                f"{self.kv_heads} key and value heads cannot be shared evenly by {self.heads} query heads",
                where="model.kv_heads",
                fix="use a divisor of model.heads",
            )
        if self.head_dim % 2:
            raise UserError(f"is {self.head_dim}", where="model.head_dim", fix="rotary positions need an even size")
        if not 0 <= self.dropout < 1:
            raise UserError(f"is {self.dropout}", where="model.dropout", fix="use 0 or more and less than 1")
        if not 0 < self.rope_theta < float("inf"):
            raise UserError(f"is {self.rope_theta}", where="model.rope_theta", fix="use a finite number above 0")
        if not 0 < self.norm_eps < 1:
            raise UserError(f"is {self.norm_eps}", where="model.norm_eps", fix="use a small number above 0")

    def block_matrix_parameters(self) -> int:
        """Weights in the matrices of all blocks: four of attention, three of the feed-forward layer each."""
        attention = 2 * self.width * self.head_dim * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.width * self.ffn_width)

    def matrix_parameters(self) -> int:
        """Weights every token is multiplied by: the blocks' matrices and the output head, tied or not."""
        return self.block_matrix_parameters() + self.vocab_size * self.width

    def parameters(self) -> int:
        """All trainable weights; a tied embedding counts once."""
        norms = self.layers * (2 * self.width + (2 * self.head_dim if self.arch == "qwen3" else 0)) + self.width
        embedding = self.vocab_size * self.width
        return self.block_matrix_parameters() + norms + embedding * (1 if self.tied else 2)

    def flops_per_token(self, context: int | None = None) -> int:
        """Floating-point operations to train on one token (forward and backward) in sequences of `context`
        tokens.

        6 per matrix weight plus 12 L H D T for attention scores and values, not halved for the causal mask
        (PaLM, arXiv 2204.02311, appendix B).
        """
        tokens = self.context if context is None else context
        return 6 * self.matrix_parameters() + 12 * self.layers * self.heads * self.head_dim * tokens

    def kv_cache_bytes(self, batch: int = 1, tokens: int | None = None, bytes_per_value: int = 4) -> int:
        """Bytes of keys and values for `batch` rows of `tokens` (default: the context)."""
        slots = self.context if tokens is None else tokens
        return 2 * self.layers * batch * self.kv_heads * slots * self.head_dim * bytes_per_value
