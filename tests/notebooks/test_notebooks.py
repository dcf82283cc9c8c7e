"""The notebooks run from top to bottom as scripts, without a browser, and come to the figures they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
pytest.importorskip("marimo", reason="pip install 'groundup[notebooks]'")


def run(name: str, *arguments: str, cwd: Path) -> str:
    """The output of a notebook run as a script; a cell that fails fails it."""
    ran = subprocess.run(
        [sys.executable, NOTEBOOKS / name, "--", *arguments],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(cwd)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


def test_the_step_by_hand_is_the_librarys(tmp_path: Path) -> None:
    output = run("one_step_by_hand.py", cwd=tmp_path)
    largest = re.search(r"largest of all: (\S+)", output)
    assert largest and float(largest[1]) < 1e-5
    before, after = map(float, re.search(r"same tokens: (\S+) before, (\S+) after", output).groups())  # type: ignore[union-attr]
    assert after < before


@pytest.mark.slow
def test_training_and_looking_shows_the_run(tmp_path: Path) -> None:
    output = run("train_and_look.py", "--minutes", "0.5", cwd=tmp_path)
    for expected in ("bits per byte", "--- temperature 0.8", "=== forward", "=== attention", "=== step"):
        assert expected in output


@pytest.mark.slow
def test_the_data_curve_measures_parts_of_the_text(tmp_path: Path) -> None:
    output = run("data_curve.py", "--minutes", "1", cwd=tmp_path)
    assert "bits per byte" in output


def test_marimo_opens_all_of_them_without_complaint() -> None:
    files = sorted(NOTEBOOKS.glob("*.py"))
    ran = subprocess.run([sys.executable, "-m", "marimo", "check", "--strict", *files], capture_output=True, text=True)
    assert len(files) > 2 and ran.returncode == 0, ran.stdout + ran.stderr
