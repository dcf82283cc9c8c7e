import copy

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from groundup.config import Optimizer
from groundup.training.muon import orthogonalize
from groundup.training.optimizers import build_optimizer, clip_gradients

WIDTH, INNER, VOCAB = 16, 40, 32


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = nn.ModuleDict(
            {name: nn.Linear(WIDTH, WIDTH, bias=False) for name in ("q_proj", "k_proj", "v_proj", "o_proj")}
            | {"q_norm": nn.RMSNorm(8)}
        )
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(WIDTH, INNER, bias=False),
                "up_proj": nn.Linear(WIDTH, INNER, bias=False),
                "down_proj": nn.Linear(INNER, WIDTH, bias=False),
            }
        )
        self.input_layernorm = nn.RMSNorm(WIDTH)


class Named(nn.Module):
    """Parameters under the names that models of the package have; gradients are drawn, not computed."""

    def __init__(self, tied=False):
        super().__init__()
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(VOCAB, WIDTH),
                "layers": nn.ModuleList(Block() for _ in range(2)),
                "norm": nn.RMSNorm(WIDTH),
            }
        )
        self.lm_head = nn.Linear(WIDTH, VOCAB, bias=False)
        if tied:
            self.lm_head.weight = self.model["embed_tokens"].weight


def model(seed=0, tied=False):
    torch.manual_seed(seed)
    return Named(tied)


def draw_gradients(net, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = (torch.randn(parameter.shape, generator=generator) * scale).to(parameter.dtype)


def settings(name, **changes):
    values = {"learning_rate": 0.01, "embedding_rate": 0.03, "head_rate": 0.005, "weight_decay": 0.1}
    return Optimizer(name=name, **(values | changes))


def moved(before, net):
    return {name: before[name] - parameter.detach() for name, parameter in net.named_parameters()}


def snapshot(net):
    return {name: parameter.detach().clone() for name, parameter in net.named_parameters()}


def test_adamw_follows_its_formula_in_float64():
    net = model().double()
    lr, (b1, b2), eps, wd = 0.01, (0.9, 0.95), 1e-8, 0.1
    optimizers = build_optimizer(net, settings("adamw"))
    w = {name: value.numpy().copy() for name, value in snapshot(net).items()}
    m, v = {n: np.zeros_like(x) for n, x in w.items()}, {n: np.zeros_like(x) for n, x in w.items()}
    for t, rate in enumerate((0.5, 1.0, 0.7, 0.1), 1):
        draw_gradients(net, t)
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None
            g = parameter.grad.numpy()
            m[name] = b1 * m[name] + (1 - b1) * g
            v[name] = b2 * v[name] + (1 - b2) * g**2
            m_hat, v_hat = m[name] / (1 - b1**t), v[name] / (1 - b2**t)
            decay = wd if w[name].ndim >= 2 else 0.0
            w[name] = w[name] - rate * lr * (m_hat / (np.sqrt(v_hat) + eps) + decay * w[name])
        optimizers.step(rate)
    for name, parameter in net.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), w[name], rtol=0, atol=1e-14)


def test_adamw_equals_torch_with_the_same_groups():
    net, reference = model(), model()
    optimizers = build_optimizer(net, settings("adamw", betas=(0.9, 0.999)))
    wide = [p for p in reference.parameters() if p.ndim >= 2]
    thin = [p for p in reference.parameters() if p.ndim < 2]
    groups = [{"params": wide, "weight_decay": 0.1}, {"params": thin, "weight_decay": 0.0}]
    theirs = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.999), eps=1e-8, foreach=False)
    for seed in range(6):
        draw_gradients(net, seed)
        draw_gradients(reference, seed)
        optimizers.step(1.0)
        theirs.step()
    for ours, other in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-7)


def test_the_first_adamw_step_has_the_size_of_the_rate_whatever_the_gradient():
    for scale in (1e-4, 1.0, 1e3):
        net = model()
        optimizers = build_optimizer(net, settings("adamw", weight_decay=0.0))
        before = snapshot(net)
        draw_gradients(net, 1, scale)
        optimizers.step(0.5)
        for change in moved(before, net).values():
            assert change.abs().max() == pytest.approx(0.005, rel=2e-3)


