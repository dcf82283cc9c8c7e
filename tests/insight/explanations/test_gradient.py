"""The toy against torch's own descent; one weight's slope against a loss computed here, and the law of its error."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from groundup.corpus import Batches, Corpus
from groundup.insight.explanations.gradient import TOKENS, descend, explain_gradient
from groundup.insight.subject import Subject
from groundup.model import load_model
from groundup.runs import Run


@pytest.fixture(scope="module")
def found(finished: Path) -> dict:
    return explain_gradient(Subject.open(finished), seed=3)


@pytest.mark.parametrize(("rows", "rate"), [("rows", "rate"), ("too_fast", "too_fast_rate")])
def test_the_toy_descends_as_torch_does(rows: str, rate: str) -> None:
    toy = explain_gradient(None)["toy"]
    weight = torch.tensor(toy[rows][0]["weight"], dtype=torch.float64, requires_grad=True)
    descent = torch.optim.SGD([weight], lr=toy[rate])
    for row in toy[rows]:
        loss = (weight * toy["x"] - toy["y"]) ** 2
        descent.zero_grad()
        loss.backward()
        assert (row["weight"], row["loss"]) == pytest.approx((weight.item(), loss.item()), rel=1e-12)
        assert row["gradient"] == pytest.approx(weight.grad.item(), rel=1e-12)
        descent.step()


def test_the_toy_arrives_below_the_largest_rate_and_not_above_it() -> None:
    toy = explain_gradient(None)["toy"]
    assert toy["rate"] < toy["largest_rate"] < toy["too_fast_rate"]
    assert toy["rows"][-1]["weight"] == pytest.approx(5, abs=1e-4)
    losses = [row["loss"] for row in toy["too_fast"]]
    assert losses == sorted(losses) and losses[-1] > losses[0]


def test_at_the_largest_rate_itself_no_step_comes_nearer() -> None:
    toy = explain_gradient(None)["toy"]
    at, below = (descend(0.0, factor * toy["largest_rate"], 6) for factor in (1.0, 0.999))
    assert [abs(row["weight"] - 5) for row in at] == [5.0] * 7
    away = [abs(row["weight"] - 5) for row in below]
    assert away == sorted(away, reverse=True) and len(set(away)) == 7


def test_the_slope_of_a_weight_is_that_of_the_loss_computed_by_hand(finished: Path, found: dict) -> None:
    weight, config, corpus = found["weight"], Run.open(finished).config(), Corpus(finished / "corpus")
    context, tokens = config.model.context, config.training.tokens_per_update
    batches = Batches(corpus.train, context=context, batch=tokens // context, seed=config.training.seed)
    inputs, targets = batches.at(0, range(TOKENS // context))
    model = load_model(finished / "best").double()
    loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    loss.backward()
    parameter = dict(model.named_parameters())[weight["name"]]
    index = tuple(weight["index"])
    assert weight["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert weight["autograd"] == pytest.approx(parameter.grad[index].item(), rel=1e-9)
    assert weight["value"] == parameter[index].item()
    with torch.no_grad():
        row = weight["differences"][2]
        parameter[index] += row["distance"]
        above = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()
    assert row["loss_above"] == pytest.approx(above, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_differences_come_to_agree_with_autograd(finished: Path, seed: int) -> None:
    errors = [
        row["relative_error"] for row in explain_gradient(Subject.open(finished), seed=seed)["weight"]["differences"]
    ]
    assert min(errors) < 1e-6
    assert errors[0] > min(errors)


def test_the_error_of_a_central_difference_falls_with_the_square_of_the_distance(found: dict) -> None:
    rows = found["weight"]["differences"]
    falling = [row["relative_error"] for row in rows if row["distance"] >= 1e-3]
    orders = np.diff(np.log10(falling))
    assert orders == pytest.approx([-2] * len(orders), abs=0.3)


def test_the_seed_chooses_the_weight(finished: Path, found: dict) -> None:
    again, other = (explain_gradient(Subject.open(finished), seed=seed)["weight"] for seed in (3, 4))
    assert again == found["weight"]
    assert (other["name"], other["index"]) != (again["name"], again["index"])


def test_the_model_that_is_looked_at_stays_as_it_was(finished: Path) -> None:
    subject = Subject.open(finished)
    before = {name: tensor.clone() for name, tensor in subject.model.state_dict().items()}
    explain_gradient(subject)
    assert all(torch.equal(before[name], tensor) for name, tensor in subject.model.state_dict().items())
    assert all(p.grad is None for p in subject.model.parameters())
