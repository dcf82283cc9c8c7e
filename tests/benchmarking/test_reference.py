import math

import pytest
import torch

from groundup.benchmarking.reference import Recipe, _build, score_characters, train_reference

TINY = Recipe(layers=1, heads=2, width=16, context=8, batch=4, steps=3, warmup=1)
TEXT = "the quick brown fox jumps over the lazy dog. " * 20


def test_the_rate_warms_up_and_follows_half_a_cosine_to_its_minimum() -> None:
    recipe = Recipe()
    assert recipe.rate_at(0) == pytest.approx(1e-3 / 101)
    assert recipe.rate_at(99) == pytest.approx(1e-3 * 100 / 101)
    assert recipe.rate_at(100) == pytest.approx(1e-3)
    assert recipe.rate_at(1050) == pytest.approx((1e-3 + 1e-4) / 2)
    assert recipe.rate_at(2000) == pytest.approx(1e-4)


def test_weights_start_as_in_nanogpt() -> None:
    model = _build(Recipe(), 65, seed=0)
    weights = dict(model.named_parameters())
    assert weights["transformer.h.3.mlp.c_fc.weight"].std().item() == pytest.approx(0.02, rel=0.02)
    for name in ("attn.c_proj", "mlp.c_proj"):
        std = weights[f"transformer.h.3.{name}.weight"].std().item()
        assert std == pytest.approx(0.02 / math.sqrt(2 * 4), rel=0.02)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_every_character_is_scored_once_in_windows_of_the_context() -> None:
    model = _build(TINY, 30, seed=1).double()
    text = torch.randint(30, (1 + 8 * 70 + 5,), generator=torch.Generator().manual_seed(0))
    total = 0.0
    for at in range(1, len(text)):  # one character at a time, from the start of its window on
        start = 1 + (at - 1) // 8 * 8
        with torch.no_grad():
            logits = model.eval()(text[None, start - 1 : at], use_cache=False).logits[0, -1]
        total -= logits.log_softmax(0)[text[at]].item()
    assert score_characters(model, text, 8) == pytest.approx(total / (len(text) - 1), rel=1e-10)


def test_training_is_named_by_its_seed_and_its_curve_ends_at_its_result() -> None:
    first, again, other = (train_reference(TEXT, "jumps over", TINY, seed=seed, began=0.0) for seed in (0, 0, 1))
    assert first["nats_per_character"] == again["nats_per_character"] != other["nats_per_character"]
    assert first["characters"] == 10
    assert [point[1] for point in first["curve"]][-1] == first["nats_per_character"] and len(first["curve"]) == 3
    assert first["bits_per_character"] == pytest.approx(first["nats_per_character"] / math.log(2))
    assert first["curve"][-1][0] <= first["seconds"]