def test_under_muon_each_part_has_its_own_rate_and_one_dimension_is_not_decayed():
    net = model()
    optimizers = build_optimizer(net, settings("muon"))
    before = snapshot(net)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizers.step(0.5)  # without a gradient only decay is left
    expected = {"model.embed_tokens.weight": 0.03, "lm_head.weight": 0.005}
    for name, change in moved(before, net).items():
        rate = 0.0 if before[name].ndim < 2 else expected.get(name, 0.01)
        torch.testing.assert_close(change, before[name] * (0.5 * rate * 0.1), rtol=1e-3, atol=1e-7)
    assert sum(name.endswith("momentum") for name in optimizers.state_tensors()) == 14


def test_under_muon_adamw_steps_are_the_size_of_their_own_rate():
    net = model()
    optimizers = build_optimizer(net, settings("muon", weight_decay=0.0))
    before = snapshot(net)
    draw_gradients(net, 1)
    optimizers.step(1.0)
    change = moved(before, net)
    assert change["model.embed_tokens.weight"].abs().max() == pytest.approx(0.03, rel=1e-3)
    assert change["lm_head.weight"].abs().max() == pytest.approx(0.005, rel=1e-3)
    assert change["model.norm.weight"].abs().max() == pytest.approx(0.005, rel=1e-3)
    assert change["model.layers.1.self_attn.q_norm.weight"].abs().max() == pytest.approx(0.005, rel=1e-3)


def test_a_tied_head_is_updated_once_and_as_the_embedding():
    net = model(tied=True)
    optimizers = build_optimizer(net, settings("muon", weight_decay=0.0))
    before = snapshot(net)
    draw_gradients(net, 1)
    optimizers.step(1.0)
    assert moved(before, net)["model.embed_tokens.weight"].abs().max() == pytest.approx(0.03, rel=1e-3)
    assert not any(name.startswith("lm_head") for name in optimizers.state_tensors())


