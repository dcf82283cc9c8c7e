"""Groups of documents and paragraphs, found in buckets, beside those found in memory at once."""

from pathlib import Path

import numpy as np
import pytest

from groundup.corpus.copies.minhash import BANDS, similar
from groundup.corpus.preparation import alike
from groundup.corpus.preparation.alike import like_documents, like_paragraphs, repeated
from groundup.corpus.preparation.work import Work


def write_facts(work: Work, seed: int, parts: int = 3, rows: int = 40) -> dict[str, np.ndarray]:
    """Random facts with many equal keys in random bands, in parts of different sizes."""
    draw = np.random.default_rng(seed)
    all_facts: dict[str, list[np.ndarray]] = {"documents": [], "paragraphs": [], "names": [], "starts": [], "ends": []}
    for part in range(parts):
        count = int(draw.integers(0, rows)) if part else rows
        bands = draw.integers(0, 2**63, (count, BANDS), dtype=np.uint64)
        few = draw.integers(1, 12, (count, BANDS), dtype=np.uint64)
        bands = np.where(draw.random((count, BANDS)) < 0.1, few, bands)
        bands[draw.random(count) < 0.1] = 0  # too short for any
        start = draw.integers(0, 1000, count).astype(np.int32)
        fact = {
            "documents": bands,
            "paragraphs": bands[::-1].copy(),
            "names": draw.integers(1, 200, count, dtype=np.uint64),
            "starts": start,
            "ends": start + draw.integers(200, 500, count).astype(np.int32),
        }
        work.save("facts", part, **fact)
        for name, column in fact.items():
            all_facts[name].append(column)
    return {name: np.concatenate(columns) for name, columns in all_facts.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bucket_rows", [1, 7, 1 << 16])
def test_buckets_of_any_size_give_the_groups_that_memory_gives(
    seed: int, bucket_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alike, "BUCKET_ROWS", bucket_rows)
    work = Work(tmp_path)
    facts = write_facts(work, seed)
    assert np.array_equal(like_documents(work, 3), similar(facts["documents"]))
    grouped = alike._grouped(work, 3, "paragraphs")
    assert np.array_equal(grouped, similar(facts["paragraphs"], facts["names"]))
    assert not any((tmp_path / "paragraphs-keys").iterdir())


@pytest.mark.parametrize("seed", range(5))
def test_paragraphs_are_like_the_first_of_their_group_alone(seed: int, tmp_path: Path) -> None:
    work = Work(tmp_path)
    facts = write_facts(work, seed)
    first = like_paragraphs(work, 3)
    names, bands, sizes = facts["names"], facts["paragraphs"], facts["ends"] - facts["starts"]
    for row, like in enumerate(first.tolist()):
        assert first[like] == like <= row
        shared = sum(a == b != 0 for a, b in zip(bands[row].tolist(), bands[like].tolist(), strict=True))
        alike_enough = shared >= alike.ENOUGH_BANDS and 1 / 1.5 < sizes[row] / sizes[like] < 1.5
        assert row == like or names[row] == names[like] or alike_enough


def test_a_group_of_one_is_not_repeated() -> None:
    assert repeated(np.array([0, 1, 0, 3, 3])).tolist() == [True, False, True, True, True]
    assert not repeated(np.arange(0)).any()
