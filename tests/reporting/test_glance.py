"""`report --terminal`: the curve and its reading on one screen, from whatever files of a run there are."""

from pathlib import Path

from groundup.reporting import describe_curve


def test_state_curve_best_loss_and_reading_fit_the_screen(finished: Path) -> None:
    text = describe_curve(finished, width=80, height=23)
    lines = text.split("\n")
    assert len(lines) <= 24 and max(map(len, lines)) <= 80 and "\x1b" not in text
    assert "finished" in lines[0]
    assert "●" in text and "validation: best" in text and "bits per byte" in text
    assert "\x1b[34m" in describe_curve(finished, color=True)


def test_without_unicode_all_of_it_is_ascii(finished: Path) -> None:
    assert describe_curve(finished, unicode=False).isascii()


def test_a_run_without_figures_says_so(tmp_path: Path) -> None:
    assert "no loss was logged yet" in describe_curve(tmp_path)
