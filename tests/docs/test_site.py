"""The site builds without a warning, and a browser that shows it asks nobody else for anything."""

import os
import re
import shutil
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


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "docs"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted((tmp_path / "docs").rglob("*.md"))
    assert len(pages) > 30
    for page in pages:
        source = page.read_text(encoding="utf-8")
        built = tmp_path / "build" / "site" / page.relative_to(tmp_path / "docs").with_suffix(".html")
        text = built.read_text(encoding="utf-8")
        # what cannot be drawn would stand there as LaTeX
        assert text.count('<div class="math">') == len(re.findall("^```math$", source, re.MULTILINE)), page
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="?([^"\s>]+)', text)
        loaded += re.findall(r'<link[^>]*rel="?(?:stylesheet|preconnect|icon|preload)[^>]*href="?([^"\s>]+)', text)
        assert loaded and not [url for url in loaded if re.match(r"(https?:)?//", url)], page
