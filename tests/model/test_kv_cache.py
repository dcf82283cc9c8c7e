"""The cache gives the logits of a fresh pass, whatever the order and length in which tokens arrive."""

import pytest
import torch

from groundup.model import KVCache, ModelShape, Transformer

SHAPE = ModelShape("qwen3", 61, 3, 32, 4, 2, 8, 48, 32, tied=True)


@pytest.fixture
def model() -> Transformer:
    model = Transformer(SHAPE)
    draws = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=draws)
        parameter.data = noise / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 1 + 0.2 * noise
    return model.eval().requires_grad_(False)


IDS = torch.randint(61, (3, 32), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("attention", ["sdpa", "manual"])
@pytest.mark.parametrize("pieces", [(32,), (1,) * 32, (5, 1, 1, 20, 5), (1, 31)])
def test_tokens_in_pieces_give_the_logits_of_one_pass(model, attention, pieces):
    model.attention = attention
    cache = KVCache(SHAPE, rows=3)
    outputs, start = [], 0
    for size in pieces:
        positions = torch.arange(start, start + size).expand(3, size)
        outputs.append(model(IDS[:, start : start + size], cache, positions))
        start += size
    torch.testing.assert_close(torch.cat(outputs, 1), model(IDS), atol=2e-5, rtol=0)


@pytest.mark.parametrize("attention", ["sdpa", "manual"])
def test_rows_of_unequal_length_do_not_see_padding(model, attention):
    model.attention = attention
    lengths = torch.tensor([3, 17, 9])
    cache = KVCache(SHAPE, rows=3, capacity=25)
    padded = torch.zeros(3, 17, dtype=torch.long)
    for row, length in enumerate(lengths):
        padded[row, :length] = IDS[row, :length]
    model(padded, cache)
    for step in range(8):
        positions = (lengths + step)[:, None]
        logits = model(IDS.gather(1, positions), cache, positions)[:, 0]
        expected = torch.stack([model(IDS[r : r + 1, : n + step + 1])[0, -1] for r, n in enumerate(lengths)])
        torch.testing.assert_close(logits, expected, atol=2e-5, rtol=0)


def test_rows_can_be_dropped_and_replaced(model):
    cache = KVCache(SHAPE, rows=3)
    model(IDS[:, :10], cache)
    cache.keep([0, 2])
    fresh = KVCache(SHAPE, rows=1, capacity=6)
    model(IDS[1:2, :6], fresh)
    cache.put([1], fresh)
    positions = torch.tensor([[10], [6]])
    logits = model(torch.stack([IDS[0, 10:11], IDS[1, 6:7]]), cache, positions)[:, 0]
    expected = torch.stack([model(IDS[:1, :11])[0, -1], model(IDS[1:2, :7])[0, -1]])
    torch.testing.assert_close(logits, expected, atol=2e-5, rtol=0)
    assert cache.rows == 2
