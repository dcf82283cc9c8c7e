"""A trained model packed for inference: the same function in fewer and larger products, its weights in a chosen
precision."""

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.errors import UserError
from groundup.inference.weights import Precision, pack
from groundup.model import KVCache, ModelShape, Transformer
from groundup.model.transformer import Block, rotate

if TYPE_CHECKING:
    from groundup.inference.slots import SlotDecoder


class PackedModel(nn.Module):
    """What a `Transformer` computes, for inference alone: token ids (B, T) to logits (B, T, V).

    `float32` shares the model's memory but for the matrices that are joined. `bfloat16` and `int8` (one byte a weight,
    a scale for each row) hold the gains of the norms and the keys and values in bfloat16, too, and compute here, in
    torch, with bfloat16 activations; decode.cpp reads the same weights and the same cache but has all activations and
    sums in float32. Raises UserError for another precision.
    """

    cos: Tensor
    sin: Tensor
    norm: Tensor

    def __init__(self, model: Transformer, precision: Precision = "float32") -> None:
        super().__init__()
        if precision not in ("float32", "bfloat16", "int8"):
            raise UserError(f"is {precision!r}", where="precision", fix="use float32, bfloat16 or int8")
        self.shape = model.shape
        self.precision: Precision = precision
        self.compiled = False
        """On a GPU, compile the step that decodes: it takes about a minute and pays for a server, not for one text."""
        self.recorded: SlotDecoder | None = None
        """The GPU's decoder of the last texts, which serves the next of their number and length."""
        self.dtype = torch.float32 if precision == "float32" else torch.bfloat16
        self.embedding = pack([model.model.embed_tokens.weight], precision)
        self.head = self.embedding if model.shape.tied else pack([model.head_weight], precision)
        self.layers = nn.ModuleList(
            PackedBlock(cast(Block, block), model.shape, precision) for block in model.model.layers
        )
        self.register_buffer("norm", model.model.norm.weight.detach().to(self.dtype))
        self.register_buffer("cos", model.cos)
        self.register_buffer("sin", model.sin)
        self.eval()

    def cache(self, rows: int, capacity: int) -> KVCache:
        """An empty cache on the model's device, in the precision of its keys and values."""
        return KVCache(self.shape, rows, capacity, device=self.cos.device, dtype=self.dtype)

    def forward(self, ids: Tensor, cache: KVCache | None = None, positions: Tensor | None = None) -> Tensor:
        """Token ids (B, T) to logits (B, T, V); arguments as for `Transformer`."""
        return self.logits(self.hidden(ids, cache, positions))

    @torch.no_grad()
    def hidden(self, ids: Tensor, cache: KVCache | None = None, positions: Tensor | None = None) -> Tensor:
        """Token ids (B, T) to the final normalized states (B, T, C); arguments as for `Transformer`."""
        rows, tokens = ids.shape
        assert tokens <= self.shape.context, "more tokens than the context"
        if positions is None:
            cos, sin = self.cos[:tokens], self.sin[:tokens]
        else:
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        mask, causal = None, True
        if cache is not None:
            if positions is None:
                positions = torch.arange(tokens, device=ids.device).expand(ids.shape)
            mask, causal = cache.begin(positions)
        x = self.embedding.rows(ids.flatten())
        for index, block in enumerate(self.layers):
            x = block(x, rows, cos, sin, mask, causal, cache, index)
        return F.rms_norm(x, self.norm.shape, self.norm, self.shape.norm_eps).view(rows, tokens, -1)

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        """Final states (..., C) to logits (..., V)."""
        return self.head(hidden.reshape(-1, self.shape.width)).view(*hidden.shape[:-1], -1)


class PackedBlock(nn.Module):
    """One block of the model on x (B*T, C): four matrix products instead of seven."""

    input_norm: Tensor
    qk_norm: Tensor | None
    post_norm: Tensor

    def __init__(self, block: Block, shape: ModelShape, precision: Precision) -> None:
        super().__init__()
        attention, mlp = block.self_attn, block.mlp
        dtype = torch.float32 if precision == "float32" else torch.bfloat16
        self.shape = shape
        self.qkv = pack([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight], precision)
        self.out = pack([attention.o_proj.weight], precision)
        self.gate_up = pack([mlp.gate_proj.weight, mlp.up_proj.weight], precision)
        self.down = pack([mlp.down_proj.weight], precision)
        self.register_buffer("input_norm", block.input_layernorm.weight.detach().to(dtype))
        self.register_buffer("post_norm", block.post_attention_layernorm.weight.detach().to(dtype))
        gains = None
        if attention.qk_norm:  # one row for each query and key head
            heads = attention.q_norm.weight.expand(shape.heads, -1), attention.k_norm.weight.expand(shape.kv_heads, -1)
            gains = torch.cat(heads)[:, None].detach().to(dtype)
        self.register_buffer("qk_norm", gains)

    def forward(
        self,
        x: Tensor,
        rows: int,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        causal: bool,
        cache: KVCache | None,
        index: int,
    ) -> Tensor:
        """(B*T, C) to (B*T, C); the other arguments as in `Attention`."""
        x = x + self.attend(_normalized(x, self.input_norm, self.shape), rows, cos, sin, mask, causal, cache, index)
        gate, up = self.gate_up(_normalized(x, self.post_norm, self.shape)).chunk(2, dim=1)
        return x + self.down(F.silu(gate) * up)

    def attend(
        self,
        x: Tensor,
        rows: int,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        causal: bool,
        cache: KVCache | None,
        index: int,
    ) -> Tensor:
        """Self-attention on normalized states (B*T, C)."""
        shape = self.shape
        heads = self.qkv(x).view(rows, -1, shape.heads + 2 * shape.kv_heads, shape.head_dim).transpose(1, 2)
        qk, v = heads.tensor_split([shape.heads + shape.kv_heads], dim=1)
        if self.qk_norm is not None:
            qk = F.rms_norm(qk, (shape.head_dim,), None, shape.norm_eps) * self.qk_norm
        q, k = rotate(qk, cos, sin).tensor_split([shape.heads], dim=1)
        if cache is not None:
            k, v = cache.update(index, k, v)
        if q.shape[2] == 1:
            # the queries that share a head of keys become its tokens: nothing is copied
            q = q.view(rows, shape.kv_heads, -1, shape.head_dim)
        elif shape.kv_heads < shape.heads:
            group = shape.heads // shape.kv_heads
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.out(y.view(rows, shape.heads, -1, shape.head_dim).transpose(1, 2).reshape(x.shape[0], -1))


def _normalized(x: Tensor, gain: Tensor, shape: ModelShape) -> Tensor:
    return F.rms_norm(x, gain.shape, gain, shape.norm_eps)
