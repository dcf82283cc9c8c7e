"""Going back: after a spike, or numbers that stay not finite, a run returns to the newest scheduled checkpoint before
it, and goes on with the data that come after it (as Chowdhery et al. 2022, PaLM, section 5.1, did by hand).

What is decided is on the disk, in run.json, before anything else changes, and takes effect whenever training comes to
the step it leads to. So a run that is killed at any moment of it, and resumed, does the same.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from groundup import runs
from groundup.errors import UserError
from groundup.events import Notice
from groundup.training.checkpoint import restore
from groundup.training.restarts import missing_best
from groundup.training.saving import Saver, scheduled
from groundup.training.state import State

if TYPE_CHECKING:
    from groundup.training.job import Job

TROUBLE = ("spike", "bad_step")
"""The events that a run goes back for."""


class Rewinds:
    """The times a run went back. Each is a row of metrics.jsonl: `number` (from 1), the `step` it leads to, the step
    it came `from`, the batches `skipped` since the run began once it holds, and the rows that it is `because` of."""

    def __init__(
        self, entries: Sequence[dict[str, Any]] = (), *, save: Callable[[list[dict[str, Any]]], None] = lambda _: None
    ) -> None:
        self.entries, self._save = list(entries), save

    @property
    def count(self) -> int:
        """How many there were."""
        return max((entry["number"] for entry in self.entries), default=0)

    def add(self, entry: dict[str, Any]) -> None:
        """Note, durably, another one; those that lead to later steps were taken back with what came after them."""
        self.entries = [*(before for before in self.entries if before["step"] <= entry["step"]), entry]
        self._save(self.entries)

    def take(self, state: State) -> list[dict[str, Any]]:
        """Let those hold in `state` that lead to its step and do not hold yet; return them."""
        taken = [row for row in self.entries if row["number"] > state.rewinds and row["step"] == state.step]
        for row in taken:
            state.rewinds, state.skipped = row["number"], row["skipped"]
        return taken


def go_back(job: "Job", saver: Saver, state: State) -> bool:
    """Take model, optimizer, figures and `state` back to before the trouble that the last update, or the last
    `state.bad_steps`, met; False, with nothing changed, where that is not allowed any more."""
    first, last = state.step - max(state.bad_steps, 1), state.step - 1
    saver.wait()  # which checkpoints there are must not depend on how fast the disk is
    entry = job.group.agree(_decide(job, first, last, state) if job.group.is_main else None)
    if entry is None:
        why = (
            f"the run has gone back {job.rewinds.count} times, and health.rewind allows no more"
            if job.rewinds.count >= job.config.health.rewind
            else f"there is no good checkpoint from before step {first}"
        )
        job.listen(Notice(f"step {last}: {why}; it ends here", "error"))
        return False
    job.rewinds.add(entry)
    if job.group.is_main:
        job.metrics.event("rewind", **{name: entry[name] for name in ("number", "step", "from", "skipped")})
        job.listen(Notice(f"going back from step {last} to {entry['step']}; the data since are left out", "warning"))
        runs.retract(job.run.path, abandoned(job.run))
    state.become(restore(job.run.path / f"step-{entry['step']:08d}", job.model, job.optimizers))
    job.metrics.resume(state.step)
    if state.best_step is not None and job.group.is_main:
        saver.link_best(state.best_step)
    return True


def abandoned(run: runs.Run) -> list[int]:
    """The steps of published checkpoints that a rewind has taken back: a kill may come before they are deleted."""
    found, entries = [], run.info.get("rewinds", [])
    for step, path in runs.published(run.path).items() if entries else ():
        try:
            held = State.load(path / "training" / "state.json").rewinds
        except UserError:
            continue  # whoever would use it sets it aside
        if any(entry["number"] > held and entry["step"] < step for entry in entries):
            found.append(step)
    return found


def _decide(job: "Job", first: int, last: int, state: State) -> dict[str, Any] | None:
    if job.rewinds.count >= job.config.health.rewind:
        return None

    def is_good(step: int) -> bool:
        return not runs.verify(job.run.path / f"step-{step:08d}")

    # what a signal left is no choice: without the signal it would not be there
    steps = [step for step in runs.published(job.run.path) if scheduled(job.config, step)]
    for step in reversed(steps):
        if step < first and is_good(step) and missing_best(job.run.path, step, is_good) is None:
            rows = runs.read_journal(job.run.path / "metrics.jsonl")
            return {
                "step": step,
                "event": "rewind",
                "number": job.rewinds.count + 1,
                "from": last,
                "skipped": state.batch - step,
                "because": [row for row in rows if row.get("event") in TROUBLE and first <= row["step"] <= last],
            }
    return None