def test_muon_follows_its_formula_with_the_momentum_of_nesterov():
    net = model()
    lr, mu, wd = 0.01, 0.95, 0.1
    optimizers = build_optimizer(net, settings("muon"))
    names = [n for n, p in net.named_parameters() if n.startswith("model.layers") and p.ndim == 2]
    w = {name: value.double() for name, value in snapshot(net).items() if name in names}
    buffer = {name: torch.zeros_like(value) for name, value in w.items()}
    for seed, rate in enumerate((1.0, 0.5, 0.25)):
        draw_gradients(net, seed)
        for name in names:
            g = net.get_parameter(name).grad
            assert g is not None
            buffer[name] = mu * buffer[name] + (1 - mu) * g.double()
            update = orthogonalize(((1 - mu) * g.double() + mu * buffer[name])[None], torch.float64)[0]
            rows, columns = update.shape
            w[name] = w[name] - rate * lr * (max(1, rows / columns) ** 0.5 * update + wd * w[name])
        optimizers.step(rate)
    for name in names:
        torch.testing.assert_close(net.get_parameter(name).detach().double(), w[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name,dtype", (("adamw", None), ("muon", torch.float32), ("muon", torch.bfloat16)))
def test_five_steps_saved_and_five_more_are_ten_steps_byte_for_byte(name, dtype, tmp_path):
    def run(net, optimizers, steps):
        for step in steps:
            draw_gradients(net, step)
            optimizers.step(1 / (step + 1))
            optimizers.zero_grad()

    dtype = dtype or torch.float32
    whole = model()
    optimizers = build_optimizer(whole, settings(name), dtype)
    run(whole, optimizers, range(10))

    half = model()
    first = build_optimizer(half, settings(name), dtype)
    run(half, first, range(5))
    safetensors.torch.save_file(first.state_tensors(), tmp_path / "optimizer.safetensors")
    safetensors.torch.save_file(half.state_dict(), tmp_path / "model.safetensors")

    resumed = model(seed=1)
    resumed.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    second = build_optimizer(resumed, settings(name), dtype)
    second.load_state_tensors(safetensors.torch.load_file(tmp_path / "optimizer.safetensors"))
    run(resumed, second, range(5, 10))

    for key, value in whole.state_dict().items():
        assert value.numpy().tobytes() == resumed.state_dict()[key].numpy().tobytes(), key
    for key, value in optimizers.state_tensors().items():
        assert value.numpy().tobytes() == second.state_tensors()[key].numpy().tobytes(), key


def test_state_has_the_parameters_names_and_counts_steps():
    net = model()
    optimizers = build_optimizer(net, settings("muon"))
    assert optimizers.state_tensors()["adamw.step"].item() == 0  # also before the first step
    for seed in range(3):
        draw_gradients(net, seed)
        optimizers.step(1.0)
    state = optimizers.state_tensors()
    assert state["adamw.step"].item() == 3
    for name, parameter in net.named_parameters():
        kinds = [key for key in state if key.startswith(name + ".")]
        if name.startswith("model.layers") and parameter.ndim == 2:
            assert kinds == [f"{name}.momentum"]
        else:
            assert sorted(kinds) == [f"{name}.exp_avg", f"{name}.exp_avg_sq"]
        assert all(state[key].shape == parameter.shape for key in kinds)


def test_state_of_another_model_is_refused_by_name_and_changes_nothing():
    net = model()
    optimizers = build_optimizer(net, settings("muon"))
    draw_gradients(net, 0)
    optimizers.step(1.0)
    good = {name: tensor.clone() for name, tensor in optimizers.state_tensors().items()}
    key = "model.layers.1.mlp.up_proj.weight.momentum"
    other = {name: torch.zeros_like(tensor) for name, tensor in good.items()}
    cases = {
        "missing": {name: tensor for name, tensor in other.items() if name != key},
        "unexpected": other | {key + "s": other[key]},
        "is \\(40, 15\\)": other | {key: other[key][:, 1:]},
        "float64": other | {key: other[key].double()},
    }
    for message, state in cases.items():
        with pytest.raises(ValueError, match=key + ".*" + message):
            optimizers.load_state_tensors(state)
        for name, tensor in optimizers.state_tensors().items():
            assert torch.equal(tensor, good[name])


def test_muon_refuses_a_model_whose_names_it_does_not_know():
    with pytest.raises(ValueError, match=r"model\.embed_tokens\.weight"):
        build_optimizer(nn.Sequential(nn.Linear(4, 4)), settings("muon"))


def test_frozen_parameters_are_left_alone():
    net = model()
    net.model["embed_tokens"].weight.requires_grad_(False)
    optimizers = build_optimizer(net, settings("adamw"))
    before = snapshot(net)
    draw_gradients(net, 0)
    optimizers.step(1.0)
    change = moved(before, net)
    assert not change["model.embed_tokens.weight"].any() and change["lm_head.weight"].all()


def test_zero_grad_drops_every_gradient():
    net = model()
    optimizers = build_optimizer(net, settings("muon"))
    draw_gradients(net, 0)
    optimizers.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())


def test_clipping_scales_to_the_norm_and_returns_the_norm_before():
    net = model()
    draw_gradients(net, 3)
    gradients = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    norm = np.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    assert clip_gradients(net.parameters(), 0).item() == pytest.approx(norm, rel=1e-5)
    assert clip_gradients(net.parameters(), 1e6).item() == pytest.approx(norm, rel=1e-5)
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))
    assert clip_gradients(net.parameters(), 1.5).item() == pytest.approx(norm, rel=1e-5)
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient * (1.5 / norm), rtol=1e-5, atol=1e-8)
    assert clip_gradients(net.parameters(), 0).item() == pytest.approx(1.5, rel=1e-4)


@pytest.mark.parametrize("bad", (float("nan"), float("inf")))
def test_a_gradient_that_is_not_finite_shows_in_the_norm(bad):
    net = model()
    draw_gradients(net, 0)
    grad = net.lm_head.weight.grad
    assert grad is not None
    grad[0, 0] = bad
    assert not clip_gradients(net.parameters(), 1.0).isfinite()


def test_two_optimizers_built_alike_do_the_same():
    first = model()
    second = copy.deepcopy(first)
    for net in (first, second):
        optimizers = build_optimizer(net, settings("muon"), torch.bfloat16)
        for seed in range(3):
            draw_gradients(net, seed)
            optimizers.step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
