"""Analogies in embeddings that are made to hold them, or not."""

import numpy as np
import pytest

from groundup.insight.analogies import find_analogies

STEMS = [f" {first}{second}" for first in ("ba", "co", "du", "fe", "gi") for second in ("lm", "rt", "nd")]
NAMES = [*STEMS, *(stem + "s" for stem in STEMS), *(f" x{n}" for n in range(200))]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_a_direction_that_all_plurals_share_holds() -> None:
    draw = np.random.default_rng(0)
    stems, step = draw.normal(size=(len(STEMS), 64)), 2.5 * draw.normal(size=64)
    rows = unit(np.concatenate([stems, stems + step, draw.normal(size=(200, 64))]))
    (plural,) = find_analogies(rows, NAMES)
    assert plural["relation"] == "-s" and plural["pairs"] == len(STEMS)
    assert plural["arithmetic"] > 0.9 and plural["gain"] > 0.2
    assert plural["holds"] is True
    example = plural["example"]
    assert (example["b"], example["d"]) == (example["a"] + "s", example["c"] + "s")


def test_a_word_that_is_merely_near_is_not_credited_to_the_arithmetic() -> None:
    draw = np.random.default_rng(1)
    stems = draw.normal(size=(len(STEMS), 64))
    near = stems + 0.05 * draw.normal(size=stems.shape)
    (plural,) = find_analogies(unit(np.concatenate([stems, near, draw.normal(size=(200, 64))])), NAMES)
    assert plural["neighbor"] == 1.0 and plural["holds"] is False


def test_random_embeddings_hold_nothing() -> None:
    rows = unit(np.random.default_rng(2).normal(size=(len(NAMES), 64)))
    (plural,) = find_analogies(rows, NAMES)
    assert plural["holds"] is False and plural["arithmetic"] < 0.1
    assert plural["chance"] == pytest.approx(1 / (len(NAMES) - 3))


def test_few_pairs_are_not_judged_and_one_asks_nothing() -> None:
    names = [" cat", " cats", " dog", " dogs", " red", " reds", "x", "y"]
    rows = unit(np.random.default_rng(3).normal(size=(len(names), 8)))
    (plural,) = find_analogies(rows, names)
    assert plural["pairs"] == 3 and plural["holds"] is None
    assert find_analogies(rows[:2], names[:2]) == []
