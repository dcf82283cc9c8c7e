"""Row 25: runs of earlier versions, kept in `releases`, are used and continued; those of later ones are explained."""

import json
import shutil
from pathlib import Path

import pytest

from groundup import verbs
from groundup.errors import UserError
from groundup.inference import SamplingSettings

RELEASES = Path(__file__).with_name("releases")


@pytest.mark.parametrize("release", sorted(path.name for path in RELEASES.iterdir()))
def test_row_25_a_run_of_an_earlier_version_can_be_used_and_continued(tmp_path: Path, release: str) -> None:
    run, expected = tmp_path / "run", json.loads((RELEASES / release / "expected.json").read_text())
    shutil.copytree(RELEASES / release / "run", run, symlinks=True)
    found = verbs.doctor(run)
    assert (found["good"], found["can_continue"], found["newest_good"]) == (True, True, 4)
    (written,) = verbs.generate(run, [expected["prompt"]], SamplingSettings(temperature=0, max_new_tokens=12))
    assert written.text == expected["text"]
    assert verbs.evaluate(run)["loss"] == pytest.approx(expected["loss"], abs=1e-4)
    done = verbs.resume(run)
    assert (done.info["status"], done.info["actual"]["steps"]) == ("finished", expected["steps"])
    assert not list(run.glob("damaged-*"))


def test_row_25_a_run_of_a_later_version_is_refused_with_the_version_and_left_alone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(RELEASES / "0.1.0" / "run", run, symlinks=True)
    for path in (run / "run.json", *run.glob("step-*/manifest.json")):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    before = sorted(path.name for path in run.iterdir())
    for verb in (verbs.resume, verbs.evaluate, lambda path: verbs.train(path / "corpus", out=path, steps=1)):
        with pytest.raises(UserError, match="version 2") as caught:
            verb(run)
        assert "use the groundup that wrote it" in caught.value.fix
    with pytest.raises(UserError, match="version 2 is not known to this groundup"):
        verbs.generate(run / "step-00000004", ["a"], SamplingSettings(max_new_tokens=1))
    assert sorted(path.name for path in run.iterdir()) == before
