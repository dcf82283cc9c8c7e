"""The generation benchmark: everyone writes what was asked for, and the figures follow from the rounds."""

from typing import Any

import pytest

from groundup.benchmarking import Outcome, Shape, measure_decoding
from groundup.benchmarking.decoding import _goals, _rows
from groundup.benchmarking.decoding_ours import tokenizer_of
from groundup.cores import usable_cores
from groundup.corpus.tokenizer import Tokenizer
from groundup.errors import UserError
from groundup.reporting import describe_decoding, draw_decoding

SMALL = {"t": Shape(layers=2, heads=2, width=32, context=128, batch=1, vocabulary=257)}


def outcome(name: str, seconds: list[float], first: float = 0.1, **facts: Any) -> Outcome:
    rounds = [{"tokens": 20, "texts": 2, "writing_seconds": s, "first_token_seconds": first} for s in seconds]
    return Outcome(name, "measured", facts={"bytes_per_token": 8, **facts}, rounds=rounds)


def test_rates_ratios_and_shares_follow_from_the_rounds() -> None:
    machine = Outcome("bandwidth", "measured", rounds=[{"read": 100.0, "copy": 80.0}, {"read": 50.0, "copy": 200.0}])
    dead = Outcome("gpt2-bf16", "not installed", "no transformers")
    uncached = outcome("groundup-uncached", [40.0, 40.0], bytes_per_token=None)
    rows = _rows([machine, outcome("gpt2", [4.0, 2.0]), outcome("groundup", [2.0, 2.0]), dead, uncached])
    base, ours, absent, slow = rows
    assert base["tokens_per_second"] == {"median": 7.5, "min": 5.0, "max": 10.0}
    assert ours["ratio"] == {"median": 1.5, "min": 1.0, "max": 2.0}
    # 18 tokens after the first ones, in 1.8 s, 8 bytes each
    assert ours["share_of_bandwidth"]["max"] == pytest.approx(18 / 1.8 * 8 / 100)
    assert ours["share_of_bandwidth"]["min"] == pytest.approx(18 / 1.8 * 8 / 200)
    assert absent == {"name": "gpt2-bf16", "status": "not installed", "reason": "no transformers"}
    assert "share_of_bandwidth" not in slow
    goals = _goals(rows, {"gpt2": 1.6, "share": 0.5})
    assert [(goal["measured"], goal["reached"]) for goal in goals] == [(1.5, False), (pytest.approx(0.6), True)]
    assert _goals([base], {"gpt2": 1.6}) == []


def test_ratios_are_to_gpt2_wherever_it_stands_and_goals_name_each_precision() -> None:
    machine = Outcome("bandwidth", "measured", rounds=[{"read": 100.0, "copy": 80.0}])
    ours = [outcome("groundup-int8", [1.0]), outcome("groundup", [2.0]), outcome("groundup-uncached", [0.1])]
    rows = _rows([machine, *ours, outcome("gpt2-bf16", [4.0]), outcome("gpt2", [8.0])])
    assert [row["ratio"]["median"] for row in rows] == [8.0, 4.0, 80.0, 2.0, 1.0]
    assert [(goal["what"], goal["measured"], goal["reached"]) for goal in _goals(rows, {"gpt2": 5.0})] == [
        ("groundup in int8: tokens per second beside gpt2 (float32)", 8.0, True),
        ("groundup in float32: tokens per second beside gpt2 (float32)", 4.0, False),
    ]
    without = _rows([machine, *ours])
    assert not any("ratio" in row for row in without)
    assert [goal["measured"] for goal in _goals(without, {"gpt2": 5.0})] == [None, None]


def test_every_token_is_chosen_among_the_whole_vocabulary() -> None:
    tokenizer = tokenizer_of(50_304)
    assert tokenizer.vocab_size == 50_304
    assert tokenizer.encode("abcé\n") == Tokenizer.of_bytes().encode("abcé\n")  # a token a byte still
    assert len(tokenizer.decode_bytes([50_303])) == 2
    assert tokenizer_of(257).vocab_size == 257


def test_everyone_writes_what_was_asked_for(tmp_path) -> None:
    names = ("gpt2", "groundup", "groundup-int8", "groundup-uncached")
    options = {"prompts": [16], "new_tokens": [70], "threads": [1], "rounds": 1, "seconds": 1e-6}  # one text
    result = measure_decoding(SMALL, contestants=names, **options)
    rows = {row["name"]: row for row in result["contests"][0]["rows"]}
    assert tuple(rows) == names
    for name, row in rows.items():
        assert row["status"] == "measured", row["reason"]
        assert row["threads"] == 1
        assert row["rounds"][0]["tokens"] == (4 if name == "groundup-uncached" else 70)
    assert rows["groundup-int8"]["bytes_per_token"] < rows["groundup"]["bytes_per_token"] / 3
    assert rows["groundup"]["parameters"] == pytest.approx(rows["gpt2"]["parameters"], rel=0.15)
    shown = describe_decoding(result)
    assert all(name in shown for name in names)
    assert "16 tokens of prompt, 70 new; 1 thread" in shown
    draw_decoding(result, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"shapes": ["z"]}, "--shape"),
        ({"contestants": ["gpt2", "gpt2-int8"]}, "--contestants"),
        ({"contestants": ["groundup", "groundup"]}, "--contestants"),
        ({"contestants": ["groundup-bf16-int8"]}, "--contestants"),
        ({"contestants": ["groundup-int8-int8"]}, "--contestants"),
        ({"threads": [0]}, "--threads"),
        ({"threads": [usable_cores() + 1]}, "--threads"),
        ({"seconds": 0.0}, "--seconds"),
        ({"seconds": float("nan")}, "--seconds"),
        ({"rounds": 0}, "--rounds"),
        ({"prompts": [0]}, "--prompt"),
        ({"new_tokens": [1]}, "--new"),
        ({"prompts": [400]}, "--prompt"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(options: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError) as error:
        measure_decoding(**options)
    assert error.value.where == where
