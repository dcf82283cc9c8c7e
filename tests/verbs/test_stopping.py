"""Stopping in time: `--stop-after`, the grace that a signal leaves, and what is learned of how long a stop takes."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.errors import Stopped, UserError
from groundup.events import Event, Notice, Phase, Progress, Saved
from groundup.runs import Journal, StopRequest, published, verify
from groundup.training import checkpoint as checkpoint_module
from groundup.verbs import stopping as module
from groundup.verbs.stopping import StopInTime

STEPS = 20
InChild = Callable[..., int]


def results(run: Path) -> dict[str, bytes]:
    """What must be byte-equal: the figures, every file of every kept checkpoint, and which one is best."""
    figures = ("metrics.jsonl", "training_metrics.json", "probes.jsonl", "samples.jsonl")
    files = {name: (run / name).read_bytes() for name in figures}
    files |= {path.relative_to(run).as_posix(): path.read_bytes() for path in run.glob("step-*/**/*") if path.is_file()}
    return files | {"best": (run / "best").resolve().name.encode()}


@pytest.fixture(scope="module")
def whole(corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return verbs.train(corpus_dir, out=out, steps=STEPS, settings=tiny_settings).path


class Clock:
    """A listener that tells the processes of a run how late it is: each step takes a second, each save two."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.now += 1.0


def test_a_run_that_is_stopped_by_the_clock_again_and_again_ends_with_the_same_bytes(
    corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, clock, stops = tmp_path / "run", Clock(monkeypatch), list[int]()
    how: dict[str, Any] = {"steps": STEPS, "settings": tiny_settings, "listen": clock}
    for _ in range(10):
        try:
            verbs.train(corpus_dir, out=out, stop_after="12s", started=clock.now, **how)
            break
        except Stopped as stopped:
            assert "stopped by --stop-after 12s" in str(stopped) and f"`groundup resume {out}`" in str(stopped)
            stops.append(max(published(out)))
            assert verify(out / f"step-{stops[-1]:08d}") == []
    assert len(stops) >= 1 and stops == sorted(set(stops)) and stops[-1] < STEPS
    assert results(out) == results(whole)
    info = json.loads((out / "run.json").read_text())
    assert "12s" not in json.dumps([info["request"], info["command"]])  # it belongs to the processes, not to the run


def test_a_wrong_limit_is_refused_before_anything_is_made(corpus_dir: Path, tmp_path: Path, finished: Path) -> None:
    with pytest.raises(UserError, match="has no unit"):
        verbs.train(corpus_dir, out=tmp_path / "run", steps=1, stop_after="30")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="no length of time"):
        verbs.resume(finished, stop_after="soon")


def test_the_command_line_stops_after_a_while_and_says_how_to_go_on(
    corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path: Path, in_child: InChild
) -> None:
    settings = tiny_settings | {"checkpoint.asynchronous": False}  # beside steps of a second a save seems to take one
    sets = [f"--set={key}={value}" for key, value in settings.items()]

    def with_steps_of_a_second(*words: object) -> int:
        def work() -> None:
            from groundup.cli import main, making
            from groundup.training import loop

            now, update = [time.monotonic()], loop._update

            def slow(*how: Any) -> None:
                update(*how)
                now[0] += 1

            loop._update, making.STARTED, time.monotonic = slow, now[0], lambda: now[0]
            main([str(word) for word in words])

        return in_child(work, output=tmp_path / "said")

    out = tmp_path / "run"
    train = ["train", corpus_dir, "--out", out, "--steps", 1000, *sets, "--stop-after"]
    assert with_steps_of_a_second(*train, "30") == 2
    said = (tmp_path / "said").read_text()
    assert "--stop-after: '30' has no unit" in said and "30m for minutes" in said
    assert with_steps_of_a_second(*train, "10s") == 75
    said = (tmp_path / "said").read_text()
    assert "groundup: stopped by --stop-after 10s" in said and f"`groundup resume {out}` continues it" in said
    info = json.loads((out / "run.json").read_text())
    assert (info["status"], info["stop_reason"]) == ("stopped", "stopped by --stop-after 10s")
    assert max(published(out)) == 9  # the tenth step would have ended too late
    assert with_steps_of_a_second("resume", out, "--stop-after", "10s") == 75
    assert "continuing from step 9" in (tmp_path / "said").read_text() and max(published(out)) == 18


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[StopRequest, list[Event]]]:
    """What is made of events, each with the time at which it comes."""

    def work(*events: tuple[float, Event], limit: float, grace: float | None = None) -> tuple[StopRequest, list[Event]]:
        now, said = [0.0], list[Event]()
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        stop = StopRequest(grace)
        stop.end_by(limit, "--stop-after")
        in_time = StopInTime(stop, tmp_path, said.append)
        for moment, event in events:
            now[0] = moment
            in_time.heed(event)
        return stop, said

    return work


