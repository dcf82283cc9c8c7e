"""The table of docs/reliability.md is true: every row has a test, and every test that the page names exists."""

import ast
import re

from rows import FAULTS, PAGE, ROOT, by_row, page

LATER = {40, 41, 42, 43, 44, 48}


def test_every_row_has_a_test_of_its_name() -> None:
    found = by_row()
    assert sorted(FAULTS) == list(range(1, 49))
    assert {row for row in FAULTS if not found[row]} <= LATER
    assert {row for row, tests in found.items() if tests} <= set(FAULTS)


def test_the_table_of_the_page_is_of_today() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run `make docs`"


def test_every_test_that_the_pages_name_exists() -> None:
    for path in (PAGE, ROOT / "SECURITY.md"):
        named = re.findall(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`", path.read_text(encoding="utf-8"))
        assert named
        for file, name in named:
            tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path}: {name}"
