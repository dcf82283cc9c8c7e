"""From which checkpoint a run goes on: the newest that is good, and whose best from before it is good, too.

Going on without that best would end the run without its best weights; going back to before it makes it again, to the
same bytes.
"""

import os
from collections.abc import Callable
from pathlib import Path

from groundup import runs
from groundup.training.state import State


def choose_checkpoint(run: Path, notice: Callable[[str], None]) -> Path | None:
    """The checkpoint that `run` goes on from; None where it has to begin again. Those that are damaged, and those whose
    best is made again, are named through `notice` and set aside. Raises UserError for a state that is none."""
    while found := runs.newest_good(run, notice):
        step, path = found
        best = missing_best(run, step, lambda step: not runs.verify(run / f"step-{step:08d}"))
        if best is None:
            return path
        aside = runs.set_aside(path, "replaced")
        why = f"the best checkpoint, of step {best}, is damaged or gone, and training from before it makes it again"
        notice(f"checkpoint of step {step} was set aside as {aside.name}: {why}")
    return None


def missing_best(run: Path, step: int, is_good: Callable[[int], bool]) -> int | None:
    """The step of the best checkpoint that the one of `step` names, if that is not good; None where nothing is missing.

    Raises UserError where the state of `step` is none.
    """
    checkpoint = run / f"step-{step:08d}"
    best = State.load(checkpoint / "training" / "state.json").best_step
    if best is None or is_good(best):
        return None
    if not (run / f"step-{best:08d}").exists() and os.path.realpath(run / "best") == os.path.realpath(checkpoint):
        return None  # pruned: the evaluation at `step`, which is repeated at once, had found `step` itself to be better
    return best
