import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.corpus.split import Unit, cut, cutting_size, digest, hold_out


def units_of(sizes: list[int]) -> list[Unit]:
    return [Unit(n, 0, -1, size, digest(f"text {n}")) for n, size in enumerate(sizes)]


def share_of(units: list[Unit]) -> float:
    return sum(unit.size for unit in units if unit.held_out) / sum(unit.size for unit in units)


def held_out(units: list[Unit]) -> set[bytes]:
    return {unit.digest for unit in units if unit.held_out}


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_the_share_is_met_where_documents_are_many(share, seed):
    rng = random.Random(5)
    units = units_of([rng.randint(10, 2000) for _ in range(500)])
    hold_out(units, share, seed)
    assert share * 0.94 < share_of(units) < share * 1.11


@given(
    sizes=st.lists(st.integers(1, 10_000), min_size=1, max_size=40),
    share=st.floats(0.01, 0.5),
    seed=st.integers(0, 2**63 - 1),
)
def test_there_is_always_something_to_train_on_and_something_held_out(sizes, share, seed):
    units = units_of(sizes)
    hold_out(units, share, seed)
    out = sum(unit.held_out for unit in units)
    assert out < len(units)
    assert out > 0 or len(units) == 1
    # never more than a tenth above the share, but for the smallest where all are larger than it
    assert share_of(units) <= share * 1.1 + 1e-9 or (
        out == 1 and next(unit.size for unit in units if unit.held_out) == min(sizes)
    )


def test_the_choice_does_not_depend_on_the_order_of_the_files():
    units = units_of([100 + n for n in range(200)])
    hold_out(units, 0.1, 7)
    chosen = held_out(units)
    shuffled = units_of([100 + n for n in range(200)])
    random.Random(1).shuffle(shuffled)
    hold_out(shuffled, 0.1, 7)
    assert held_out(shuffled) == chosen


def test_the_choice_depends_on_the_seed():
    choices = set()
    for seed in range(5):
        units = units_of([100] * 100)
        hold_out(units, 0.1, seed)
        choices.add(frozenset(held_out(units)))
    assert len(choices) == 5


def test_one_more_file_moves_few_others_across_the_line():
    before, after = units_of([100] * 300), units_of([100] * 301)
    hold_out(before, 0.1, 0)
    hold_out(after, 0.1, 0)
    assert len(held_out(before) ^ held_out(after)) <= 3


def test_a_share_of_nothing_holds_nothing_out():
    units = units_of([100] * 50)
    hold_out(units, 0.0, 0)
    assert not held_out(units)


@pytest.mark.parametrize(
    ("sizes", "share", "cuts"),
    [
        ([1000] * 100, 0.1, False),
        ([1000] * 19, 0.1, True),  # each is more than half the split
        ([1000] * 20, 0.1, False),
        ([1000], 0.1, True),
        ([1000], 0.0, False),
        ([100_000] + [10] * 100, 0.1, True),  # one giant among dwarfs
        ([1000] * 100 + [60_000], 0.1, False),
        ([1000] * 4, 0.5, False),
    ],
)
def test_documents_are_cut_only_where_whole_ones_cannot_make_up_the_share(sizes, share, cuts):
    size = cutting_size(sizes, share)
    assert (size is not None) == cuts
    if size is not None:
        assert size >= 64


def blocks_of(text: str, size: int) -> list[str]:
    return [text[start:end] for start, end in cut(text, size)]


@given(st.text(alphabet="ab \n.é🙂", max_size=2000), st.integers(1, 300))
def test_blocks_put_together_are_the_text(text, size):
    blocks = blocks_of(text, size)
    assert "".join(blocks) == text
    assert all(blocks) or not text
    # white space after a paragraph belongs to the block before it, so only blank stretches make longer ones
    assert all(len(block.rstrip()) <= size * 1.5 for block in blocks)
    assert all(len(block) >= size // 2 for block in blocks[:-1])


def paragraphs(count: int, rng: random.Random) -> str:
    return "\n\n".join(
        " ".join(rng.choices(["lorem", "ipsum.", "dolor", "sit\n"], k=rng.randint(5, 40))).strip() for _ in range(count)
    )


def test_blocks_end_at_paragraph_ends():
    blocks = blocks_of(paragraphs(200, random.Random(3)), 2000)
    assert len(blocks) > 10
    assert all(block.endswith("\n\n") for block in blocks[:-1])
    assert all(1000 <= len(block) <= 3000 for block in blocks[:-1])


@pytest.mark.parametrize(
    ("piece", "end"), [("some words of a line\n", r"\n$"), ("A sentence is here. ", r"\. $"), ("word ", r"\s$")]
)
def test_without_paragraphs_blocks_end_at_lines_then_sentences_then_blanks(piece, end):
    blocks = blocks_of(piece * 2000, 1000)
    assert len(blocks) > 4
    assert all(re.search(end, block) for block in blocks[:-1])


def test_text_without_any_blank_is_cut_all_the_same():
    assert [len(block) for block in blocks_of("東" * 1000, 300)] == [300, 300, 400]


def test_equal_texts_up_to_outer_blanks_have_equal_names():
    assert digest("a b\n") == digest(" \ta b") != digest("a  b")
    assert digest("\ud800") != digest("\ud801")
    assert len(digest("")) == 16
