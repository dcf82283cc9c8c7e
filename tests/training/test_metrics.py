import json
from pathlib import Path
from typing import Any

import pytest

from groundup.runs import read_journal
from groundup.training import Metrics
from groundup.training import metrics as module
from groundup.training.metrics import training_metrics

COLUMNS = ["train_loss", "val_loss", "learning_rate", "epochs", "steps"]


def entry(step: int, val_loss: float | None = None) -> dict[str, Any]:
    return {
        "step": step,
        "epoch": step // 4,
        "train_loss": 5 / (step + 1),
        "val_loss": val_loss,
        "learning_rate": 0.1 * step,
        "grad_norm": None,
    }


def columns(run: Path) -> dict[str, list]:
    return json.loads((run / "training_metrics.json").read_text())


def recorded(run: Path, steps: range) -> Metrics:
    metrics = Metrics(run)
    for step in steps:
        metrics.entry(entry(step, 1.5 if step % 4 == 0 else None))
        metrics.probes(step, [{"prompt": "a", "top": []}])
        metrics.sample(step, "a", f"text {step}\n")
        metrics.event("saved", step=step)
    return metrics


def test_the_five_columns_are_parallel_and_hold_the_entries(tmp_path):
    metrics = recorded(tmp_path, range(9))
    metrics.happened({"step": 8, "event": "bad_step", "sequences": [[0, 1]]})
    metrics.write_training_metrics()
    got = columns(tmp_path)
    assert list(got) == COLUMNS
    assert got["steps"] == list(range(9))
    assert got["epochs"] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert got["train_loss"] == [5 / (step + 1) for step in range(9)]
    assert got["val_loss"] == [1.5, None, None, None, 1.5, None, None, None, 1.5]
    assert got["learning_rate"] == [0.1 * step for step in range(9)]
    assert len(list(read_journal(tmp_path / "metrics.jsonl"))) == 10


def test_without_entries_the_columns_are_empty(tmp_path):
    metrics = Metrics(tmp_path)
    metrics.write_training_metrics()
    assert columns(tmp_path) == {name: [] for name in COLUMNS}
    assert json.loads(training_metrics([])) == columns(tmp_path)


def test_every_row_can_be_read_while_the_run_goes_on(tmp_path):
    recorded(tmp_path, range(3))
    assert [row["step"] for row in read_journal(tmp_path / "metrics.jsonl")] == [0, 1, 2]
    assert [row["text"] for row in read_journal(tmp_path / "samples.jsonl")] == ["text 0\n", "text 1\n", "text 2\n"]
    assert [row["step"] for row in read_journal(tmp_path / "probes.jsonl")] == [0, 1, 2]
    events = list(read_journal(tmp_path / "events.jsonl"))
    assert [row["event"] for row in events] == ["saved"] * 3 and all("T" in row["time"] for row in events)


def test_evaluations_are_in_the_columns_at_once_and_others_not_too_often(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    metrics = Metrics(tmp_path)
    metrics.entry(entry(0, 2.0))
    metrics.entry(entry(1))
    assert columns(tmp_path)["steps"] == [0]
    metrics.entry(entry(2, 1.0))
    assert columns(tmp_path)["steps"] == [0, 1, 2]
    now[0] += 2 * module.REWRITE_SECONDS
    metrics.entry(entry(3))
    assert columns(tmp_path)["steps"] == [0, 1, 2, 3]


@pytest.mark.parametrize("step", [0, 3, 5, 9, 100])
def test_a_resumed_run_repeats_every_figure_byte_for_byte(tmp_path, step):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for run in (whole, broken):
        run.mkdir()
        recorded(run, range(9)).close()
    with (broken / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "train')
    metrics = Metrics(broken)
    metrics.resume(step)
    metrics.close()
    metrics = recorded(broken, range(0))
    metrics.resume(step)
    for again in range(step, 9):
        metrics.entry(entry(again, 1.5 if again % 4 == 0 else None))
        metrics.probes(again, [{"prompt": "a", "top": []}])
        metrics.sample(again, "a", f"text {again}\n")
    metrics.write_training_metrics()
    metrics.close()
    for name in ("metrics.jsonl", "probes.jsonl", "samples.jsonl"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert columns(broken)["steps"] == list(range(9))
    # what happened is never taken back
    assert len(list(read_journal(broken / "events.jsonl"))) == 9


def test_bad_steps_are_no_entries_after_resuming(tmp_path):
    metrics = recorded(tmp_path, range(3))
    metrics.happened({"step": 1, "event": "bad_step"})
    metrics.resume(3)
    metrics.write_training_metrics()
    assert columns(tmp_path)["steps"] == [0, 1, 2]
    metrics.sync()
