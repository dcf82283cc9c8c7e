"""Cost accounting against the network itself and against torch's own counter of floating-point operations."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from groundup.errors import UserError
from groundup.model import KVCache, ModelShape, Transformer, initialize

SHAPE = ModelShape(
    arch="qwen3",
    vocab_size=97,
    layers=2,
    width=24,
    heads=4,
    kv_heads=2,
    head_dim=8,
    ffn_width=40,
    context=16,
    tied=False,
)


@pytest.mark.parametrize("arch", ["qwen3", "llama"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 4])
def test_parameters_is_the_actual_count(arch, tied, kv_heads):
    shape = replace(SHAPE, arch=arch, tied=tied, kv_heads=kv_heads)
    model = Transformer(shape)
    assert shape.parameters() == sum(p.numel() for p in model.parameters())
    matrices = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n)
    assert shape.matrix_parameters() == matrices + (97 * 24 if tied else 0)
    blocks = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n)
    assert shape.block_matrix_parameters() == blocks


def test_flops_are_those_torch_counts():
    model = initialize(Transformer(SHAPE), 0)
    model.attention = "manual"
    batch, tokens = 3, 16
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(batch, tokens, dtype=torch.long)).sum().backward()
    # the counter also sees no gradient towards the embedding, but that is a lookup, not a product
    assert counter.get_total_flops() == SHAPE.flops_per_token(tokens) * batch * tokens
    assert SHAPE.flops_per_token() == SHAPE.flops_per_token(16) > SHAPE.flops_per_token(8)


def test_cache_bytes_are_those_allocated():
    cache = KVCache(SHAPE, rows=3, capacity=10)
    assert SHAPE.kv_cache_bytes(3, 10) == cache.keys.nbytes + cache.values.nbytes
    assert SHAPE.kv_cache_bytes(bytes_per_value=2) == SHAPE.kv_cache_bytes() // 2


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"kv_heads": 3}, "model.kv_heads"),
        ({"head_dim": 7}, "model.head_dim"),
        ({"layers": 0}, "model.layers"),
        ({"arch": "gpt"}, "model.arch"),
        ({"dropout": 1.0}, "model.dropout"),
        ({"dropout": float("nan")}, "model.dropout"),
        ({"rope_theta": float("inf")}, "model.rope_theta"),
        ({"norm_eps": float("nan")}, "model.norm_eps"),
    ],
)
def test_a_shape_that_does_not_fit_together_is_refused_by_its_key(change, key):
    with pytest.raises(UserError) as caught:
        replace(SHAPE, **change)
    assert caught.value.where == key
