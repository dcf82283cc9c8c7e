"""Time to quality: the defaults of `groundup train` beside the reference, on every character of the last tenth."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.benchmarking.learning import measure_learning
from groundup.cli import main
from groundup.errors import UserError
from groundup.reporting.learning import describe_learning, draw_learning


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, write_text: Callable[[int, int], str]) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("learning")
    (folder / "text.txt").write_text(write_text(1, 60), encoding="utf-8")
    options: dict[str, Any] = {"seeds": (0,), "at": ("1/2",), "caches": ("cold",), "threads": 1, "reference_steps": 3}
    return folder, measure_learning(folder / "text.txt", out=folder / "out.json", **options) | {"options": options}


def test_both_are_scored_on_the_same_characters(measured: tuple[Path, dict]) -> None:
    folder, result = measured
    text = (folder / "text.txt").read_text()
    reference, run = result["reference"][0], result["runs"][0]
    assert reference["characters"] == len(text) - int(0.9 * len(text))
    assert reference["characters"] - 2 <= run["characters"] <= reference["characters"]  # blank lines at the end
    for row in (reference, run):
        assert 0 < row["bits_per_character"] < 9
        assert row["nats_per_character"] == pytest.approx(row["bits_per_character"] * math.log(2))
    assert run["bytes_per_character"] == 1  # of ASCII, and nothing is left out
    assert 0 < run["held_out_of_training"] < 0.2
    assert run["seconds_given"] == pytest.approx(reference["seconds"] / 1.2 / 2)
    assert run["seconds"] > run["training_seconds"] > 0 and run["cpu_seconds"] > 0
    assert [point[0] for point in run["curve"]] == sorted(point[0] for point in run["curve"])
    assert 0 < run["curve"][0][0] < run["seconds"]


def test_what_was_measured_is_not_measured_again(measured: tuple[Path, dict]) -> None:
    folder, result = measured
    kept = (folder / "out.json").read_text()
    again = measure_learning(folder / "text.txt", out=folder / "out.json", **result["options"])
    assert (folder / "out.json").read_text() == kept
    assert again["runs"] == json.loads(kept)["runs"] and len(again["runs"]) == 1
    with pytest.raises(UserError, match="another recipe"):
        measure_learning(folder / "text.txt", out=folder / "out.json", **result["options"] | {"reference_steps": 4})
    others = {
        "processor": {"machine": result["machine"] | {"processor": "another"}},
        "version of the software": {"machine": result["machine"] | {"versions": {"torch": "0"}}},
        "recipe": {"recipe": result["recipe"] | {"rate": 1.0}},
    }
    for what, change in others.items():
        (folder / "other.json").write_text(json.dumps(json.loads(kept) | change))
        with pytest.raises(UserError, match=f"results of another {what}"):
            measure_learning(folder / "text.txt", out=folder / "other.json", **result["options"])
    (folder / "other.json").write_text('{"benchmark": "train"}')
    with pytest.raises(UserError, match="something else"):
        measure_learning(folder / "text.txt", out=folder / "other.json", **result["options"])


def test_rows_say_when_and_with_what_and_the_reference_is_as_nanogpt_would_run(measured: tuple[Path, dict]) -> None:
    _, result = measured
    for row in (result["reference"][0], result["runs"][0]):
        assert {"groundup", "torch", "transformers"} <= row["versions"].keys()
        assert row["date"] >= result["date"]
    assert os.environ["GOMP_SPINCOUNT"]  # set by groundup in this process, and again wherever it is imported
    assert result["reference"][0]["gomp_spincount"] is None


def test_the_table_and_the_picture_show_it(measured: tuple[Path, dict]) -> None:
    folder, result = measured
    lines = describe_learning(result).splitlines()
    assert lines[1].startswith("reference") and lines[2].split()[:3] == ["1/2", "W", "cold"]
    assert f"{result['runs'][0]['bits_per_character']:.3f}" in lines[2]
    assert lines[2].endswith((" 0 of 1", " 1 of 1"))
    draw_learning(result, folder / "plot.png")
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_verb_and_the_command_do_the_same(measured: tuple[Path, dict], capsys: pytest.CaptureFixture[str]) -> None:
    folder, result = measured
    text, out = folder / "text.txt", folder / "out.json"
    again = verbs.benchmark("learn", text=text, out=out, plot=folder / "again.png", **result["options"])
    assert again["summary"] == result["summary"]
    assert (folder / "again.png").is_file()
    # the command has the reference's 2,000 steps, which these results do not
    words = ["--at", "1/2", "--seeds", "0", "--cache", "cold", "--threads", "1"]
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", "learn", str(text), *words, "--out", str(out)])
    assert stop.value.code == 2
    assert "another recipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [{"at": ["1/0"]}, {"at": ["-1"]}, {"at": ["soon"]}, {"caches": ["hot"]}, {"threads": 0}, {"threads": 4096}],
)
def test_options_without_meaning_are_refused_before_anything_is_measured(
    options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("word " * 5_000)
    with pytest.raises(UserError):
        measure_learning(tmp_path / "text.txt", **options)
    (tmp_path / "short.txt").write_text("word")
    with pytest.raises(UserError, match="4 characters"):
        measure_learning(tmp_path / "short.txt")
