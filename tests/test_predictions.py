"""Planned beside actual: the queue runs once, the texts are cut as said, and table and spread say what is."""

import gzip
import json
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def predictions() -> Any:
    spec = util.spec_from_file_location("predictions", ROOT / "benchmarks" / "predictions.py")
    assert spec and spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(minutes: float, memory: float, bits: float, *, late: float | None = None, **other: Any) -> dict[str, Any]:
    """A finished run that was planned to take 2 minutes (1 to 3), 1 GB (.9 to 1.1) and nothing said of the loss."""
    actual = {"minutes": minutes, "memory_bytes": memory, "bits_per_byte": bits}
    planned = {
        "minutes": {"expected": 2.0, "low": 1.0, "high": 3.0},
        "memory_bytes": {"expected": 1e9, "low": 0.9e9, "high": 1.1e9},
        "bits_per_byte": {"none": "no fit"},
    }
    within = {"minutes": 1 <= minutes <= 3, "memory_bytes": 0.9e9 <= memory <= 1.1e9, "bits_per_byte": None}
    return {
        "corpus": "book",
        "kilobytes": 50,
        "shape": [2, 64],
        "layers_width": [2, 64],
        "threads": 1,
        "budget": ["minutes", 2.0] if late else ["steps", 10],
        "late_unit_seconds": late,
        "stop_reason": "complete",
        "planned": planned,
        "stated": planned,
        "actual": actual,
        "inside": within,
        "stated_inside": within,
        "planned_tokens": 1000,
        "train_tokens": 500,
        "bytes_per_token": 2.0,
        "parameters": 1000,
        "epochs": 2.0,
        "tokens": 1000,
        "bits_per_byte": bits,
        "baselines": {"5-gram": 2.0},
        **other,
    }


def test_a_run_is_planned_trained_and_kept_and_not_run_again(
    predictions: Any, documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    todo = [{"corpus": "texts", "kilobytes": 15, "shape": (1, 32), "budget": ("steps", 3), "threads": 1}]
    results = tmp_path / "results.jsonl"
    predictions.run_queue([*todo, {**todo[0], "corpus": "absent"}], {"texts": documents}, results, 5)
    (found,) = predictions.rows_of(results)
    assert "left out, no --corpus absent=PATH" in capsys.readouterr().out
    assert found["planned_steps"] == found["steps"] == 3
    assert found["layers_width"] == [1, 32]
    assert found["actual"]["memory_bytes"] > 1e8 and 0 < found["actual"]["minutes"] < 2
    low, high = (found["planned"]["minutes"][key] for key in ("low", "high"))
    assert found["inside"]["minutes"] is (low <= found["actual"]["minutes"] <= high)
    assert found["bits_per_byte"] > 0 and found["baselines"]["5-gram"] > 0
    predictions.run_queue(todo, {"texts": documents}, results, 5)
    assert "1 of 1 runs are done" in capsys.readouterr().out
    assert len(predictions.rows_of(results)) == 1
    assert "texts, 15 KB" in predictions.table_of([found])


def test_no_run_begins_that_would_end_too_late(predictions: Any, documents: Path, tmp_path: Path) -> None:
    todo = [{"corpus": "texts", "kilobytes": 15, "shape": (1, 32), "budget": ("minutes", 3), "threads": 1}]
    predictions.run_queue(todo, {"texts": documents}, tmp_path / "results.jsonl", 3)
    assert not (tmp_path / "results.jsonl").exists()


def test_texts_are_cut_to_whole_lines_and_whole_files(predictions: Any, documents: Path, tmp_path: Path) -> None:
    lines = [f"line {number}\n" for number in range(1000)]
    (tmp_path / "book.txt").write_text("".join(lines), encoding="utf-8")
    with gzip.open(tmp_path / "book.jsonl.gz", "wt", encoding="utf-8") as packed:
        packed.writelines(lines)
    for name, made in (("book.txt", "text.txt"), ("book.jsonl.gz", "text.jsonl")):
        predictions.cut(tmp_path / name, 500, tmp_path / f"{name}-cut")
        text = (tmp_path / f"{name}-cut" / made).read_text(encoding="utf-8")
        assert 500 <= len(text) < 510 and "".join(lines).startswith(text) and text.endswith("\n")
    predictions.cut(documents, 5_000, tmp_path / "files")
    copied = list((tmp_path / "files").iterdir())
    assert 1 < len(copied) < 20
    assert {path.read_text() for path in copied} < {path.read_text() for path in documents.iterdir()}
    with pytest.raises(UserError, match="are needed"):
        predictions.cut(documents, 10**7, tmp_path / "more")


def test_the_table_counts_what_was_inside_and_marks_what_was_not(predictions: Any) -> None:
    table = predictions.table_of([row(2.5, 1e9, 1.5), row(3.5, 1.05e9, 1.4), row(2.0, 2e9, 1.3)])
    assert "| 2.00 (1.00 to 3.00): 2.50 |" in table
    assert "| **2.00 (1.00 to 3.00): 3.50** |" in table
    assert "| **1,000 (900 to 1,100): 2,000** |" in table
    assert "minutes: 2 of 3 (67%)" in table and "memory: 2 of 3 (67%)" in table
    assert "no prediction: 1.500" in table and "loss: none" in table
    assert predictions.table_of([]) == "*No results yet.*"


def test_the_spread_is_between_the_extremes_of_runs_that_were_not_stopped_early(predictions: Any) -> None:
    rows = [row(1.8, 1.0e9, 1.5), row(2.4, 1.2e9, 1.5), row(2.1, 0.8e9, 1.5, late=3.0)]
    rows.append(row(1.0, 1.1e9, 1.5, late=3.0) | {"stop_reason": "early stopping"})
    minutes, late, memory = predictions.spread_of(rows).splitlines()
    assert minutes.startswith("minutes.RATIOS = (0.900, 1.200)  # 2 runs")
    assert late.startswith("minutes.LATE = (2.000, 2.000)  # 1 runs")  # six seconds late, in units of three
    assert memory.startswith("memory.RATIOS = (0.800, 1.200)  # 4 runs: holds for 60%")


def test_the_table_goes_between_its_marks(predictions: Any, tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "results.jsonl"
    page.write_text(f"before\n{predictions.MARK}\nold\n<!-- end -->\nafter\n")
    results.write_text(json.dumps(row(2.0, 1e9, 1.5)) + "\n")
    predictions.main(["table", "--results", str(results), "--write", str(page)])
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("<!-- end -->\nafter\n") and "old" not in text
    assert "| book, 50 KB |" in text
    page.write_text("no marks")
    with pytest.raises(SystemExit):
        predictions.main(["table", "--results", str(results), "--write", str(page)])


def test_the_list_has_budgets_enough_and_texts_that_were_not_fitted(predictions: Any) -> None:
    runs = list(predictions.listed())
    assert len(runs) >= 12 and len({predictions.named(run) for run in runs}) == len(runs)
    assert {run["budget"][0] for run in runs} == {"steps", "epochs", "minutes"}
    texts = {run["corpus"] for run in runs}
    assert len(texts) == 3 and not texts & {run["corpus"] for run in predictions.fitted()}
