"""Rows 15 and 16: batches that are not finite, and spikes: recorded with their samples, and gone back from."""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from at_step import break_loss
from torture import results

import groundup
from groundup import runs
from groundup.corpus import IGNORE, Batches
from groundup.errors import Stopped, UserError
from groundup.events import Event, Listener, Notice, Progress, nobody
from groundup.training import loop, rewinds

STEPS = 28
HEALTH = {"health.window": 8, "health.spike": 4.0}
REWIND = HEALTH | {"health.rewind": 2}
InChild = Callable[..., int]


def rows_of(run: Path, event: str) -> list[dict[str, Any]]:
    return [row for row in runs.read_journal(run / "metrics.jsonl") if row.get("event") == event]


def spoil(patch: pytest.MonkeyPatch, numbers: Collection[int]) -> list[int]:
    """Make the targets of some batches one token that is rare elsewhere; the list has every batch that is dealt."""
    honest, dealt = Batches.at, list[int]()

    def at(self: Batches, number: int, rows: range | None = None) -> Any:
        dealt.append(number)
        inputs, targets = honest(self, number, rows)
        return inputs, targets.where(targets == IGNORE, 7) if number in numbers else targets

    patch.setattr(Batches, "at", at)
    return dealt


@pytest.fixture
def train(corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """Train STEPS steps of the tiny model in `tmp_path`, with changed settings; the run's directory."""

    def work(name: str = "run", *, listen: Listener = nobody, settings: dict[str, Any] = REWIND) -> Path:
        out = tmp_path / name
        groundup.train(corpus_dir, out=out, steps=STEPS, settings=tiny | settings, listen=listen)
        return out

    return work


@pytest.mark.parametrize(("value", "gradient_only"), [(math.nan, False), (-math.inf, False), (math.inf, True)])
def test_row_15_a_batch_that_is_not_finite_is_left_out_with_moments_clean_and_its_samples_named(
    train: Any, monkeypatch: pytest.MonkeyPatch, value: float, gradient_only: bool
) -> None:
    break_loss(monkeypatch, {5, 17}, value, gradient_only=gradient_only)
    update, told = loop._update, list[str]()

    def watched(job: Any, state: Any, forward: Any) -> None:
        before = {name: t.clone() for name, t in (job.model.state_dict() | job.optimizers.state_tensors()).items()}
        number = state.batch
        update(job, state, forward)
        after = job.model.state_dict() | job.optimizers.state_tensors()
        same = all(torch.equal(tensor, after[name]) for name, tensor in before.items())
        assert same == (number in {5, 17})
        assert all(tensor.isfinite().all() for tensor in after.values())

    monkeypatch.setattr(loop, "_update", watched)
    out = train(listen=lambda event: told.append(event.text) if isinstance(event, Notice) else None, settings={})
    rows = rows_of(out, "bad_step")
    assert [(row["step"], row["batch"]) for row in rows] == [(5, 5), (17, 17)]
    for row in rows:
        shown = groundup.batch(out, row["batch"])
        assert [[text["epoch"], text["block"]] for text in shown] == row["sequences"]
        assert row["text"] == f"groundup batch RUN {row['batch']}"
        (line,) = [text for text in told if text.startswith(f"step {row['step']}: ")]
        assert "not finite; the update is skipped" in line and f"`groundup batch {out} {row['batch']}`" in line
    assert all(math.isfinite(entry["train_loss"]) for entry in runs.read_entries(out))


def test_row_15_after_k_in_a_row_the_run_stops_and_says_why(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    break_loss(monkeypatch, {4, 9, 10, 11, 12}, math.nan, gradient_only=False)
    told: list[str] = []
    with pytest.raises(UserError, match="not finite, many steps in a row"):
        train(
            listen=lambda event: told.append(event.text) if isinstance(event, Notice) else None,
            settings={"training.max_bad_steps": 3},
        )
    assert any(text.startswith("3 steps in a row had a loss or gradient that is not finite") for text in told)


@pytest.mark.parametrize("settings", [HEALTH, {"health.window": 8, "health.spike": 0.0}, {}])
def test_row_16_a_spike_is_recorded_with_its_samples_and_told_and_nothing_else_is(
    train: Any, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    spoil(monkeypatch, {19})
    told: list[str] = []
    out = train(listen=lambda event: told.append(event.text) if isinstance(event, Notice) else None, settings=settings)
    rows = rows_of(out, "spike")
    if settings != HEALTH:  # switched off, or fewer steps than the window
        assert rows == [] and not any("spike" in text for text in told)
        return
    (row,) = [row for row in rows if row["step"] == 19]
    assert {"loss", "loss_z", "grad_norm", "grad_norm_z"} <= row.keys() and row["loss_z"] >= 4
    assert row["sequences"] == [[t["epoch"], t["block"]] for t in groundup.batch(out, 19)]
    (line,) = [text for text in told if text.startswith("step 19: a spike: loss ")]
    assert f"`groundup batch {out} 19` shows its text" in line
    assert [row["step"] for row in rows if row["step"] < 19] == []


def kill_when(patch: pytest.MonkeyPatch, owner: Any, name: str, chosen: Callable[..., bool], *, after: bool) -> None:
    honest = getattr(owner, name)

    def act(*arguments: Any, **keywords: Any) -> Any:
        kill = chosen(*arguments, **keywords)
        if kill and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = honest(*arguments, **keywords)
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    patch.setattr(owner, name, act)


def test_row_16_the_window_survives_kill_9(
    train: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_child: InChild
) -> None:
    spoil(monkeypatch, {17, 19})
    expected = results(train("whole", settings=HEALTH))

    def killed(event: Event) -> None:
        if isinstance(event, Progress) and event.done == 18:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: train("killed", listen=killed, settings=HEALTH)) == -9
    groundup.resume(tmp_path / "killed")
    assert len(rows_of(tmp_path / "killed", "spike")) >= 2
    assert results(tmp_path / "killed") == expected


SPOILED = {16, 25}  # the run goes back twice


@pytest.fixture(scope="module")
def went_back(
    corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[int]]:
    """The run of SPOILED batches that went back and that nothing killed, and the batches that were dealt for it."""
    out = tmp_path_factory.mktemp("rewound") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        dealt = spoil(patch, SPOILED)
        groundup.train(corpus_dir, out=out, steps=STEPS, settings=tiny_settings | REWIND)
    return out, dealt


@pytest.fixture
def rewound(went_back: tuple[Path, list[int]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """That run, for a test in which the same batches are spoiled. Not to be changed."""
    spoil(monkeypatch, SPOILED)
    return went_back[0]


def test_row_16_a_run_goes_back_to_before_a_spike_and_leaves_out_its_data(
    went_back: tuple[Path, list[int]],
) -> None:
    rewound, dealt = went_back
    first, second = rows_of(rewound, "rewind")
    # at both there is a checkpoint that was made before the spike, and with weights that may have led to it
    assert (first["step"], first["from"], first["skipped"], first["number"]) == (12, 16, 5, 1)
    assert (second["step"], second["from"], second["skipped"], second["number"]) == (16, 20, 10, 2)
    assert [row["batch"] for row in (*first["because"], *second["because"])] == [16, 25]
    assert all(row["loss_z"] >= 4 for row in (*first["because"], *second["because"]))
    assert rows_of(rewound, "spike") == []  # they are of a past that was given up
    assert dealt[-STEPS - 10 :] == [*range(STEPS + 10)]  # in training each once; before it the pace is measured
    entries = runs.read_entries(rewound)
    assert [entry["step"] for entry in entries] == list(range(0, STEPS + 1, 2))
    assert runs.Run.open(rewound).info["stop_reason"] == "complete"
    assert (rewound / "best").resolve().is_dir() and not list(rewound.glob(".step-*"))
    assert groundup.doctor(rewound)["good"]


def taken_back(path: Path, **_: Any) -> bool:
    return "deleted" in str(path) and "rewinds" in (Path(path).parent / "run.json").read_text()


MOMENTS = {
    "before it is decided": (runs.Run, "update", lambda *_, **facts: "rewinds" in facts, False),
    "once it is decided": (runs.Run, "update", lambda *_, **facts: "rewinds" in facts, True),
    "between the checkpoints that are taken back": (shutil, "rmtree", taken_back, False),
    "once they are gone": (rewinds, "restore", lambda *_: True, False),
    "before the figures are cut": (rewinds, "restore", lambda *_: True, True),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_row_16_going_back_survives_kill_9_at_any_moment_of_it(
    train: Any, rewound: Path, tmp_path: Path, in_child: InChild, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    owner, name, chosen, after = MOMENTS[moment]

    def work() -> None:
        kill_when(monkeypatch, owner, name, chosen, after=after)
        train("killed")

    assert in_child(work) == -9
    groundup.resume(tmp_path / "killed")
    assert results(tmp_path / "killed") == results(rewound)


@pytest.mark.parametrize("seed", range(4))
def test_row_16_going_back_survives_kill_9_at_random_operations(
    train: Any, rewound: Path, tmp_path: Path, in_child: InChild, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    draw, ends = random.Random(seed), list[int]()
    for _ in range(3):
        left = [draw.randint(5, 120)]

        def falls(*_: Any, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] == 0

        def work(falls: Callable[..., bool] = falls) -> None:
            kill_when(monkeypatch, os, "fsync", falls, after=False)
            train("killed")

        ends.append(in_child(work))
    assert -9 in ends and {*ends} <= {-9, 0}
    train("killed")
    assert results(tmp_path / "killed") == results(rewound)


def test_row_16_a_checkpoint_that_a_signal_left_is_not_gone_back_to(
    train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the signal it would not be there, and the run would be another."""
    spoil(monkeypatch, {14})
    whole = train("whole")

    def stop() -> None:
        raise Stopped("stopped by a test")

    with monkeypatch.context() as patch:
        update = loop._update

        def stopped(job: Any, state: Any, forward: Any) -> None:
            update(job, state, forward)
            if state.step == 13:
                job.poll = stop

        patch.setattr(loop, "_update", stopped)
        with pytest.raises(Stopped):
            train("stopped")
    assert 13 in runs.published(tmp_path / "stopped")
    groundup.resume(tmp_path / "stopped")
    assert rows_of(whole, "rewind")[0]["step"] == 12
    assert results(tmp_path / "stopped") == results(whole)


def test_row_16_numbers_that_stay_not_finite_are_gone_back_from(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    break_loss(monkeypatch, {13, 14, 15}, math.nan, gradient_only=False)
    out = train(settings={"health.rewind": 1, "training.max_bad_steps": 3})
    (row,) = rows_of(out, "rewind")
    assert (row["step"], row["from"], row["skipped"]) == (12, 15, 4)
    assert [bad["batch"] for bad in row["because"]] == [13, 14, 15]
    assert rows_of(out, "bad_step") == [] and runs.Run.open(out).info["stop_reason"] == "complete"


def test_row_16_a_run_that_spikes_again_and_again_ends_and_says_why(
    train: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spoil(monkeypatch, range(14, 99, 5))
    told: list[str] = []
    with pytest.raises(UserError, match=r"spiked again after the run had gone back as often as health\.rewind allows"):
        train(listen=lambda event: told.append(event.text) if isinstance(event, Notice) else None)
    assert len(rows_of(tmp_path / "run", "rewind")) == 2
    (line,) = [text for text in told if "it ends here" in text]
    assert "the run has gone back 2 times, and health.rewind allows no more" in line
    info = runs.Run.open(tmp_path / "run").info
    assert (info["status"], info["stop_reason"]) == ("finished", "spikes")
    assert groundup.evaluate(tmp_path / "run")["loss"] < 7
    with pytest.raises(UserError, match="spiked again"):  # and says so again
        groundup.resume(tmp_path / "run")


IN_A_GROUP = """
import sys
from groundup.cli import main
from groundup.corpus import IGNORE, Batches
honest = Batches.at
def at(self, number, rows=None):
    inputs, targets = honest(self, number, rows)
    return inputs, targets.where(targets == IGNORE, 7) if number == 14 else targets
Batches.at = at
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_row_16_processes_of_a_group_go_back_together(corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "spoiled.py").write_text(IN_A_GROUP)

    def work(name: str) -> Path:
        sets = [f"--set={key}={value}" for key, value in (tiny | REWIND).items()]
        words = ["train", str(corpus_dir), "--out", str(tmp_path / name), "--steps", str(STEPS), *sets]
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        command = [*torchrun, str(tmp_path / "spoiled.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=os.environ)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    whole = work("whole")
    assert [(row["step"], row["from"], row["skipped"]) for row in rows_of(whole, "rewind")] == [(12, 14, 3)]
    again = work("again")
    assert json.loads((again / "run.json").read_text())["processes"] == 2
    assert results(again) == results(whole)
