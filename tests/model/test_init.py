"""The start: a pure function of shape and seed, with a first loss of ln V."""

import math

import pytest
import torch
import torch.nn.functional as F

from groundup.model import ModelShape, Transformer, initialize


def shape_of(vocab_size: int, width: int, tied: bool) -> ModelShape:
    return ModelShape("qwen3", vocab_size, 2, width, 2, 2, 16, 2 * width, 32, tied)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("vocab_size", "width"), [(65, 64), (259, 32), (259, 512), (4096, 128), (10_007, 256)])
def test_first_loss_is_ln_v(tied, vocab_size, width):
    model = initialize(Transformer(shape_of(vocab_size, width, tied)), 0)
    ids = torch.randint(vocab_size, (8, 33), generator=torch.Generator().manual_seed(0))
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).item()
    assert loss == pytest.approx(math.log(vocab_size), abs=0.15 if tied else 1e-5)


def test_the_seed_alone_decides_whatever_the_threads_and_the_global_generator():
    shape = shape_of(100, 64, False)
    one = initialize(Transformer(shape), 7).state_dict()
    torch.manual_seed(123)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    two = initialize(Transformer(shape), 7).state_dict()
    torch.set_num_threads(threads)
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = initialize(Transformer(shape), 8).state_dict()
    assert not torch.equal(one["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_each_kind_of_weight_has_its_scale():
    weights = initialize(Transformer(shape_of(500, 256, False)), 0).state_dict()
    for name, weight in weights.items():
        if weight.ndim == 1:
            assert torch.equal(weight, torch.ones_like(weight)), name
        elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
            assert not weight.any(), name
        elif name.endswith("embed_tokens.weight"):
            assert weight.std().item() == pytest.approx(0.02, rel=0.02)
        else:
            assert weight.std().item() == pytest.approx(256**-0.5, rel=0.02), name
