import pytest

from groundup.reporting.wording import clean, duration, number, percent, short, shorten, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (2.24, "2.2 s"), (42.4, "42 s"), (59.7, "1:00"), (187, "3:07"), (3723, "1:02:03"),
        (183_600, "2 d 03:00"), (-1, "–"), (None, "–"), (float("inf"), "–"),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (999.9, "1k"),
        (18_312, "18.3k"),
        (999_700, "1M"),
        (5_243_136, "5.24M"),
        (None, "–"),
    ],
)
def test_short_numbers(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (4.2e9, "4.2 GB"), ("x", "–")]
)
def test_sizes(value, text):
    assert size(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.614, "61%"), (0.024, "2.4%"), (0.0004, "0.04%"), (1e-9, "<0.01%"), (1, "100%")]
)
def test_shares(share, text):
    assert percent(share) == text


def test_numbers_have_thousands_and_a_dash_for_nothing():
    assert number(4105.23, 1) == "4,105.2" and number(True) == "–" and number(3e38) == "3e+38"


def test_text_of_documents_cannot_steer_a_terminal():
    text = clean("a\x1b[2J\x07\nb\x9b31m\u202egnp\ud800")
    assert text.isprintable() and "\u202e" not in text
    assert text.startswith("a·[2J·⏎b·31m·gnp")


def test_shortened_text_ends_in_an_ellipsis_only_where_something_is_missing():
    assert shorten("exactly", 7) == "exactly" and shorten("too long", 7) == "too lo…"
