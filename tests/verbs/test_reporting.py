"""`report`: a run's pictures and page made again, also of one that is not finished."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.errors import UserError
from groundup.events import Event, Logged

MADE = ("training_curve.png", "loss_by_epoch.png", "report.html")


def test_what_was_deleted_is_made_again(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run", symlinks=True))
    for name in MADE:
        (run / name).unlink()
    verbs.report(run)
    for name in MADE[:2]:
        assert (run / name).read_bytes() == (finished / name).read_bytes()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert "finished" in page


def test_a_run_that_was_killed_can_be_looked_at(
    corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path, in_child: Callable[..., int]
) -> None:
    out = tmp_path / "run"

    def killed(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 6:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: verbs.train(corpus_dir, out=out, steps=9, settings=tiny, listen=killed)) == -9
    figures = (out / "metrics.jsonl").read_bytes()
    verbs.report(out)
    assert all((out / name).stat().st_size for name in MADE)
    assert (out / "metrics.jsonl").read_bytes() == figures
    assert verbs.resume(out).info["status"] == "finished"


def test_a_run_without_figures_is_refused(tmp_path: Path, finished: Path) -> None:
    shutil.copy(finished / "run.json", tmp_path)
    with pytest.raises(UserError, match="no figures yet"):
        verbs.report(tmp_path)


def test_for_a_terminal_the_command_prints_the_curve_writes_nothing_and_refuses_json(
    finished: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run", symlinks=True))
    (run / "report.html").unlink()
    done = command("report", run, "--terminal", env={"LC_ALL": "C"})
    assert done.returncode == 0 and done.stdout.isascii() and done.stderr == ""
    assert "training" in done.stdout and "o validation" in done.stdout
    assert not (run / "report.html").exists()
    both = command("report", run, "--terminal", "--json")
    assert both.returncode == 2 and "--terminal and --json" in both.stderr
