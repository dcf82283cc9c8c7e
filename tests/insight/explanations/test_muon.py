"""The matrices against the update that Muon makes, their figures against NumPy's singular values."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from groundup.insight.explanations.muon import TOY_FALL, TOY_SHAPE, explain_muon, toy_matrix
from groundup.insight.subject import Subject
from groundup.training.muon import Stack


def test_the_toys_singular_values_fall_and_come_out_nearly_equal() -> None:
    found = explain_muon(None)
    before = found["before"]["singular_values"]
    assert np.divide(before[:-1], before[1:]) == pytest.approx([TOY_FALL] * (TOY_SHAPE[1] - 1), rel=1e-6)
    assert found["before"]["ratio"] == pytest.approx(TOY_FALL ** (TOY_SHAPE[1] - 1), rel=1e-6)
    after = found["after"]["singular_values"]
    assert 0.7 <= min(after) <= max(after) <= 1.08  # what `orthogonalize` promises
    assert found["cosine"] > 0.99


def test_a_matrix_of_the_run_is_its_momentum_and_the_figures_are_numpys(muon_run: Path) -> None:
    found = explain_muon(Subject.open(muon_run), seed=2)
    newest = sorted(muon_run.glob("step-*"))[-1]
    matrix = load_file(newest / "training" / "optimizer.safetensors")[f"{found['name']}.momentum"]
    assert found["source"] == "momentum" and found["shape"] == list(matrix.shape)
    values = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    assert found["before"]["singular_values"] == pytest.approx(values.tolist(), rel=1e-6, abs=1e-9)
    assert found["before"]["corner"] == matrix[:4, :4].tolist()
    shares = values**2 / (values**2).sum()
    assert found["before"]["share_of_largest"] == pytest.approx(shares[0], rel=1e-6)
    assert found["before"]["rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-4)
    assert found["after"]["rank"] > found["before"]["rank"]


def test_the_update_is_the_one_that_muon_makes_at_rate_one() -> None:
    """A gradient equal to the momentum, which the blend of both leaves as it is."""
    found = explain_muon(None, seed=7)
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(*TOY_SHAPE))
    start = weight.detach().clone()
    stack = Stack({"w": weight})
    matrix = toy_matrix(7)
    assert matrix[:4, :4].tolist() == found["before"]["corner"]
    weight.grad = matrix.float()
    stack.state["w.momentum"].copy_(matrix.float())
    stack.step(1.0, 0.95, 0.0, torch.float32)
    update = start - weight.detach()
    assert update.square().mean().sqrt().item() == pytest.approx(found["update_rms"], rel=1e-4)
    corner = torch.tensor(found["after"]["corner"]) * found["scale"]
    torch.testing.assert_close(update[:4, :4], corner.float(), rtol=1e-4, atol=1e-5)


def test_a_run_on_adamw_shows_its_average_of_the_gradient(adamw_run: Path) -> None:
    found = explain_muon(Subject.open(adamw_run))
    assert found["source"] == "average gradient (AdamW)"
    assert found["name"].startswith("model.layers.")


def test_before_the_first_update_a_run_has_only_the_toy(muon_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(muon_run, tmp_path / "run", symlinks=True)
    for checkpoint in sorted(run.glob("step-*"))[1:]:
        shutil.rmtree(checkpoint)
    assert explain_muon(Subject.open(run))["source"] == "toy"
