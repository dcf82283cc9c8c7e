"""What the figures of a contest come to."""

from typing import Any

import pytest

from groundup.benchmarking import Outcome, compare_training
from groundup.benchmarking.training import evaluate_contest
from groundup.errors import UserError

FACTS = {
    "parameters": 100,
    "flops_per_token": 10,
    "compiled": False,
    "first_step_seconds": 9.0,
    "second_step_seconds": 1.0,
    "peak_memory_bytes": 50,
}


def outcome(name: str, tokens: list[float], **facts: Any) -> Outcome:
    rounds = [{"tokens": count, "seconds": 2.0, "cpu_seconds": 4.0} for count in tokens]
    return Outcome(name, "measured", facts=FACTS | facts, rounds=rounds)


def peak(*bfloat16: float) -> Outcome:
    return Outcome("peak", "measured", rounds=[{"float32": 100.0, "bfloat16": rate, "copy": 1.0} for rate in bfloat16])


def test_ratios_and_shares_are_medians_of_those_within_rounds() -> None:
    outcomes = [
        peak(200.0, 400.0, 50.0),
        outcome("gpt2", [10, 40, 20]),
        outcome("groundup", [20, 20, 80], compiled=True, parameters=101),
    ]
    found = evaluate_contest(outcomes, {})
    base, ours = found["rows"]
    assert ours["tokens_per_second"] == {"median": 10.0, "min": 10.0, "max": 40.0}
    assert ours["tokens_per_cpu_second"]["median"] == 5.0
    assert ours["ratios"] == {"gpt2": {"median": 2.0, "min": 0.5, "max": 4.0}}
    assert ours["share_of_peak"]["bfloat16"] == {"median": 0.5, "min": 0.25, "max": 8.0}
    assert ours["share_of_peak"]["float32"]["median"] == 1.0
    assert (ours["compile_seconds"], ours["parameters_ratio"], ours["flops_per_token_ratio"]) == (8.0, 1.01, 1.0)
    assert "compile_seconds" not in base
    assert base["ratios"]["gpt2"]["median"] == 1.0
    assert found["notes"] == []


def test_goals_are_reached_only_by_what_was_measured() -> None:
    outcomes = [peak(100.0), outcome("gpt2", [10]), outcome("groundup", [20], peak_memory_bytes=51)]
    goals = {
        goal["what"]: goal
        for goal in evaluate_contest(outcomes, {"gpt2": 2.0, "gpt2-bf16": 1.0, "share": 1.5})["goals"]
    }
    assert goals["tokens per second beside gpt2"]["reached"]
    assert goals["tokens per second beside gpt2-bf16"] == {
        "what": "tokens per second beside gpt2-bf16",
        "goal": 1.0,
        "measured": None,
        "reached": False,
    }
    assert (goals["share of the bfloat16 peak"]["measured"], goals["share of the bfloat16 peak"]["reached"]) == (
        1.0,
        False,
    )
    assert not goals["peak memory beside gpt2"]["reached"]
    assert evaluate_contest(outcomes[:2], {"gpt2": 2.0})["goals"] == []


def test_without_a_baseline_there_are_no_ratios_and_it_is_said() -> None:
    missing = Outcome("gpt2", "not installed", "python has no transformers")
    found = evaluate_contest([peak(100.0), missing, outcome("groundup", [20])], {})
    assert found["rows"][1]["ratios"] == {}
    assert found["notes"] == ["no ratios: the baseline gpt2 was not measured; `pip install transformers`"]


def test_a_model_of_another_size_is_noted() -> None:
    outcomes = [peak(100.0), outcome("gpt2", [10]), outcome("litgpt", [10], parameters=103, flops_per_token=10.1)]
    assert evaluate_contest(outcomes, {})["notes"] == ["litgpt: parameters differ from gpt2's by more than 2%"]


def test_who_died_keeps_the_rounds_it_finished() -> None:
    died = outcome("llama", [20])
    died.status, died.reason = "died", "ended by signal 9"
    row = evaluate_contest([peak(100.0, 100.0), outcome("gpt2", [10, 10]), died], {})["rows"][1]
    assert (row["status"], row["ratios"]["gpt2"]["median"], len(row["rounds"])) == ("died", 2.0, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shapes": ["e"]}, "unknown shape 'e'"),
        ({"contestants": ["gpt2", "gpt3"]}, "unknown contestant 'gpt3'"),
        ({"contestants": ["gpt2-eager"]}, "unknown contestant 'gpt2-eager'"),
        ({"contestants": ["groundup-bf16"]}, "unknown contestant 'groundup-bf16'"),
        ({"contestants": []}, "at least one"),
        ({"contestants": ["gpt2", "gpt2"]}, "once"),
        ({"rounds": 0}, "--rounds: is 0"),
        ({"seconds": float("nan")}, "--seconds: is nan"),
        ({"threads": [0]}, "--threads: is 0"),
        ({"threads": [1, 4096]}, "--threads: is 4096"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        compare_training(**options)
