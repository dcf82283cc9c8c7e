import math
import re

import pytest

from groundup.reporting.canvas import unicode_shown
from groundup.reporting.terminal_curve import sparkline, terminal_curve


def is_braille(character):
    return 0x2800 < ord(character) <= 0x28FF


@pytest.mark.parametrize(("width", "height"), [(80, 16), (60, 10), (120, 24), (1, 1)])
def test_the_curve_fits_its_width_and_height(entries, width, height):
    lines = terminal_curve(entries, width, height).split("\n")
    assert len(lines) == max(height, 6)
    assert max(map(len, lines)) <= max(width, 24)


def test_both_curves_their_last_losses_and_the_axes_can_be_read_without_color(entries):
    text = terminal_curve(entries, 80, 16)
    assert "\x1b" not in text
    legend, *_ = text.split("\n")
    assert f"training {entries[-1]['train_loss']:.3f}" in legend
    assert f"validation {entries[-1]['val_loss']:.3f}" in legend
    assert "8.33 ┤" in text and "2.50 ┤" in text
    assert re.search(r"\n +0 +step 3k +6k$", text)
    assert text.count("●") == 1 + sum(e["val_loss"] is not None for e in entries)
    assert sum(map(is_braille, text)) > 50


@pytest.mark.parametrize(("width", "said"), [(80, "(log scale above the lowest)"), (64, "(axis not linear)"), (36, "")])
def test_the_legend_says_that_the_axis_is_not_linear_where_there_is_room(entries, width, said):
    text = terminal_curve(entries, width, 16)
    legend, *rows = text.split("\n")
    assert len(legend) <= width and legend.rstrip().endswith(said) and ("(" in legend) == bool(said)
    levels = [float(row.split("┤")[0]) for row in rows if "┤" in row]
    if said:
        assert levels[0] - levels[1] > 2 * (levels[-2] - levels[-1])  # and so it is


def test_with_color_training_is_blue_and_validation_red(entries):
    text = terminal_curve(entries, 80, 16, color=True)
    assert re.search(r"\x1b\[31m●\x1b\[0m", text) and re.search(r"\x1b\[34m[\u2801-\u28ff]", text)
    assert re.sub(r"\x1b\[\d+m", "", text) == terminal_curve(entries, 80, 16)


def test_a_falling_loss_runs_from_the_upper_left_to_the_lower_right():
    entries = [{"step": i, "train_loss": 9 - i / 10, "val_loss": None} for i in range(60)]
    rows = terminal_curve(entries, 60, 14).split("\n")[1:-2]
    firsts = [next((i for i, c in enumerate(row) if is_braille(c)), None) for row in rows]
    assert None not in firsts
    assert firsts == sorted(firsts) and firsts[-1] > firsts[0] + 30


def test_levels_printed_at_the_axis_are_where_the_curve_is():
    entries = [{"step": i, "train_loss": 2 + 6 * (1 - i / 99), "val_loss": None} for i in range(100)]
    rows = [row for row in terminal_curve(entries, 100, 20).split("\n") if "┤" in row]
    assert len(rows) == 5
    for row in rows:
        label, body = row.split("┤")
        seen = [i for i, c in enumerate(body) if is_braille(c)]
        middle = (seen[0] + seen[-1]) / 2 / 92
        assert float(label) == pytest.approx(8 - 6 * middle, abs=0.7)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"step": 0, "train_loss": None, "val_loss": None}],
        [{"step": 3, "event": "bad_step", "train_loss": 1.0}],
        [{"step": 0, "train_loss": math.nan, "val_loss": math.inf}],
    ],
)
def test_without_a_loss_it_says_so(entries):
    assert terminal_curve(entries) == "no loss was logged yet"


@pytest.mark.parametrize("losses", [[6.0], [6.0, 6.0], [6.0, math.nan, 5.0], [0.0, 1e9]])
def test_few_or_odd_losses_are_drawn(losses):
    entries = [{"step": i, "train_loss": loss, "val_loss": loss} for i, loss in enumerate(losses)]
    assert "⠤⠤" in terminal_curve(entries, 40, 8)


