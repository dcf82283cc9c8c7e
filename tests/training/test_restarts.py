"""What a run goes on from: a checkpoint whose best is there, or that is the best itself."""

from pathlib import Path

import pytest

from groundup import runs
from groundup.training import State, choose_checkpoint, missing_best


def checkpoint(run: Path, step: int, best: int | None) -> None:
    def write(directory: Path) -> None:
        (directory / "training").mkdir()
        (directory / "training" / "state.json").write_text(State(step=step, best_step=best).to_json())

    runs.publish(run, step, write)


def test_the_newest_whose_best_is_good_is_chosen_and_none_is_touched(tmp_path: Path) -> None:
    checkpoint(tmp_path, 0, None)
    checkpoint(tmp_path, 8, 0)
    assert choose_checkpoint(tmp_path, pytest.fail) == tmp_path / "step-00000008"
    assert choose_checkpoint(tmp_path / "step-00000008", pytest.fail) is None


def test_those_whose_best_is_gone_are_set_aside_down_to_one_from_before_it(tmp_path: Path) -> None:
    for step, best in ((0, None), (4, 0), (12, 8), (16, 8)):
        checkpoint(tmp_path, step, best)
    said: list[str] = []
    assert choose_checkpoint(tmp_path, said.append) == tmp_path / "step-00000004"
    assert [text.partition(": ")[0] for text in said] == [
        f"checkpoint of step {step} was set aside as replaced-step-{step:08d}" for step in (16, 12)
    ]
    assert all("the best checkpoint, of step 8, is damaged or gone" in text for text in said)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "replaced-step-00000012",
        "replaced-step-00000016",
        "step-00000000",
        "step-00000004",
    ]


def test_the_best_itself_needs_no_other_that_retention_deleted(tmp_path: Path) -> None:
    checkpoint(tmp_path, 0, None)
    checkpoint(tmp_path, 8, 4)
    assert missing_best(tmp_path, 8, lambda _: False) == 4
    runs.link_best(tmp_path, tmp_path / "step-00000008")
    assert missing_best(tmp_path, 8, lambda _: False) is None
    assert choose_checkpoint(tmp_path, pytest.fail) == tmp_path / "step-00000008"


def test_but_one_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    for step, best in ((0, None), (4, 0), (8, 4)):
        checkpoint(tmp_path, step, best)
    runs.link_best(tmp_path, tmp_path / "step-00000008")
    (tmp_path / "step-00000004" / "training" / "state.json").write_text("{}")
    assert choose_checkpoint(tmp_path, lambda _: None) == tmp_path / "step-00000000"
    assert (tmp_path / "damaged-step-00000004").is_dir() and (tmp_path / "replaced-step-00000008").is_dir()
