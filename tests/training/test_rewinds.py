"""The books of going back: what holds from which step on, and which checkpoints are of a past that was given up."""

from pathlib import Path
from typing import Any

from groundup import runs
from groundup.training import Rewinds, State, abandoned


def entry(number: int, step: int, skipped: int) -> dict[str, Any]:
    return {"step": step, "event": "rewind", "number": number, "from": step + 3, "skipped": skipped, "because": []}


def test_a_rewind_holds_from_the_step_it_leads_to_and_only_once() -> None:
    rewinds, state = Rewinds([entry(1, 8, 5), entry(2, 16, 9)]), State(step=4)
    assert rewinds.take(state) == [] and state.batch == 4
    state.step = 8
    assert rewinds.take(state) == [entry(1, 8, 5)]
    assert (state.rewinds, state.batch) == (1, 13)
    assert rewinds.take(state) == []
    state.step = 16
    assert rewinds.take(state) == [entry(2, 16, 9)] and state.batch == 25


def test_two_to_one_step_both_stand_in_the_figures_and_the_last_counts() -> None:
    rewinds, state = Rewinds([entry(1, 8, 5), entry(2, 8, 9)]), State(step=8)
    assert len(rewinds.take(state)) == 2 and (state.rewinds, state.skipped) == (2, 9)


def test_one_that_leads_further_back_replaces_those_after_and_is_saved_first() -> None:
    saved: list[list[dict[str, Any]]] = []
    rewinds = Rewinds([entry(1, 8, 5), entry(2, 16, 9)], save=lambda entries: saved.append(list(entries)))
    rewinds.add(entry(3, 12, 20))
    assert saved == [[entry(1, 8, 5), entry(3, 12, 20)]]
    assert rewinds.count == 3


def checkpoint(run: Path, state: State) -> None:
    def write(directory: Path) -> None:
        (directory / "training").mkdir()
        (directory / "training" / "state.json").write_text(state.to_json())

    runs.publish(run, state.step, write)


def test_checkpoints_of_the_past_that_was_given_up_are_found_and_retracted(tmp_path: Path) -> None:
    run = runs.Run(tmp_path)
    for state in (State(step=0), State(step=8), State(step=12), State(step=16, rewinds=1, skipped=5), State(step=20)):
        checkpoint(tmp_path, state)
    assert abandoned(run) == []
    run.info["rewinds"] = [entry(1, 8, 5)]
    assert abandoned(run) == [12, 20]  # not 8, where it led, nor 16, which was made after it
    (tmp_path / ".step-00000012.deleted").mkdir()
    (tmp_path / ".step-00000012.deleted" / "left by a crash").touch()
    runs.retract(tmp_path, abandoned(run))
    assert list(runs.published(tmp_path)) == [0, 8, 16]
    assert not list(tmp_path.glob(".step-*"))
