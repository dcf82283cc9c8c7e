"""What the pages show is true: code is the source's, snippets and commands print what stands below them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from shown_commands import ROOT, all_pages, blocks

from groundup.cli import main

CHAPTERS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "concepts").glob("*.md"))
RUN_EACH = """
import contextlib, io, json, runpy, sys
for path in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(path)
    print(json.dumps(printed.getvalue()))
"""


def printed_by(snippets: list[str], folder: Path) -> list[str]:
    """What each snippet of Python prints, all in one process, which loads torch once."""
    paths = [folder / f"snippet_{number}.py" for number in range(len(snippets))]
    for path, snippet in zip(paths, snippets, strict=True):
        path.write_text(snippet, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", RUN_EACH, *paths], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("page", all_pages())
def test_code_on_a_page_is_the_code_of_the_source(page: str, examples: ModuleType) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert examples.with_code(text) == text, "run `make docs`"


def test_code_is_found_by_its_name_and_moved_to_the_left(examples: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "source.py"
    path.write_text("class A:\n    @property\n    def b(self):\n        return 1\n\n    x = 2\n", encoding="utf-8")
    assert examples.definition(path, "A.b") == "@property\ndef b(self):\n    return 1"
    with pytest.raises(LookupError, match=r"no A\.c"):
        examples.definition(path, "A.c")


def test_every_chapter_shows_a_formula_code_and_the_output_of_a_command(examples: ModuleType) -> None:
    for page in CHAPTERS:
        if page.endswith("index.md"):
            continue
        text = (ROOT / page).read_text(encoding="utf-8")
        shown = examples.examples(text)
        assert "```math\n" in text and "<!-- code: " in text, page
        assert any(example.language == "sh" and example.shown for example in shown), page
        assert all(example.shown for example in shown if example.kind != "hidden"), f"{page}: run `make examples`"


def test_snippets_of_python_print_what_the_chapters_show(examples: ModuleType, tmp_path: Path) -> None:
    shown = [
        example
        for page in CHAPTERS
        for example in examples.examples((ROOT / page).read_text(encoding="utf-8"))
        if example.language == "python" and not example.needs_run
    ]
    assert len(shown) > 5
    printed = printed_by([example.source for example in shown], tmp_path)
    for example, text in zip(shown, printed, strict=True):
        assert examples.tidy(text) == example.shown, f"{example.source}\nrun `make examples`"


def test_snippets_of_python_on_runs_work(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "my-run", symlinks=True)
    snippets = blocks("docs/guides/scripts.md", "python")
    assert len(snippets) > 3 and all(printed_by(snippets, tmp_path))


def test_commands_that_need_no_run_print_what_the_chapters_show(
    examples: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [
        example
        for page in CHAPTERS
        for example in examples.examples((ROOT / page).read_text(encoding="utf-8"))
        if example.language == "sh" and not example.needs_run
    ]
    assert shown
    for example in shown:
        program, *arguments = example.source.split()
        assert program == "groundup"
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
        assert examples.tidy(capsys.readouterr().out) == example.shown, f"{example.source}\nrun `make examples`"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_command_prints_what_the_pages_show(examples: ModuleType, tmp_path: Path) -> None:
    """To the last character where the processor, its instructions and the versions are those that the pages were made
    with; elsewhere rounding may tip a token, so that there commands only have to succeed. Of what a clock decides
    (seconds, rates) the lines without figures are compared; the data curve is measured in a minute, not in ten."""
    work = examples.workplace(tmp_path)
    same = json.loads(examples.RECORD.read_text(encoding="utf-8")) == examples.machine()
    for page in examples.pages():
        text = page.read_text(encoding="utf-8")
        short = re.sub(r"^(groundup scaling .*--minutes) \d+", r"\1 1", text, flags=re.MULTILINE)
        again = examples.examples(examples.with_outputs(short, work))
        for before, now in zip(examples.examples(text), again, strict=True):
            assert now.shown or now.kind == "hidden", now.source
            if not same or now.source != before.source:
                continue
            if now.kind == "varies":
                assert examples.constant_lines(now.shown) == examples.constant_lines(before.shown), now.source
            else:
                assert now.shown == before.shown, f"{page}: {now.source}"
