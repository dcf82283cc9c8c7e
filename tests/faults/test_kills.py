"""Row 1: kill -9 at any moment; the run that goes on ends with the bytes of one that was left alone."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torture import SETTINGS, STEPS, differences, results, torture

from groundup import verbs
from groundup.events import Event, Phase


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("undrawn")
def test_row_01_killed_at_random_moments_and_before_file_operations_the_bytes_are_equal(
    corpus_dir: Path, tmp_path: Path
) -> None:
    tally = torture(corpus_dir, tmp_path, kills=25, seed=1)
    print(tally)
    assert not tally.failures, str(tally)
    assert tally.kills == tally.equal >= 25


@pytest.mark.parametrize(
    "point",
    [
        "measuring baselines",
        "training",
        "evaluating the best checkpoint",
        "reporting",
        "before the rename that publishes",
        "while old checkpoints are deleted",
    ],
)
def test_row_01_killed_at_each_named_point(
    corpus_dir: Path, tmp_path: Path, in_child: Callable[..., int], whole: dict[str, bytes], point: str, request: Any
) -> None:
    """Before training there is no checkpoint: `resume` begins at step 0."""
    if point != "reporting":
        request.getfixturevalue("undrawn")
    out = tmp_path / "run"

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def as_a_phase_begins(event: Event) -> None:
        if isinstance(event, Phase) and event.name == point:
            die()

    def work() -> None:
        rename, rmtree, renamed = Path.rename, shutil.rmtree, [0]

        def renaming(path: Path, target: Any) -> Path:
            renamed[0] += Path(target).name.startswith("step-")
            return die() if renamed[0] == 4 else rename(path, target)  # type: ignore[return-value]

        if point.startswith("before"):
            Path.rename = renaming  # type: ignore[method-assign]
        elif point.startswith("while"):
            shutil.rmtree = lambda path, *a, **k: die() if str(path).endswith(".deleted") else rmtree(path, *a, **k)  # type: ignore[assignment]
        verbs.train(corpus_dir, out=out, steps=STEPS, settings=SETTINGS, listen=as_a_phase_begins)

    assert in_child(work) == -9
    run = verbs.resume(out)
    assert differences(results(out), whole) == []
    assert run.info["status"] == "finished"
    assert (out / "report.html").is_file() == (point == "reporting")
    assert list(out.glob(".step-*")) == []


def test_row_01_the_command_line_killed_and_resumed(
    corpus_dir: Path,
    tmp_path: Path,
    whole: dict[str, bytes],
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """As a user does it: two processes with nothing in common but the directory."""
    out = tmp_path / "run"
    sets = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    words = ["train", str(corpus_dir), "--out", str(out), "--steps", str(STEPS), *sets]
    process = subprocess.Popen([sys.executable, "-m", "groundup", *words], stderr=subprocess.DEVNULL)
    while not (out / "step-00000008").exists() and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -9
    done = cli("resume", out)
    assert done.returncode == 0, done.stderr
    assert differences(results(out), whole) == []
