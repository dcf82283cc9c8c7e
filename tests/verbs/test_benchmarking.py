"""`benchmark train` from end to end, on a model of two layers."""

import json
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

import groundup
from groundup.benchmarking import Shape, compare_training, measure_cost, measure_decoding, measure_learning
from groundup.errors import UserError
from groundup.reporting import describe_training_benchmark
from groundup.verbs import benchmarking


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


@pytest.mark.parametrize("option", ["out", "plot"])
def test_what_cannot_be_written_is_said_before_measuring(tmp_path: Path, option: str) -> None:
    places = [(tmp_path / "missing" / "x", "folder does not exist"), (tmp_path, "is no file")]
    if sys.platform == "linux":
        places.append((Path("/proc/x"), "cannot be written"))  # not even by root
    for path, said in places:
        files: Any = {option: path}
        with pytest.raises(UserError, match=said):
            groundup.benchmark("train", shapes=["no such shape"], **files)


def test_unknown_kinds_and_options_are_the_users_error() -> None:
    ask: Any = groundup.benchmark
    with pytest.raises(UserError, match="unknown benchmark 'sleep'"):
        ask("sleep")
    with pytest.raises(UserError, match="benchmark generate: has no option 'python_with'"):
        ask("generate", python_with=[])
    with pytest.raises(UserError, match="benchmark learn: needs 'text'"):
        ask("learn")


@pytest.mark.parametrize(
    ("measure", "options"),
    [
        (compare_training, benchmarking.TrainOptions),
        (measure_learning, benchmarking.LearnOptions),
        (measure_decoding, benchmarking.GenerateOptions),
        (measure_cost, benchmarking.CostOptions),
    ],
)
def test_the_types_of_the_options_name_all_there_are(measure: Any, options: Any) -> None:
    assert options.__annotations__.keys() | {"out", "plot"} == signature(measure).parameters.keys() | {"out", "plot"}
