"""The site builds without a warning, and a browser that shows it asks nobody else for anything."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from shown_commands import ROOT


def test_every_page_has_its_place_in_the_navigation() -> None:
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    named = re.findall(r"[\w/-]+\.md", str(config["project"]["nav"]))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert len(named) == len(set(named)) and set(named) == there


def test_formulas_are_drawn_line_by_line() -> None:
    import formulas

    source = "\\begin{aligned}\na &= \\frac{b}{2} \\\\\nc &< d\n\\end{aligned}\n"
    shown = formulas.fence(source, "math", "math", {}, None)
    assert shown.count("<svg") == 2 and 'aria-label="c &lt; d"' in shown
    with pytest.raises(ValueError, match="nonsense"):
        formulas.svg(r"\nonsense{x}")


def test_every_formula_of_the_pages_can_be_drawn() -> None:
    import formulas

    for page in (ROOT / "docs").rglob("*.md"):
        for source in re.findall(r"^```math\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            for line in formulas.lines(source):
                assert formulas.svg(line).startswith("<svg")


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    config = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    config = config.replace('docs_dir = "docs"', f'docs_dir = "{ROOT / "docs"}"')
    config = config.replace('site_dir = "build/site"', f'site_dir = "{tmp_path / "site"}"')
    (tmp_path / "zensical.toml").write_text(config, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "-f", tmp_path / "zensical.toml"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "docs")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="?([^"\s>]+)', text)
        loaded += re.findall(r'<link[^>]*rel="?(?:stylesheet|preconnect|icon|preload)[^>]*href="?([^"\s>]+)', text)
        assert loaded and not [url for url in loaded if re.match(r"(https?:)?//", url)], page
