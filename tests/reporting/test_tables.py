"""Tables for a terminal: what is in them is other people's text, and stays as it is."""

from rich.table import Table

from groundup.reporting.tables import describe_comparison, render


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
