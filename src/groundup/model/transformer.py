"""The network: token ids (B, T) to logits (B, T, V).

The topology and the names of all tensors are those of Hugging Face's Qwen3ForCausalLM (LlamaForCausalLM for
the arch "llama"), so that a state dict is a checkpoint other programs load. Sizes in comments: B rows, T
tokens, C width, H heads, D head size, V vocabulary.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.model.kv_cache import KVCache
from groundup.model.shape import ModelShape

__all__ = ["ModelShape", "Transformer"]


class Transformer(nn.Module):
    """A decoder-only transformer. All matrices are zero until `initialize` or `load_model` fills them."""

    attention: Literal["sdpa", "manual"] = "sdpa"
    """`sdpa` is torch's fused attention; `manual` is matmul, softmax, matmul: on CPUs the faster one for
    compiled bfloat16 training up to about 256 tokens. Both compute the same."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Decoder(shape)
        if not shape.tied:
            self.lm_head = Linear(shape.width, shape.vocab_size)
        cos, sin = rotary_angles(shape.context, shape.head_dim, shape.rope_theta)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, ids: Tensor, cache: KVCache | None = None, positions: Tensor | None = None) -> Tensor:
        """Token ids (B, T) to logits (B, T, V), in the precision of the last matrix product.

        `positions` (B, T) defaults to 0..T-1. With a `cache`, keys and values are stored at `positions`
        (consecutive in each row), and each token attends to all slots of its row up to its own position.
        """
        return self.logits(self.hidden(ids, cache, positions))

    def hidden(self, ids: Tensor, cache: KVCache | None = None, positions: Tensor | None = None) -> Tensor:
        """Token ids (B, T) to the final normalized states (B, T, C); arguments as in `forward`."""
        tokens = ids.shape[1]
        assert tokens <= self.shape.context, "more tokens than the context"
        mask, causal = None, True
        if positions is None:
            cos, sin = self.cos[:tokens], self.sin[:tokens]
        else:
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        if cache is not None:
            if positions is None:
                positions = torch.arange(tokens, device=ids.device).expand(ids.shape)
            mask, causal = cache.begin(positions)
        if self.attention == "manual" and causal:
            mask = torch.ones(tokens, tokens, dtype=torch.bool, device=ids.device).tril()
        x = self._drop(self.model.embed_tokens(ids))
        for index, block in enumerate(self.model.layers):
            x = block(x, cos, sin, mask, causal, self.attention == "manual", cache, index)
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Final states (..., C) to logits (..., V)."""
        return F.linear(hidden, self.head_weight)

    @property
    def head_weight(self) -> Tensor:
        """The output head's matrix (V, C): the embedding itself where tied."""
        return self.model.embed_tokens.weight if self.shape.tied else self.lm_head.weight

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.shape.dropout, self.training) if self.shape.dropout else x


class _Decoder(nn.Module):
    """Holds what Hugging Face names `model.*`."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.embed_tokens = Embedding(shape.vocab_size, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width, shape.norm_eps)


class Block(nn.Module):
    """Attention and feed-forward layer, each normalized before and added to the residual stream."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.dropout = shape.dropout
        self.input_layernorm = RMSNorm(shape.width, shape.norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.norm_eps)
        self.mlp = SwiGLU(shape)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        causal: bool,
        manual: bool,
        cache: KVCache | None,
        index: int,
    ) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        x = x + self._drop(self.self_attn(self.input_layernorm(x), cos, sin, mask, causal, manual, cache, index))
        return x + self._drop(self.mlp(self.post_attention_layernorm(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Attention(nn.Module):
    """Causal self-attention with rotary positions and grouped key and value heads; queries and keys are
    normalized per head in the arch "qwen3"."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.head_dim = shape.head_dim
        self.group = shape.heads // shape.kv_heads
        self.q_proj = Linear(shape.width, shape.heads * shape.head_dim)
        self.k_proj = Linear(shape.width, shape.kv_heads * shape.head_dim)
        self.v_proj = Linear(shape.width, shape.kv_heads * shape.head_dim)
        self.o_proj = Linear(shape.heads * shape.head_dim, shape.width)
        self.qk_norm = shape.arch == "qwen3"
        if self.qk_norm:
            self.q_norm = RMSNorm(shape.head_dim, shape.norm_eps)
            self.k_norm = RMSNorm(shape.head_dim, shape.norm_eps)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        causal: bool,
        manual: bool,
        cache: KVCache | None,
        index: int,
    ) -> Tensor:
        """(B, T, C) to (B, T, C); `index` is this layer's place in the cache."""
        batch, tokens, _ = x.shape
        split = (batch, tokens, -1, self.head_dim)
        q, k, v = self.q_proj(x).view(split), self.k_proj(x).view(split), self.v_proj(x).view(split)
        if self.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = rotate(q.transpose(1, 2), cos, sin), rotate(k.transpose(1, 2), cos, sin), v.transpose(1, 2)
        if cache is not None:
            k, v = cache.update(index, k, v)
        if self.group > 1:
            k, v = k.repeat_interleave(self.group, dim=1), v.repeat_interleave(self.group, dim=1)
        if manual:
            y = manual_attention(q, k, v, mask)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.o_proj(y.transpose(1, 2).reshape(batch, tokens, -1))


class SwiGLU(nn.Module):
    """Gated feed-forward layer: down(silu(gate(x)) * up(x)) (arXiv 2002.05202, eq. 6)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate_proj = Linear(shape.width, shape.ffn_width)
        self.up_proj = Linear(shape.width, shape.ffn_width)
        self.down_proj = Linear(shape.ffn_width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean(x^2) + eps) * weight (arXiv 1910.07467, eq. 4), in float32 or better."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., n) to (..., n), in the precision of `x`."""
        exact = torch.promote_types(x.dtype, torch.float32)
        return F.rms_norm(x.to(exact), self.normalized_shape, self.weight.to(exact), self.eps).to(x.dtype)


class Linear(nn.Linear):
    """A matrix without bias, zero at first: torch's own start would draw from the global generator."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self) -> None:
        """Zero the matrix."""
        nn.init.zeros_(self.weight)


class Embedding(nn.Embedding):
    """One row per token, zero at first for the same reason."""

    def reset_parameters(self) -> None:
        """Zero the matrix."""
        nn.init.zeros_(self.weight)


def rotary_angles(context: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of position * theta^(-2i/D), each (context, D/2) (arXiv 2104.09864, section 3.2.2)."""
    # float32 like transformers and llama.cpp: the same rounding of the angles as where the model will be used
    rates = 1.0 / theta ** (torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.outer(torch.arange(context).float(), rates)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on x (B, H, T, D): dimension i and i + D/2 form a pair (the "rotate half" layout)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


def manual_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(D)) v; q (B, H, T, D), k and v (B, H, S, D), `mask` true where a query looks."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1).to(v.dtype) @ v
