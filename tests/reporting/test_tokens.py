"""Tokens for a terminal: every one in its place, nothing that moves the cursor, colors only where asked for."""

import re

import pytest
from rich.cells import cell_len

from groundup.corpus import Tokenizer, tokenization
from groundup.corpus.tokenization import describe_tokenization
from groundup.reporting import describe_tokens
from groundup.reporting.tokens import SHOWN, visible

BYTES = Tokenizer.of_bytes()
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _without_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenization, "reference_tokenizer", lambda name: None)


def test_each_token_stands_above_its_id_and_a_line_ends_with_the_texts() -> None:
    lines = describe_tokens(describe_tokenization(BYTES, ["a b\nc"])).splitlines()
    assert [cell.strip() for cell in lines[0].split("│")] == ["a", "·", "b", "⏎", ""]
    assert lines[1].split() == [str(index) for index in BYTES.encode("a b\n")]
    assert lines[0].index("b") == lines[1].index(str(BYTES.encode("b")[0]))
    assert [lines[3].strip(" │"), lines[4].strip()] == ["c", str(BYTES.encode("c")[0])]


def test_the_figures_are_in_the_table() -> None:
    text = describe_tokens(describe_tokenization(BYTES, ["é bc"], reason="so it was decided"))
    assert "4 characters, 5 bytes; decoding gives back every byte" in text
    assert re.search(r"this tokenizer +257 +5 +100% +0\.80 +1\.00", text)
    assert re.search(r"words between spaces +2 +40% +2\.00 +2\.50", text)
    assert "so it was decided" in text and "groundup[references]" in text


def test_a_text_that_does_not_come_back_is_told(tmp_path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(BYTES.to_json().replace('"normalizer": null', '"normalizer": {"type": "Lowercase"}'))
    assert "does NOT give back" in describe_tokens(describe_tokenization(Tokenizer.load(file), ["A"]))


@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("text", ["plain words " * 60, "東京で会いましょう 🙂 " * 20, "e\u0301\u200d" * 50])
def test_lines_of_tokens_fit_the_width(text: str, width: int) -> None:
    tokenizer = Tokenizer.train([text * 5], 400)
    found = describe_tokenization(tokenizer, [text])
    shown = describe_tokens(found, width=width)
    assert max(cell_len(line) for line in shown.splitlines() if "│" in line) <= width


def test_hostile_text_cannot_reach_the_terminal_or_the_markup() -> None:
    evil = "\x1b[31mred\x07\x9b\u202e\x00[bold]x[/bold]:smile:\x85"
    for tokenizer in (BYTES, Tokenizer.train([evil * 50], 400)):
        found = describe_tokenization(tokenizer, [evil], source=evil, reason=evil)
        for color in (False, True):
            rest = ANSI.sub("", describe_tokens(found, color=color))
            assert all(character.isprintable() or character == "\n" for character in rest)
            assert "[bold]" in rest and ":smile:" in rest


def test_colors_only_where_they_are_asked_for_and_the_same_text_without_them() -> None:
    found = describe_tokenization(BYTES, ["some text\n"])
    plain, colored = describe_tokens(found), describe_tokens(found, color=True)
    assert "\x1b" not in plain and "\x1b[" in colored
    stripped = [line.rstrip() for line in ANSI.sub("", colored).splitlines()]
    assert stripped == plain.splitlines()


def test_a_long_text_is_cut_and_the_rest_counted() -> None:
    text = describe_tokens(describe_tokenization(BYTES, ["x" * (SHOWN + 1234)]))
    assert text.count("x  │") + text.count("x │") == SHOWN
    assert "1,234 more tokens" in text


def test_white_space_and_what_has_no_shape_is_visible() -> None:
    assert visible(" a\n\t\r") == "·a⏎⇥␍"
    assert visible("\x00\x1b\u200b\U000e0041") == "\\x00\\x1b\\u200b\\U000e0041"
    assert visible("é東") == "é東"
