"""Nested parts of a corpus."""

import numpy as np
import pytest

from groundup.insight.subsets import nested_parts

SHARES = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]


@pytest.mark.parametrize("seed", range(5))
def test_each_part_holds_the_one_before_and_has_its_share_of_the_text(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(10, 400, 800)
    parts = nested_parts(lengths.tolist(), SHARES, seed)
    before: set[int] = set()
    for share, part in zip(SHARES, parts, strict=True):
        assert part is not None
        assert before <= set(part.tolist()) and part.tolist() == sorted(set(part.tolist()))
        assert lengths[part].sum() / lengths.sum() == pytest.approx(share, rel=0.06)
        before = set(part.tolist())
    assert len(before) == 800


def test_seeds_draw_other_documents_and_the_same_seed_the_same() -> None:
    lengths = [100] * 320
    drawn = [nested_parts(lengths, SHARES, seed)[0] for seed in (0, 1, 0)]
    assert drawn[0] is not None and drawn[1] is not None and drawn[2] is not None
    assert drawn[0].tolist() == drawn[2].tolist() != drawn[1].tolist()


def test_a_document_longer_than_a_part_waits_for_a_larger_one() -> None:
    lengths = [1000, *[10] * 200]  # a third of the text is 1,000; all others are a hundredth of that
    parts = nested_parts(lengths, SHARES, 0)
    for share, part in zip(SHARES, parts, strict=True):
        assert part is not None
        assert (0 in part.tolist()) <= (share >= 0.3)


def test_parts_that_no_documents_make_up_are_none() -> None:
    parts = nested_parts([1000, 1000, 1000, 1000], SHARES, 0)
    assert [part is None for part in parts] == [True, True, True, False, False, False]
    assert [len(part) for part in parts if part is not None] == [1, 2, 4]
