import random
import re
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.corpus.preparation.split import cut, cutting_size, digest, hold_out


def names_of(numbers: Iterable[int]) -> np.ndarray:
    return np.frombuffer(b"".join(digest(f"text {n}") for n in numbers), "<u8").reshape(-1, 2)


def held_out(sizes: dict[int, int], share: float, seed: int) -> set[int]:
    """Which of the texts, by their numbers in the order given, are held out."""
    chosen = hold_out(names_of(sizes), np.array(list(sizes.values())), share, seed)
    return {number for number, out in zip(sizes, chosen, strict=True) if out}


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_the_share_is_met_where_documents_are_many(share, seed):
    rng = random.Random(5)
    sizes = {n: rng.randint(10, 2000) for n in range(500)}
    out = sum(sizes[n] for n in held_out(sizes, share, seed))
    assert share * 0.94 < out / sum(sizes.values()) < share * 1.11


@given(
    sizes=st.lists(st.integers(1, 10_000), min_size=1, max_size=40),
    share=st.floats(0.01, 0.5),
    seed=st.integers(0, 2**63 - 1),
)
def test_there_is_always_something_to_train_on_and_something_held_out(sizes, share, seed):
    out = held_out(dict(enumerate(sizes)), share, seed)
    assert len(out) < len(sizes)
    assert out or len(sizes) == 1
    # never more than a tenth above the share, but for the smallest where all are larger than it
    held = [sizes[n] for n in out]
    assert sum(held) / sum(sizes) <= share * 1.1 + 1e-9 or held == [min(sizes)]


def test_the_choice_does_not_depend_on_the_order_of_the_files():
    sizes = {n: 100 + n for n in range(200)}
    shuffled = list(sizes)
    random.Random(1).shuffle(shuffled)
    assert held_out({n: sizes[n] for n in shuffled}, 0.1, 7) == held_out(sizes, 0.1, 7)


def test_the_choice_depends_on_the_seed():
    assert len({frozenset(held_out(dict.fromkeys(range(100), 100), 0.1, seed)) for seed in range(5)}) == 5


def test_one_more_file_moves_few_others_across_the_line():
    before = held_out(dict.fromkeys(range(300), 100), 0.1, 0)
    after = held_out(dict.fromkeys(range(301), 100), 0.1, 0)
    assert len(before ^ after) <= 3


def test_a_share_of_nothing_holds_nothing_out():
    assert not held_out(dict.fromkeys(range(50), 100), 0.0, 0)


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
    size = cutting_size(np.array(sizes), share)
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
