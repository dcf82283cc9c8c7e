"""A packed model computes what the `Transformer` computes: exactly in float32, within bounds in fewer bits."""

import pytest
import torch
from small_models import random_model

from groundup.errors import UserError
from groundup.inference import PackedModel
from groundup.inference.weights import Int8Matrix
from groundup.model import ModelShape, Transformer, initialize

IDS = torch.randint(257, (3, 16), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("arch", ["qwen3", "llama"])
def test_float32_gives_the_logits_of_the_transformer(arch):
    model = random_model(0, arch=arch)
    with torch.no_grad():
        torch.testing.assert_close(PackedModel(model)(IDS), model(IDS), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_tokens_one_by_one_give_the_logits_of_one_pass(precision):
    packed = PackedModel(random_model(1), precision)
    cache = packed.cache(3, 16)
    steps = [packed(IDS[:, i : i + 1], cache, torch.full((3, 1), i)) for i in range(16)]
    whole = packed(IDS)
    bound = 2e-5 if precision == "float32" else 0.05 * float(whole.abs().max())
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=bound, rtol=0)


@pytest.mark.parametrize(("precision", "bound"), [("bfloat16", 0.05), ("int8", 0.05)])
def test_fewer_bits_stay_near_the_logits_of_float32(precision, bound):
    model = random_model(2)
    exact, near = PackedModel(model)(IDS), PackedModel(model, precision)(IDS).float()
    error = (near - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 1e-4 < error < bound  # something was rounded, and little was lost


def test_rows_of_int8_are_within_half_a_step_of_the_matrix():
    matrix = torch.randn(50, 64, generator=torch.Generator().manual_seed(3)) * torch.logspace(-3, 3, 50)[:, None]
    matrix[7] = 0
    packed = Int8Matrix(matrix)
    error = (packed.weight * packed.scale.float()[:, None] - matrix).abs()
    assert (error <= packed.scale.float()[:, None] * 0.501).all()
    assert packed.weight.abs().amax(1)[0] >= 126
    assert (packed.rows(torch.tensor([7])) == 0).all()


def test_weights_take_the_memory_of_their_precision():
    model = initialize(Transformer(ModelShape("qwen3", 500, 2, 64, 4, 2, 16, 128, 32, tied=False)), 0)
    size = {}
    for precision in ("float32", "bfloat16", "int8"):
        tensors = PackedModel(model, precision).state_dict(keep_vars=True)
        size[precision] = sum(t.numel() * t.element_size() for n, t in tensors.items() if n not in ("cos", "sin"))
    assert size["float32"] == pytest.approx(4 * model.shape.parameters(), rel=0.01)
    assert size["bfloat16"] / size["float32"] == pytest.approx(0.5, abs=0.01)
    assert size["int8"] / size["float32"] == pytest.approx(0.25, abs=0.02)


def test_many_rows_and_odd_widths_take_the_same_weights():
    matrix = torch.randn(40, 33, generator=torch.Generator().manual_seed(4))
    for columns in (33, 32):
        packed = Int8Matrix(matrix[:, :columns])
        x = torch.randn(100, columns, generator=torch.Generator().manual_seed(5)).bfloat16()
        whole = packed(x).float()
        parts = torch.cat([packed(row[None]) for row in x]).float()
        torch.testing.assert_close(parts, whole, atol=0.1, rtol=0.02)


def test_another_precision_is_the_users_error():
    with pytest.raises(UserError, match="precision: is 'int4'"):
        PackedModel(random_model(0), "int4")  # pyright: ignore[reportArgumentType]
