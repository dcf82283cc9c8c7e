"""Tables for a terminal: what is in them is other people's text, and stays as it is."""

import pytest
from rich.table import Table

from groundup.reporting.tables import describe_comparison, describe_scores, render


def test_markup_in_a_cell_is_text_and_color_only_where_asked_for() -> None:
    table = Table("name", box=None)
    table.add_row("[red]:smile:[/red] 42")
    assert "[red]:smile:[/red] 42" in render(table)
    assert "\x1b" not in render(table) and "\x1b" in render(table, color=True)


def test_runs_with_long_paths_keep_the_ends_that_tell_them_apart() -> None:
    names = [f"/a/long/path/to/many/experiments/run-{letter}" for letter in "ab"]
    figures = {"status": "finished", "steps": 10, "tokens": None, "bits_per_byte": 2.5}
    text = describe_comparison(
        {
            "settings": {"samples.prompts": ["a\x1b[2J", None]},
            "runs": [{"run": name, **figures} for name in names],
            "note": "one\ntwo",
            "picture": "x.png",
        }
    )
    assert "run-a" in text and "run-b" in text and "\x1b" not in text
    assert text.splitlines()[-3:] == ["one", "two", "picture: x.png"]


@pytest.mark.parametrize("runs", [2, 3])
def test_a_comparison_fits_into_80_columns(runs: int) -> None:
    figures = {"status": "finished", "validation_bits_per_byte": 2.5, "parameters": 123_456_789}
    text = describe_comparison(
        {
            "settings": {"optimizer.embedding_rate": [0.04, 0.02, 0.01][:runs]},
            "runs": [{"run": f"/a/long/path/to/many/experiments/run-{place}", **figures} for place in range(runs)],
            "note": f"{'one run each cannot tell a better setting from the luck of a seed ' * 4}\ntwo",
            "picture": "x.png",
        }
    )
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"run-{place}" in text for place in range(runs)) and text.count("123,456,789") == runs
    assert text.splitlines()[-2:] == ["two", "picture: x.png"]


def test_scores_name_their_checkpoint_on_a_line_of_its_own() -> None:
    scores = {
        "loss": 2.0,
        "perplexity": 7.4,
        "accuracy": 0.4,
        "bits_per_byte": 1.5,
        "tokens": 123_456,
        "bytes": 456_789,
    }
    text = describe_scores({**scores, "baselines": {}, "checkpoint": "/a/run/step-00000060"})
    assert text.splitlines()[-2:] == ["123,456 tokens, 456,789 bytes", "checkpoint /a/run/step-00000060"]
