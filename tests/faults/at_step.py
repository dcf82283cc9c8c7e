"""Faults at a step of training, and the command line in a forked child."""

from collections.abc import Callable
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
