"""`benchmark train` from end to end, on a model of two layers."""

import json
from pathlib import Path

import pytest

import groundup
from groundup.benchmarking import Shape
from groundup.errors import UserError
from groundup.reporting import describe_training_benchmark


def test_contestants_train_side_by_side(tmp_path: Path) -> None:
    out, plot = tmp_path / "train.json", tmp_path / "train.png"
    result = groundup.benchmark(
        "train",
        shapes={"small": Shape(layers=2, heads=2, width=16, context=16, batch=2, vocabulary=65)},
        threads=[1],
        contestants=["gpt2", "litgpt", "groundup-eager"],
        rounds=2,
        seconds=0.05,
        out=out,
        plot=plot,
    )
    [contest] = result["contests"]
    base, litgpt, ours = contest["rows"]
    assert (base["status"], ours["status"], base["threads"], ours["threads"]) == ("measured", "measured", 1, 1)
    assert litgpt["status"] in ("measured", "not installed")
    for row in (base, ours):
        speed = row["tokens_per_second"]
        assert 0 < speed["min"] <= speed["median"] <= speed["max"]
        assert len(row["rounds"]) == len(contest["peak"]["rounds"]) == 2
        assert 0 < row["share_of_peak"]["bfloat16"]["median"] < 1
        assert row["peak_memory_bytes"] > 50_000_000
        assert row["versions"]["torch"]
    assert ours["versions"]["groundup"] == groundup.__version__
    assert json.loads(out.read_text()) == json.loads(json.dumps(result))
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = describe_training_benchmark(result)
    assert "shape small: 2 layers, 16 wide" in text and "groundup-eager" in text


def test_what_cannot_be_written_is_said_before_measuring(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folder does not exist"):
        groundup.benchmark("train", out=tmp_path / "missing" / "x.json")
    with pytest.raises(UserError, match="unknown benchmark 'sleep'"):
        groundup.benchmark("sleep")  # type: ignore[arg-type]
