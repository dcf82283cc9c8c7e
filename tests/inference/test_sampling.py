"""Probabilities against examples computed by hand; draws against the probabilities."""

import math

import pytest
import torch

from groundup.errors import UserError
from groundup.inference import SamplingSettings, choose, probabilities

PLAIN = {"temperature": 1.0, "top_k": 0}
CHANCES = [0.5, 0.25, 0.125, 0.125]
LOGITS = torch.tensor(CHANCES).log()


def given(previous=(), logits=LOGITS, **changes) -> list[float]:
    return probabilities(logits, SamplingSettings(**(PLAIN | changes)), previous).tolist()


def test_without_any_filter_it_is_the_softmax():
    assert given() == pytest.approx(CHANCES)


def test_temperature_divides_the_logits():
    # at 1/2 every probability is squared: 16 : 4 : 1 : 1
    assert given(temperature=0.5) == pytest.approx([16 / 22, 4 / 22, 1 / 22, 1 / 22])
    # at 2 it is the square root
    roots = [math.sqrt(p) for p in CHANCES]
    assert given(temperature=2.0) == pytest.approx([r / sum(roots) for r in roots])


def test_greedy_takes_the_first_of_the_likeliest():
    assert given(temperature=0) == [1, 0, 0, 0]
    assert given(logits=torch.tensor([0.0, 3.0, 3.0, -1.0]), temperature=0) == [0, 1, 0, 0]


def test_a_tiny_temperature_is_almost_greedy_without_overflow():
    assert given(temperature=1e-300) == [1, 0, 0, 0]
    assert given(temperature=5e-324) == [1, 0, 0, 0]


def test_top_k_keeps_the_likeliest_and_their_ties():
    assert given(top_k=1) == [1, 0, 0, 0]
    assert given(top_k=2) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert given(top_k=3) == pytest.approx(CHANCES)  # the third and the fourth are tied
    assert given(top_k=100) == pytest.approx(CHANCES)


def test_top_p_keeps_the_fewest_that_reach_it():
    assert given(top_p=0.49) == [1, 0, 0, 0]
    assert given(top_p=0.51) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert given(top_p=0.8) == pytest.approx([4 / 7, 2 / 7, 1 / 7, 0])
    assert given(top_p=1e-9) == [1, 0, 0, 0]
    shuffled = torch.tensor([0.125, 0.5, 0.125, 0.25]).log()
    assert given(logits=shuffled, top_p=0.6) == pytest.approx([0, 2 / 3, 0, 1 / 3])


def test_min_p_is_a_share_of_the_likeliest():
    assert given(min_p=0.49) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert given(min_p=0.51) == [1, 0, 0, 0]
    assert given(min_p=0.24) == pytest.approx(CHANCES)
    assert given(min_p=1.0) == [1, 0, 0, 0]


def test_repetition_penalty_divides_positive_and_multiplies_negative_logits():
    logits = torch.tensor([2.0, 1.0, -1.0, 0.0])
    penalized = torch.tensor([1.0, 1.0, -2.0, 0.0])
    expected = penalized.softmax(0).tolist()
    assert given([0, 2, 0, 2], logits, repetition_penalty=2.0) == pytest.approx(expected)
    assert given([0, 2], logits) == pytest.approx(logits.softmax(0).tolist())
    assert given([0], logits, repetition_penalty=3.0, temperature=0) == [0, 1, 0, 0]


def test_the_order_is_temperature_then_top_k_then_top_p_then_min_p():
    # temperature 1/2 makes 16:4:1:1; top-k 2 leaves 0.8 and 0.2; so top-p below 0.8 takes one
    assert given(temperature=0.5, top_k=2, top_p=0.79) == [1, 0, 0, 0]
    assert given(temperature=0.5, top_k=2, top_p=0.81) == pytest.approx([0.8, 0.2, 0, 0])
    assert given(temperature=0.5, top_k=2, top_p=0.81, min_p=0.26) == [1, 0, 0, 0]


def test_draws_follow_the_probabilities():
    wanted = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0], dtype=torch.float64)
    count = 4000
    drawn = torch.bincount(torch.tensor([choose(wanted, 1, 0, step) for step in range(count)]), minlength=6)
    assert drawn[wanted == 0].sum() == 0
    # chi-squared with two degrees of freedom: 13.8 is passed once in a thousand seeds
    kept = wanted > 0
    assert ((drawn[kept] - count * wanted[kept]) ** 2 / (count * wanted[kept])).sum() < 13.8


def test_draws_are_named_by_seed_sample_and_step():
    even = torch.full((1000,), 0.001, dtype=torch.float64)
    base = [choose(even, 3, 0, step) for step in range(20)]
    assert base == [choose(even, 3, 0, step) for step in range(20)]
    assert base != [choose(even, 4, 0, step) for step in range(20)]
    assert base != [choose(even, 3, 1, step) for step in range(20)]
    assert len(set(base)) > 10


@pytest.mark.parametrize(("number", "token"), [(0, 1), (2**63 - 1, 2)])
def test_an_extreme_draw_is_still_a_possible_token(monkeypatch, number, token):
    monkeypatch.setattr("groundup.inference.sampling.derive", lambda *_: number)
    thirds = torch.tensor([0.0, 1 / 3, 2 / 3, 0.0], dtype=torch.float64)
    assert choose(thirds, 0, 0, 0) == token


def test_a_draw_uses_no_global_generator():
    state = torch.random.get_rng_state()
    choose(torch.tensor(CHANCES), 0, 0, 0)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", -0.1),
        ("temperature", "hot"),
        ("temperature", True),
        ("top_k", -1),
        ("top_k", 2.5),
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_p", float("nan")),
        ("min_p", -0.1),
        ("min_p", 2),
        ("repetition_penalty", 0),
        ("repetition_penalty", float("nan")),
        ("seed", -1),
        ("seed", 2**63),
        ("max_new_tokens", 0),
        ("max_new_tokens", None),
        ("stop", ("",)),
        ("stop", "END"),
        ("stop", (3,)),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(setting, value):
    with pytest.raises(UserError) as caught:
        SamplingSettings(**{setting: value})
    assert caught.value.where == setting
