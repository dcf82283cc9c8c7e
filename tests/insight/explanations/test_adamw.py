"""The table against torch.optim.AdamW, its decay against both of torch's, a run's averages against its checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from groundup.config import Config
from groundup.insight.explanations.adamw import SHRINK_FROM, explain_adamw
from groundup.insight.subject import Subject

FOUND = explain_adamw(None)


def torch_path(make: Callable[..., torch.optim.Optimizer], start: float, slope: Callable[[torch.Tensor], torch.Tensor]):
    """(weight after, state) of each step of one of torch's optimizers with the settings of FOUND."""
    weight = torch.nn.Parameter(torch.tensor([start], dtype=torch.float64))
    settings = {"lr": FOUND["rate"], "betas": (FOUND["beta1"], FOUND["beta2"]), "eps": FOUND["eps"]}
    optimizer = make([weight], weight_decay=FOUND["decay"], **settings)
    for _ in FOUND["rows"]:
        weight.grad = slope(weight.detach())
        optimizer.step()
        yield weight.item(), optimizer.state[weight]


def test_the_table_is_what_torch_does() -> None:
    def slope(w: torch.Tensor) -> torch.Tensor:
        return 2 * FOUND["x"] * (w * FOUND["x"] - FOUND["y"])

    steps = torch_path(torch.optim.AdamW, FOUND["rows"][0]["weight"], slope)
    for row, (after, state) in zip(FOUND["rows"], steps, strict=True):
        assert row["after"] == pytest.approx(after, rel=1e-12)
        assert row["weight"] + row["update"] == row["after"]
        assert (row["m"], row["v"]) == pytest.approx((state["exp_avg"].item(), state["exp_avg_sq"].item()), rel=1e-12)


def test_the_settings_are_the_defaults_of_the_configuration() -> None:
    default = Config().optimizer
    assert (FOUND["beta1"], FOUND["beta2"], FOUND["eps"]) == (*default.betas, default.eps)


def test_the_first_direction_is_the_sign_only_with_correction() -> None:
    first = FOUND["rows"][0]
    assert first["direction"] == pytest.approx(-1, rel=1e-9)
    expected = -(1 - FOUND["beta1"]) / (1 - FOUND["beta2"]) ** 0.5
    assert first["uncorrected"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("way", "make"), [("decoupled", torch.optim.AdamW), ("in_gradient", torch.optim.Adam)])
def test_decay_without_a_gradient_is_what_torch_does(way: str, make: Callable[..., torch.optim.Optimizer]) -> None:
    path = [after for after, _ in torch_path(make, SHRINK_FROM, torch.zeros_like)]
    assert FOUND["shrinking"][way] == pytest.approx([SHRINK_FROM, *path], rel=1e-9)


def test_a_weight_of_the_run_is_in_its_checkpoint_with_these_averages(finished: Path) -> None:
    found = explain_adamw(Subject.open(finished), seed=1)["weight"]
    state = load_file(finished / "step-00000020" / "training" / "optimizer.safetensors")
    index, (b1, b2) = tuple(found["index"]), Config().optimizer.betas
    assert found["step"] == state["adamw.step"] == 20
    assert found["m"] == state[f"{found['name']}.exp_avg"][index].item()
    assert found["v"] == state[f"{found['name']}.exp_avg_sq"][index].item()
    m_hat, v_hat = found["m"] / (1 - b1**20), found["v"] / (1 - b2**20)
    assert found["update"] == pytest.approx(-found["rate"] * m_hat / (v_hat**0.5 + Config().optimizer.eps), rel=1e-9)


def test_without_a_run_there_is_no_weight_of_one() -> None:
    assert FOUND["weight"] is None
