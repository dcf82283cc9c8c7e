"""Streamed pieces: whole characters, nothing of a stop string, and together exactly the text."""

import random

import pytest

from groundup.inference.text_stream import TextStream


def run(data: bytes, cuts: list[int], stop=(), cut=False) -> tuple[list[str], TextStream]:
    stream = TextStream(stop)
    pieces = [stream.feed(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [*pieces, stream.finish(cut=cut)], stream


def test_a_character_waits_for_its_last_byte():
    pieces, stream = run("aé€😀b".encode(), list(range(1, 11)))
    assert [p for p in pieces if p] == ["a", "é", "€", "😀", "b"]
    assert stream.text == "aé€😀b"


def test_bytes_that_are_not_utf8_become_the_replacement_character():
    data = b"a\xff\xc3(\xe2\x82"
    pieces, _ = run(data, list(range(1, len(data))))
    assert "".join(pieces) == data.decode("utf-8", errors="replace")


def test_a_character_cut_off_from_outside_is_dropped():
    pieces, stream = run("a€".encode()[:-1], [1, 2], cut=True)
    assert "".join(pieces) == stream.text == "a"


def test_a_stop_cuts_even_across_tokens_and_nothing_of_it_is_shown():
    pieces, stream = run(b"hello\nUser: x", [3, 6, 8, 9, 12], stop=("\nUser:",))
    assert stream.stopped
    assert stream.text == "".join(pieces) == "hello"
    assert pieces[1] == "lo"  # the newline is held back


def test_what_only_began_like_a_stop_is_shown_in_the_end():
    pieces, stream = run(b"ab\nUse", [2, 4], stop=("\nUser:",), cut=True)
    assert not stream.stopped
    assert pieces == ["ab", "", "", "\nUse"]
    pieces, _ = run(b"\nUs\nUser:", [2, 3, 5], stop=("\nUser:",))
    assert "".join(pieces) == "\nUs"


def test_repeated_letters_before_a_stop_are_kept():
    _, stream = run(b"aaaab!", [1, 2, 3, 4, 5], stop=("aab",))
    assert stream.text == "aa"


@pytest.mark.parametrize("seed", range(200))
def test_token_boundaries_make_no_difference(seed):
    draw = random.Random(seed)
    text = "".join(draw.choice("abé\n") for _ in range(12)).encode()
    stop = tuple("".join(draw.choice("abé\n") for _ in range(draw.randint(1, 4))) for _ in range(draw.randint(0, 3)))
    _, whole = run(text, [], stop)
    cuts = sorted(draw.sample(range(1, len(text)), draw.randint(1, len(text) - 1)))
    pieces, stream = run(text, cuts, stop)
    assert "".join(pieces) == stream.text == whole.text
    assert stream.stopped == whole.stopped
    ends = [(text.decode().find(s) + len(s), -len(s)) for s in stop if s in text.decode()]
    expected = text.decode()[: min(ends)[0] + min(ends)[1]] if ends else text.decode()
    assert whole.text == expected
    shown = ""
    for piece in pieces:
        shown += piece
        assert not any(s in shown for s in stop)