def test_a_stop_leaves_room_for_the_longest_step_and_for_two_saves(told: Any, tmp_path: Path) -> None:
    steps = [(10.0, Phase("training")), (12.0, Progress(1)), (17.0, Progress(2)), (18.0, Progress(3))]
    assert told(*steps, limit=1000.0)[0].room == 5.0
    saved = (19.0, Saved(3, tmp_path, 20.0))
    assert told(*steps, saved, limit=1000.0)[0].room == 45.0
    # every process must get somewhere: at most half of what is left when training begins
    assert told(*steps, saved, limit=40.0)[0].room == 15.0
    journal = Journal(tmp_path / "events.jsonl")
    journal.append({"event": "saved", "step": 2, "seconds": 7.5})
    journal.close()
    assert told(*steps, limit=1000.0)[0].room == 20.0  # what the process before measured


@pytest.mark.parametrize("seconds", ["1" + "0" * 400, "NaN", "Infinity", "-5", "1e308", "true", '"x"', "[]"])
def test_a_journal_in_which_a_save_took_no_length_of_time_is_borne(told: Any, tmp_path: Path, seconds: str) -> None:
    rows = [f'{{"event": "saved", "step": 2, "seconds": {value}}}\n' for value in ("7.5", seconds)]
    (tmp_path / "events.jsonl").write_text("".join(rows))
    assert told((10.0, Phase("training")), (12.0, Progress(1)), limit=1000.0)[0].room == 17.0


def test_a_save_that_takes_longer_than_the_grace_is_announced_once(told: Any, tmp_path: Path) -> None:
    saves = [(float(n), Saved(n, tmp_path, seconds)) for n, seconds in enumerate((4.0, 6.0, 7.0))]
    _, said = told(*saves, limit=float("inf"), grace=5.0)
    (notice,) = said
    assert isinstance(notice, Notice) and notice.level == "warning" and "training.grace (5)" in notice.text


def test_a_save_that_is_not_done_within_the_grace_is_given_up_and_the_run_goes_on_from_the_one_before(
    corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path: Path, whole: Path, in_child: InChild
) -> None:
    out = tmp_path / "run"
    # not the run's own setting, so that what it is asked for stays comparable
    settings = tiny_settings | {"training.grace": 1.0}

    def work() -> None:
        save_files = checkpoint_module.save_files

        def hanging(model: Any, directory: Path, **how: Any) -> None:
            if "step-00000010" in directory.name:  # made by the signal
                while True:
                    time.sleep(0.01)
            save_files(model, directory, **how)

        checkpoint_module.save_files = hanging

        def listen(event: Event) -> None:
            if isinstance(event, Progress) and event.done == 10:
                os.kill(os.getpid(), signal.SIGTERM)

        verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings, listen=listen)

    assert in_child(work, output=tmp_path / "said") == 75
    assert "not done 1 seconds later (training.grace)" in (tmp_path / "said").read_text()
    assert max(published(out)) == 8
    verbs.resume(out)
    assert results(out) == results(whole)
