"""Rows 7, 8 and 17: saves beside training hold the bytes of their step, report failures, and hold no broken weights."""

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from at_step import after_update, train_command
from torture import SETTINGS, STEPS, differences, results

import groundup
from groundup.config import load_config
from groundup.corpus import Tokenizer
from groundup.errors import UserError
from groundup.events import Event, Notice, Progress
from groundup.model import load_model
from groundup.runs import find_checkpoint, newest_good, publish, published, read_journal
from groundup.training import Metrics
from groundup.training import checkpoint as checkpoint_module
from groundup.training.saving import Saver

pytestmark = pytest.mark.usefixtures("undrawn")


class SlowDisk:
    """Writing the weights of step N waits until training has come to step N + 3."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._moved, self._step = threading.Condition(), 0
        self.overlaps: list[tuple[int, int]] = []
        save_files = checkpoint_module.save_files

        def slowly(model: Any, directory: Path, **how: Any) -> None:
            step = int(directory.name.split("-")[1].split(".")[0])
            with self._moved:
                assert self._moved.wait_for(lambda: self._step >= min(step + 3, STEPS), 60)
                self.overlaps.append((step, self._step))
            save_files(model, directory, **how)

        monkeypatch.setattr(checkpoint_module, "save_files", slowly)

    def listen(self, event: Event) -> None:
        if isinstance(event, Progress):
            with self._moved:
                self._step = event.done
                self._moved.notify_all()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_row_07_what_is_saved_is_step_n_while_the_optimizer_goes_on(
    corpus_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    settings = SETTINGS | {"optimizer.name": optimizer, "checkpoint.keep": 9}
    synchronous = settings | {"checkpoint.asynchronous": False}
    waited = groundup.train(corpus_dir, out=tmp_path / "a", steps=STEPS, settings=synchronous)
    disk = SlowDisk(monkeypatch)
    beside = groundup.train(corpus_dir, out=tmp_path / "b", steps=STEPS, settings=settings, listen=disk.listen)
    assert [step for step, _ in disk.overlaps] == [0, 4, 8, 12, 16, 20]
    assert all(now >= step + 3 for step, now in disk.overlaps[:-1])
    assert differences(results(beside.path), results(waited.path)) == []
    saved = [row for row in read_journal(beside.path / "events.jsonl") if row["event"] == "saved"]
    assert [row["step"] for row in saved] == [0, 4, 8, 12, 16, 20]
    assert all(0 <= row["stall_seconds"] <= row["seconds"] for row in saved)


def failing_save(monkeypatch: pytest.MonkeyPatch, step: int) -> threading.Event:
    """The disk fails while the checkpoint of `step` is written; the event that it has."""
    save_files, failed = checkpoint_module.save_files, threading.Event()

    def failing(model: Any, directory: Path, **how: Any) -> None:
        save_files(model, directory, **how)
        if f"step-{step:08d}" in directory.name:
            failed.set()
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(checkpoint_module, "save_files", failing)
    return failed


def test_row_08_a_failed_save_is_reported_at_the_next_step_and_never_counted(
    corpus_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]
) -> None:
    out, came = tmp_path / "run", [0]
    with monkeypatch.context() as patch:
        failed = failing_save(patch, 8)

        def listen(event: Event) -> None:
            if isinstance(event, Progress):
                came[0] = event.done
                if event.done == 9:
                    assert failed.wait(60)
                    while list(out.glob(".step-*")):  # what it wrote is cleared first
                        time.sleep(0.01)
                    time.sleep(0.2)

        with pytest.raises(UserError, match=r"step 8 could not be saved: .*Input/output error.* needs [\d,]+ bytes"):
            groundup.train(corpus_dir, out=out, steps=STEPS, settings=SETTINGS, listen=listen)
    assert came[0] == 9
    assert list(published(out)) == [0, 4]
    assert 8 not in [row["step"] for row in read_journal(out / "events.jsonl") if row["event"] == "saved"]
    assert (out / "best").resolve().name == "step-00000000"
    assert not list(out.glob(".step-*"))
    groundup.resume(out)
    assert differences(results(out), whole) == []


def wait_for_checkpoint(run: Path, step: int) -> None:
    while step not in published(run):
        time.sleep(0.01)


def test_row_08_a_stop_whose_save_fails_is_no_success(
    corpus_dir: Path, tmp_path: Path, in_child: Callable[..., int]
) -> None:
    def work() -> None:
        save_files, asked = checkpoint_module.save_files, list[bool]()

        def failing(model: Any, directory: Path, **how: Any) -> None:
            if asked:
                raise OSError(errno.EIO, "Input/output error")
            save_files(model, directory, **how)

        checkpoint_module.save_files = failing
        after_update(
            pytest.MonkeyPatch(),
            7,
            lambda job: (wait_for_checkpoint(job.run.path, 4), asked.append(True), os.kill(os.getpid(), 15)),
        )
        train_command(corpus_dir, tmp_path / "run")

    assert in_child(work, output=tmp_path / "said") == 2
    assert "could not be saved" in (tmp_path / "said").read_text()
    assert newest_good(tmp_path / "run", pytest.fail) == (4, tmp_path / "run" / "step-00000004")


def poison(job: Any) -> None:
    """NaN in one weight, of a row of the embedding that only pads it."""
    with torch.no_grad():
        job.model.model.embed_tokens.weight[-1, -1] = float("nan")


def test_row_17_weights_that_are_not_finite_are_never_saved_as_good(
    corpus_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, said = tmp_path / "run", list[Event]()
    after_update(monkeypatch, 10, poison)
    with pytest.raises(UserError, match="not finite"):
        groundup.train(corpus_dir, out=out, steps=STEPS, settings=SETTINGS, listen=said.append)
    assert list(published(out)) == [0, 4, 8]
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {"step": 12, "event": "weights_not_finite"} in rows
    assert any(isinstance(event, Notice) and "step 12 are not finite" in event.text for event in said)
    assert all(parameter.isfinite().all() for parameter in load_model(find_checkpoint(out)).parameters())
    assert newest_good(out, pytest.fail) == (8, out / "step-00000008")


def test_row_17_nor_are_they_when_a_signal_asks_for_a_stop(
    corpus_dir: Path, tmp_path: Path, in_child: Callable[..., int], whole: dict[str, bytes]
) -> None:
    def work() -> None:
        after_update(pytest.MonkeyPatch(), 10, lambda job: (poison(job), os.kill(os.getpid(), 15)))
        train_command(corpus_dir, tmp_path / "run")

    assert in_child(work, output=tmp_path / "said") == 75
    assert "step 10 are not finite" in (tmp_path / "said").read_text()
    assert list(published(tmp_path / "run")) == [0, 4, 8]
    groundup.resume(tmp_path / "run")  # where nothing poisons them
    assert differences(results(tmp_path / "run"), whole) == []


def test_row_05_a_best_that_cannot_be_named_is_told_and_leaves_the_one_before(tmp_path: Path) -> None:
    said: list[Event] = []
    publish(tmp_path, 4, lambda directory: None)
    with Saver(tmp_path, load_config(None, {}), Tokenizer.of_bytes(), Metrics(tmp_path), said.append) as saver:
        saver.link_best(4)
        saver.link_best(8)
    assert (tmp_path / "best").resolve().name == "step-00000004"
    assert [event.text for event in said if isinstance(event, Notice)] == [
        "`best` stays as it was: there is no checkpoint of step 8"
    ]
