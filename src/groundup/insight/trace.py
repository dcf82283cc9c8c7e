"""A forward pass taken apart: every tensor between the token ids and the logits, made with the model's own weights."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.model import Transformer
from groundup.model.transformer import Block, rotate


@dataclass(frozen=True)
class Trace:
    """One text through the model; T tokens, C width, H heads, K key and value heads, D head size, F inner size."""

    embedded: Tensor
    """(1, T, C)"""
    blocks: list[dict[str, Tensor]]
    """Of each block, in order: `norm1` (1, T, C); `q` (1, H, T, D), `k` and `v` (1, K, T, D) as projected; `q_rotated`
    and `k_rotated`, normalized where the arch does and with their positions; `weights` (1, H, T, T), each row over the
    positions that it may see; `mixed` (1, T, H D); `attended` (1, T, C), and `stream1` = input + attended; `norm2`;
    `gate`, `up` and `gated` = silu(gate) up, (1, T, F); `fed` (1, T, C), and `stream2` = stream1 + fed."""
    normalized: Tensor
    """(1, T, C)"""
    logits: Tensor
    """(1, T, V)"""


@torch.no_grad()
def trace(model: Transformer, ids: Tensor) -> Trace:
    """Token ids (1, T), at most the context, through `model` in evaluation mode; what `model(ids)` does in one go."""
    tokens = ids.shape[1]
    cos, sin = model.cos[:tokens], model.sin[:tokens]
    embedded = x = model.model.embed_tokens(ids)
    blocks = []
    for block in model.model.layers:
        assert isinstance(block, Block)
        blocks.append(_block(block, x, cos, sin))
        x = blocks[-1]["stream2"]
    normalized = model.model.norm(x)
    return Trace(embedded, blocks, normalized, model.logits(normalized))


def _block(block: Block, x: Tensor, cos: Tensor, sin: Tensor) -> dict[str, Tensor]:
    tokens, attention = x.shape[1], block.self_attn
    norm1 = block.input_layernorm(x)
    q, k, v = (
        projection(norm1).view(1, tokens, -1, attention.head_dim)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    q_normed, k_normed = (attention.q_norm(q), attention.k_norm(k)) if attention.qk_norm else (q, k)
    q_rotated, k_rotated = (rotate(part.transpose(1, 2), cos, sin) for part in (q_normed, k_normed))
    keys, values = (part.repeat_interleave(attention.group, dim=1) for part in (k_rotated, v.transpose(1, 2)))
    scores = q_rotated @ keys.transpose(-2, -1) * attention.head_dim**-0.5
    seen = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    weights = scores.masked_fill(~seen, float("-inf")).softmax(dim=-1)
    mixed = (weights @ values).transpose(1, 2).reshape(1, tokens, -1)
    attended = attention.o_proj(mixed)
    stream1 = x + attended
    norm2 = block.post_attention_layernorm(stream1)
    gate, up = block.mlp.gate_proj(norm2), block.mlp.up_proj(norm2)
    gated = F.silu(gate) * up
    fed = block.mlp.down_proj(gated)
    return {
        "norm1": norm1,
        "q": q.transpose(1, 2),
        "k": k.transpose(1, 2),
        "v": v.transpose(1, 2),
        "q_rotated": q_rotated,
        "k_rotated": k_rotated,
        "weights": weights,
        "mixed": mixed,
        "attended": attended,
        "stream1": stream1,
        "norm2": norm2,
        "gate": gate,
        "up": up,
        "gated": gated,
        "fed": fed,
        "stream2": stream1 + fed,
    }
