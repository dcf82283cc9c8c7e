"""The commands of README and quickstart run as they stand, on small documents; the reference is what the code reads."""

import os
import re
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/quickstart.md")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path, documents: Path) -> Path:
    """A home directory with the documents that the pages speak of."""
    for name in ("my-documents", "other-texts"):
        shutil.copytree(documents, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_runs(page: str, desk: Path) -> None:
    environment = {**os.environ, "HOME": str(desk)}
    lines = [line.partition("#")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    commands = [line for line in lines if line]
    assert sum(command.startswith("groundup ") for command in commands) >= 5
    for command in commands:
        if command.startswith("make "):
            result = subprocess.run(["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True)
        elif command == "pip install groundup":
            assert 'name = "groundup"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
            continue
        else:
            assert command.startswith("groundup "), f"{page} shows a command that no test runs: {command}"
            if " demo-run" in command:
                continue  # what `make demo` made; the same verbs run on other runs of these pages
            # five steps instead of half an hour: everything else is the command as it stands
            command = re.sub(r"--minutes \d+", "--steps 5 --set model.layers=1", command)
            command = command.replace("groundup", f"{sys.executable} -m groundup", 1)
            result = subprocess.run(
                command, shell=True, cwd=desk, env=environment, input="/exit\n", capture_output=True, text=True
            )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"


def test_the_python_of_the_quickstart_runs(desk: Path) -> None:
    for block in blocks("docs/quickstart.md", "python")[::-1]:  # the last one trains the run that the first one loads
        code = block.replace("minutes=3", 'steps=5, settings={"model.layers": 1}')
        result = subprocess.run([sys.executable, "-c", code], cwd=desk, capture_output=True, text=True)
        assert result.returncode == 0, f"{code}\n{result.stderr}"


REFERENCE = ("configuration.md", "cli.md", "python-api.md", "metrics.md")


@pytest.mark.parametrize("page", REFERENCE)
def test_the_reference_is_what_the_code_has(page: str) -> None:
    spec = util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec and spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.PAGES) == set(REFERENCE)
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == module.PAGES[page](), "run `make docs`"


def anchors(page: Path) -> set[str]:
    """The names that a page's headings have on GitHub and on the site."""
    text = re.sub(r"^(`{3,})\w*.*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", ["README.md", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))]
)
def test_links_inside_the_repository_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        if not target.startswith("http"):
            there = (ROOT / page).parent / target if target else ROOT / page
            assert there.exists(), f"{page}: {target}"
            assert not anchor or anchor in anchors(there), f"{page}: {target}#{anchor}"
