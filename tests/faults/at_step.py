"""Faults at a step of training, and the command line in a forked child."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from torture import SETTINGS, STEPS

from groundup.cli import main
from groundup.training import loop


def after_update(patch: pytest.MonkeyPatch, number: int, act: Callable[[Any], object]) -> None:
    """Call `act(job)` once training has come to step `number`."""
    update = loop._update

    def acting(job: Any, state: Any, forward: Any) -> None:
        update(job, state, forward)
        if state.step == number:
            act(job)

    patch.setattr(loop, "_update", acting)


def train_command(corpus: Path, out: Path, **settings: Any) -> None:
    """`groundup train` with the small settings; raises SystemExit as the command line does."""
    given = SETTINGS | {key.replace("__", "."): value for key, value in settings.items()}
    sets = [f"--set={key}={value}" for key, value in given.items()]
    main(["train", str(corpus), "--out", str(out), "--steps", str(STEPS), *sets])


def break_loss(patch: pytest.MonkeyPatch, numbers: Collection[int], value: float, *, gradient_only: bool) -> None:
    """Make the loss of some batches, or only its gradient, `value`."""
    honest, gradients, bad = loop.loss_sums, loop.gradients, [False]

    def watched(job: Any, number: int, *how: Any) -> Any:
        bad[0] = number in numbers
        return gradients(job, number, *how)

    def broken(model: Any, inputs: Any, targets: Any) -> Any:
        nll, correct = honest(model, inputs, targets)
        if bad[0] and gradient_only:
            nll.register_hook(lambda slope: slope * value)
        return (nll * value if bad[0] and not gradient_only else nll), correct

    patch.setattr(loop, "gradients", watched)
    patch.setattr(loop, "loss_sums", broken)
