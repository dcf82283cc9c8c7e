"""The network's mathematics, each part against an independent formula."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from groundup.model import ModelShape, Transformer
from groundup.model.transformer import manual_attention, rotary_angles, rotate

SHAPE = ModelShape(
    arch="qwen3",
    vocab_size=61,
    layers=2,
    width=32,
    heads=4,
    kv_heads=2,
    head_dim=8,
    ffn_width=48,
    context=24,
    tied=False,
)


def filled(shape: ModelShape, seed: int = 0) -> Transformer:
    """A model whose every weight matters: no zero matrices, norms away from one."""
    model = Transformer(shape)
    draws = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=draws)
        parameter.data = noise / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 1 + 0.2 * noise
    return model.eval()


def some_ids(shape: ModelShape, rows: int = 2, tokens: int | None = None, seed: int = 1) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(shape.vocab_size, (rows, tokens or shape.context), generator=draws)


@pytest.mark.parametrize("arch", ["qwen3", "llama"])
@pytest.mark.parametrize("attention", ["sdpa", "manual"])
def test_a_later_token_never_changes_earlier_logits(arch, attention):
    shape = replace(SHAPE, arch=arch)
    model, ids = filled(shape), some_ids(SHAPE)
    model.attention = attention
    before = model(ids)
    for place in (1, 10, 23):
        changed = ids.clone()
        changed[:, place] = (changed[:, place] + 1) % shape.vocab_size
        after = model(changed)
        assert torch.equal(before[:, :place], after[:, :place])
        assert (before[:, place:] - after[:, place:]).abs().amax(-1).min() > 1e-6


def test_rotary_positions_are_a_complex_rotation():
    x = torch.randn(2, 3, 24, 8, generator=torch.Generator().manual_seed(0)).double()
    cos, sin = rotary_angles(24, 8, 500.0)
    pairs = torch.complex(x[..., :4], x[..., 4:])
    turns = torch.tensor([[p * 500.0 ** (-2 * i / 8) for i in range(4)] for p in range(24)], dtype=torch.float64)
    expected = pairs * torch.polar(torch.ones_like(turns), turns)
    torch.testing.assert_close(rotate(x, cos, sin), torch.cat([expected.real, expected.imag], -1), atol=1e-5, rtol=0)


def test_rotated_products_depend_on_distance_only():
    q, k = torch.randn(2, 1, 1, 1, 16, generator=torch.Generator().manual_seed(3))
    cos, sin = rotary_angles(100, 16, 10_000.0)
    turned = rotate(q.expand(1, 1, 100, 16), cos, sin) @ rotate(k.expand(1, 1, 100, 16), cos, sin).mT
    for distance in (0, 1, 17):
        diagonal = turned[0, 0].diagonal(-distance)
        assert (diagonal - diagonal[0]).abs().max() < 1e-4


def test_grouped_heads_equal_repeated_heads():
    grouped = filled(SHAPE)
    weights = grouped.state_dict()
    for name in [n for n in weights if "k_proj" in n or "v_proj" in n]:
        heads = weights[name].view(SHAPE.kv_heads, SHAPE.head_dim, SHAPE.width)
        weights[name] = torch.stack([heads[0], heads[0], heads[1], heads[1]]).flatten(0, 1)
    full = Transformer(replace(SHAPE, kv_heads=4))
    full.load_state_dict(weights)
    ids = some_ids(SHAPE)
    torch.testing.assert_close(grouped(ids), full.eval()(ids), atol=1e-5, rtol=0)


def test_manual_attention_is_the_fused_one():
    draws = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 8, generator=draws) for _ in range(3))
    triangle = torch.ones(9, 9, dtype=torch.bool).tril()
    torch.testing.assert_close(
        manual_attention(q, k, v, triangle), F.scaled_dot_product_attention(q, k, v, is_causal=True)
    )
    ids = some_ids(SHAPE)
    fused, manual = filled(SHAPE), filled(SHAPE)
    manual.attention = "manual"
    for model in (fused, manual):
        F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
    torch.testing.assert_close(fused(ids), manual(ids), atol=1e-5, rtol=0)
    for one, other in zip(fused.parameters(), manual.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4)


def test_a_tied_head_is_the_embedding():
    tied = filled(replace(SHAPE, tied=True))
    assert "lm_head.weight" not in tied.state_dict()
    untied = Transformer(SHAPE)
    untied.load_state_dict(tied.state_dict() | {"lm_head.weight": tied.model.embed_tokens.weight})
    ids = some_ids(SHAPE)
    assert torch.equal(tied(ids), untied.eval()(ids))


@pytest.mark.parametrize("arch", ["qwen3", "llama"])
def test_gradients_are_the_finite_differences(arch):
    shape = ModelShape(arch, 11, 2, 8, 2, 1, 4, 12, 8, tied=True)
    model, ids = filled(shape).double(), some_ids(shape, tokens=8)

    def loss() -> torch.Tensor:
        return F.cross_entropy(model(ids).flatten(0, 1), ids.roll(-1, 1).flatten())

    loss().backward()
    draws = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        direction = torch.randn(parameter.shape, generator=draws, dtype=torch.float64)
        assert parameter.grad is not None
        slope = (parameter.grad * direction).sum()
        with torch.no_grad():
            parameter += 1e-5 * direction
            above = loss()
            parameter -= 2e-5 * direction
            below = loss()
            parameter += 1e-5 * direction
        torch.testing.assert_close((above - below) / 2e-5, slope, atol=1e-8, rtol=1e-5, msg=name)


def test_dropout_acts_in_training_only():
    shape = replace(SHAPE, dropout=0.5)
    model, ids = filled(shape), some_ids(shape)
    plain = filled(SHAPE)(ids)
    assert torch.equal(model(ids), plain)
    model.train()
    torch.manual_seed(0)
    first = model(ids)
    assert not torch.allclose(first, model(ids))
    torch.manual_seed(0)
    assert torch.equal(model(ids), first)


def test_dropout_reaches_the_embeddings_and_what_both_sublayers_add():
    model = filled(replace(SHAPE, dropout=0.5, layers=1)).train()
    states: list[torch.Tensor] = []
    block = model.model.layers[0]
    for norm in (block.input_layernorm, block.post_attention_layernorm, model.model.norm):
        norm.register_forward_pre_hook(lambda _, args: states.append(args[0].detach()))
    model(some_ids(SHAPE))
    for added in (states[0], states[1] - states[0], states[2] - states[1]):
        assert (added == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("attention", ["sdpa", "manual"])
def test_bfloat16_stays_close_to_float32(attention):
    model, ids = filled(SHAPE), some_ids(SHAPE, rows=4)
    exact = model(ids).log_softmax(-1)
    model.attention = attention
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(ids).float().log_softmax(-1)
    assert (rough - exact).abs().mean() < 0.03
    assert (rough.argmax(-1) == exact.argmax(-1)).float().mean() > 0.9


def test_building_a_model_draws_nothing_from_the_global_generator():
    state = torch.random.get_rng_state()
    model = Transformer(SHAPE)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(not p.any() for p in model.parameters() if p.ndim == 2)


@pytest.mark.parametrize("attention", ["sdpa", "manual"])
def test_training_graph_has_no_breaks(attention):
    model = filled(replace(SHAPE, dropout=0.1)).train()
    model.attention = attention
    ids = some_ids(SHAPE)
    torch._dynamo.reset()
    explained = torch._dynamo.explain(model)(ids)
    assert explained.graph_break_count == 0