def falling(count, every=10):
    """A loss that falls from 8 to 2, and validation 0.5 above it."""
    losses = [2 + 6 * math.exp(-4 * i / count) for i in range(count)]
    return [
        {"step": i, "train_loss": loss, "val_loss": loss + 0.5 if i % every == 0 else None}
        for i, loss in enumerate(losses)
    ]


def test_ten_thousand_noisy_entries_are_a_line_and_no_cloud():
    entries = falling(10_000, 500)
    for i, entry in enumerate(entries):
        entry["train_loss"] += 0.8 * math.sin(i * 12.9898) * math.cos(i * 78.233)
    rows = terminal_curve(entries, 80, 16).split("\n")[1:-2]
    columns = [sum(is_braille(row[c]) for row in rows if len(row) > c) for c in range(20, 78)]
    assert max(columns) <= 3


def test_a_huge_first_loss_does_not_flatten_the_curve():
    entries = falling(200)
    entries[0]["train_loss"] = entries[0]["val_loss"] = 1e6
    text = terminal_curve(entries, 80, 16)
    legend, *rows = text.split("\n")
    assert "up to 1e+06: cut off" in legend
    assert rows[0].lstrip().startswith("8.") or rows[0].lstrip().startswith("7.")
    drawn = [row for row in rows[:-2] if any(map(is_braille, row))]
    assert len(drawn) >= 11  # the fall has the height of the plot
    assert "cut off" not in terminal_curve(falling(200), 80, 16)


def test_a_loss_that_is_no_number_leaves_a_gap_and_at_the_end_is_said():
    entries = falling(200)
    for entry in entries[100:120]:
        entry["train_loss"] = math.nan
    text = terminal_curve(entries, 80, 16)
    assert "not a number" not in text
    margin = text.split("\n")[1].index("┤") + 1
    middle = range(margin + 38, margin + 42)
    assert not any(is_braille(row[c]) for row in text.split("\n")[1:-2] for c in middle if len(row) > c)
    for entry in entries[150:]:
        entry["train_loss"] = math.nan
    assert "not a number from step 150 on" in terminal_curve(entries, 80, 16)


def test_entries_that_are_not_in_order_are_drawn_in_order():
    entries = falling(50)
    assert terminal_curve(entries[25:] + entries[:25]) == terminal_curve(entries)


def test_without_validation_there_are_no_marks():
    entries = [{**entry, "val_loss": None} for entry in falling(30)]
    assert "●" not in terminal_curve(entries) and "validation" not in terminal_curve(entries)


@pytest.mark.parametrize("width", [24, 40, 80])
def test_without_unicode_it_is_ascii_and_as_wide(entries, width):
    text = terminal_curve(entries, width, 16, unicode=False)
    assert text.isascii()
    assert max(map(len, text.split("\n"))) <= width
    assert text.count("o") >= 5 and text.count(".") > 20


@pytest.mark.parametrize(
    ("environment", "encoding", "shown"),
    [
        ({}, "utf-8", True),
        ({"LANG": "en_US.UTF-8"}, "utf-8", True),
        ({"LANG": "C.utf8"}, "UTF-8", True),
        ({"LC_ALL": "C"}, "utf-8", False),  # Python writes UTF-8 nevertheless
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, "utf-8", False),
        ({"LC_ALL": "", "LC_CTYPE": "POSIX"}, "utf-8", False),
        ({"LANG": "de_DE.ISO-8859-1"}, "latin-1", False),
        ({}, "cp1252", False),
        ({}, None, False),
    ],
)
def test_the_terminal_is_asked_for_what_it_shows(environment, encoding, shown):
    assert unicode_shown(environment, encoding) is shown


def test_the_sparkline_falls_with_the_loss_and_fits():
    line = sparkline([9 - i / 20 for i in range(150)], 40)
    assert len(line) == 40
    assert line[0] == "█" and line[-1] == "▁" and list(line) == sorted(line, reverse=True)
    assert sparkline([], 10) == "" and sparkline([1.0], 0) == "" and sparkline([2.0, 2.0], 5) == "▁▁"
