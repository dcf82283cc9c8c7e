"""Rows 4, 5 and 16: a best checkpoint that is damaged or was gone back from is made again, or another replaces it."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from at_step import break_loss

import groundup
from groundup import runs
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
