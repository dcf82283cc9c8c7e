"""Rows 4, 5 and 16: a best checkpoint that is damaged or was gone back from is made again, or another replaces it."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from at_step import break_loss
from torture import differences, results

import groundup
from groundup import runs
from groundup.events import Event, Listener, Logged, Notice, Phase, nobody
from groundup.runs import checkpoints
from groundup.training import State, figures, loop

pytestmark = pytest.mark.usefixtures("undrawn")


def validation_losses(patch: pytest.MonkeyPatch, of: Callable[[State], float]) -> None:
    """Make the validation loss of each evaluation in training what `of` says."""
    evaluate, score, at = loop.evaluate, figures.score, list[State]()

    def evaluating(job: Any, saver: Any, state: State, final: bool) -> Any:
        at[:] = [state]
        return evaluate(job, saver, state, final)

    patch.setattr(loop, "evaluate", evaluating)
    patch.setattr(figures, "score", lambda *how, **more: replace(score(*how, **more), loss=of(at[0])))


def test_row_16_the_best_of_a_checkpoint_that_is_gone_back_to_is_there(
    corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 4 is the best, then 16; the run goes back to 12, and never comes to be as good as at 4."""
    break_loss(monkeypatch, range(14, 22), math.nan, gradient_only=False)
    losses = {(4, 0): 1.0, (16, 0): 0.5}
    validation_losses(monkeypatch, lambda state: losses.get((state.step, state.skipped), 2.0))
    tiny |= {"evaluation.every": 4, "checkpoint.keep": 3, "training.patience": 0}
    out = tmp_path / "run"
    run = groundup.train(
        corpus_dir, out=out, steps=28, settings=tiny | {"health.rewind": 1, "training.max_bad_steps": 8}
    )
    assert [entry["step"] for entry in run.info["rewinds"]] == [12]
    assert (out / "best").resolve().name == run.info["best"]["checkpoint"] == "step-00000004"
    assert (run.info["best"]["step"], run.info["best"]["val_loss"]) == (4, 1.0)
    assert runs.verify(out / "best") == [] and groundup.doctor(out)["good"]


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


class Killed(BaseException):
    pass


@pytest.fixture
def train(
    corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Train 20 steps of the tiny model, whose best step is 8, and its next best 16; the run's directory."""
    losses = {8: 1.0, 16: 1.5}
    validation_losses(monkeypatch, lambda state: losses.get(state.step, 2.0))

    def work(name: str, listen: Listener = nobody) -> Path:
        settings = tiny | {"checkpoint.keep": 4, "checkpoint.asynchronous": False}
        return groundup.train(corpus_dir, out=tmp_path / name, steps=20, settings=settings, listen=listen).path

    return work


@pytest.fixture
def killed(train: Callable[..., Path], tmp_path: Path) -> Path:
    """That run, killed at step 18; its best checkpoint, of step 8, has been damaged since."""

    def kill(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 18:
            raise Killed

    with pytest.raises(Killed):
        train("killed", kill)
    run = tmp_path / "killed"
    assert list(runs.published(run)) == [0, 4, 8, 12, 16] and (run / "best").resolve().name == "step-00000008"
    flip_a_bit(run / "step-00000008" / "model.safetensors")
    return run


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def test_row_04_a_best_that_is_damaged_is_made_again_from_before_it(train: Callable[..., Path], killed: Path) -> None:
    said: list[Event] = []
    assert groundup.doctor(killed)["next"] == (
        f"`groundup resume {killed}` continues from step 4:"
        " the best checkpoint, of step 8, is damaged or gone and is made again"
    )
    groundup.resume(killed, listen=said.append)
    assert any("step 8 is damaged" in text and "model.safetensors" in text for text in texts(said))
    assert any(text.startswith("checkpoint of step 16 was set aside as replaced-step-00000016") for text in texts(said))
    assert "continuing from step 4" in texts(said)
    assert differences(results(killed), results(train("whole"))) == []
    found = groundup.doctor(killed)
    assert found["good"] and found["best"] == "step-00000008"
    aside = ["damaged-step-00000008", "replaced-step-00000012", "replaced-step-00000016"]
    assert [row["file"] for row in found["left_over"]] == aside


@pytest.mark.parametrize("number", [1, 2, 3])
def test_row_04_that_survives_being_killed_before_any_checkpoint_is_set_aside(
    train: Callable[..., Path], killed: Path, number: int
) -> None:
    set_aside, left = checkpoints.set_aside, [number]

    def killing(path: Path, why: str) -> Path:
        left[0] -= 1
        if not left[0]:
            raise Killed
        return set_aside(path, why)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "set_aside", killing)
        patch.setattr(runs, "set_aside", killing)
        with pytest.raises(Killed):
            groundup.resume(killed)
    groundup.resume(killed)
    assert differences(results(killed), results(train("whole"))) == []


def test_row_04_a_best_that_is_damaged_when_training_ends_is_replaced_by_the_best_that_is_good(
    train: Callable[..., Path], tmp_path: Path
) -> None:
    said, out = list[Event](), tmp_path / "damaged"

    def damage(event: Event) -> None:
        said.append(event)
        if isinstance(event, Phase) and event.name == "evaluating the best checkpoint":
            flip_a_bit(out / "step-00000008" / "model.safetensors")

    train("damaged", damage)
    (line,) = [text for text in texts(said) if text.startswith("the best checkpoint cannot be used (")]
    assert "step-00000008/model.safetensors" in line and line.endswith("; that of step 16 takes its place")
    info = runs.Run.open(out).info
    assert (info["status"], info["reported"]) == ("finished", True)
    assert (info["best"]["step"], info["best"]["val_loss"]) == (16, 1.5)
    assert (out / "best").resolve().name == info["best"]["checkpoint"] == "step-00000016"
    assert math.isfinite(groundup.evaluate(out)["loss"])
