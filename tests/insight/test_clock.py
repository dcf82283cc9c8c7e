"""Seconds of training at a step, from the journal of events."""

import json
from pathlib import Path

import pytest

from groundup.insight.clock import TrainingClock


def write(path: Path, *rows: dict | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (path / "events.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def at(minute: int, second: int) -> str:
    return f"2026-11-21T10:{minute:02d}:{second:02d}.000+00:00"


def test_between_two_saves_time_goes_with_the_steps(tmp_path: Path) -> None:
    run = write(
        tmp_path,
        {"time": at(0, 0), "event": "started", "step": 0},
        {"time": at(0, 10), "event": "saved", "step": 20, "seconds": 0.1},
        {"time": at(0, 40), "event": "ended", "step": 50, "reason": "complete"},
    )
    clock = TrainingClock(run)
    assert [clock.seconds(step) for step in (0, 10, 20, 35, 50)] == pytest.approx([0, 5, 10, 25, 40])
    assert clock.seconds(51) is None


def test_the_pause_and_the_steps_that_were_lost_count_for_nothing(tmp_path: Path) -> None:
    run = write(
        tmp_path,
        {"time": at(0, 0), "event": "started", "step": 0},
        {"time": at(0, 10), "event": "saved", "step": 20},
        {"time": at(0, 20), "event": "saved", "step": 40},
        {"time": at(30, 0), "event": "started", "step": 20},  # the checkpoint of step 40 was damaged
        {"time": at(30, 5), "event": "saved", "step": 40},
    )
    clock = TrainingClock(run)
    assert [clock.seconds(step) for step in (20, 40)] == pytest.approx([10, 15])


def test_rows_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    run = write(
        tmp_path,
        "not json",
        {"event": "saved", "step": 5},
        {"time": "yesterday", "event": "started", "step": 0},
        {"time": at(0, 0), "event": "started", "step": "0"},
        {"time": at(0, 0), "event": "started", "step": 0},
        {"time": at(0, 4), "event": "saved", "step": 4},
        {"time": at(0, 2), "event": "saved", "step": 3},
    )
    assert TrainingClock(run).seconds(2) == pytest.approx(2)
    (tmp_path / "none").mkdir()
    assert TrainingClock(tmp_path / "none").seconds(0) is None
