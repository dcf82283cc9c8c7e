"""Every command on a page is one that there is: quickly by its words alone, and in the slow tests by running it."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from shown_commands import ROOT, all_pages, command_lines, programs

OTHERS = {"chmod", "cp", "echo", "export", "grep", "head", "source", "squeue", "tail"}
GUIDES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "guides").glob("*.md"))
NOT_RUN = {
    "pip install": "installs; the extras that it names are looked up",
    "postgresql://": "needs a server; tests/documents/readers/test_servers.py runs one",
    "mysql://": "the same",
}


@pytest.fixture(scope="session")
def app() -> Any:
    """The command line with all of its commands."""
    for module in (ROOT / "src" / "groundup" / "cli").glob("*.py"):
        if module.stem not in ("__init__", "main", "started"):
            __import__(f"groundup.cli.{module.stem}")
    from groundup.cli.app import app

    return app


@pytest.mark.parametrize("page", all_pages())
def test_every_command_of_a_page_is_understood(page: str, app: Any) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for line in command_lines(page):
        for program, *arguments in programs(line):
            if program == "torchrun":
                arguments = arguments[arguments.index("groundup") + 1 :]
                program = "groundup"
            if program == "groundup":
                try:
                    app.parse_args(arguments, exit_on_error=False, print_error=False)
                except Exception as error:  # cyclopts' own, or a converter's
                    pytest.fail(f"{page}: {line}: {error}")
            elif program == "make":
                assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in arguments), line
            elif program == "pip":
                named = re.findall(r"\[(.*)\]", line)
                assert arguments[0] == "install" and set(",".join(named).split(",")) - {""} <= extras.keys(), line
            elif program in ("python", "python3"):
                assert (ROOT / arguments[0]).exists(), line
            else:
                assert program in OTHERS, f"{page} shows a program that no test knows: {line}"


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES)
def test_every_command_of_a_guide_runs(
    page: str, tmp_path: Path, documents: Path, finished: Path, corpus_dir: Path
) -> None:
    for name in ("my-documents", "other-texts"):
        shutil.copytree(documents, tmp_path / name)
    for name in ("my-run", "other-run"):
        shutil.copytree(finished, tmp_path / name, symlinks=True)
    if "--out my-corpus" not in "".join(command_lines(page)):
        shutil.copytree(corpus_dir, tmp_path / "my-corpus")
    with sqlite3.connect(tmp_path / "notes.db") as database:
        database.execute("create table notes (title text, body text, year integer)")
        texts = [(path.stem, path.read_text(encoding="utf-8")) for path in documents.iterdir()]
        rows = [(*text, 2020 + number % 2) for number, text in enumerate(texts)]
        database.executemany("insert into notes values (?, ?, ?)", rows)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for line in command_lines(page):
        if any(name in line for name in NOT_RUN):
            continue
        # five steps instead of minutes: everything else is the command as it stands
        command = re.sub(r"(groundup train .*)--minutes \d+", r"\1--steps 5 --set model.layers=1", line)
        command = re.sub(r"(groundup scaling .*)--minutes \d+", r"\1--minutes 1", command)
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
