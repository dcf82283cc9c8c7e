"""Neighbors that are made to mean something, or nothing, are told apart; what stands beside a token is counted."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from groundup.corpus import Corpus
from groundup.insight.likeness import Usage, judge_neighbors

TOKENS, SIDES = 300, 40


def usage_of_groups(seed: int = 0) -> Usage:
    """300 tokens of ten groups, used alike within a group and otherwise not."""
    draw = np.random.default_rng(seed)
    groups = draw.dirichlet(np.full(SIDES, 0.1), 10)
    shares = groups[np.arange(TOKENS) % 10] + 0.02 * draw.dirichlet(np.ones(SIDES), TOKENS)
    return Usage(np.sqrt(shares / shares.sum(1, keepdims=True)).astype(np.float32))


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_rows_that_follow_the_use_are_clear() -> None:
    usage = usage_of_groups()
    noise = np.random.default_rng(1).normal(size=(SIDES, 16))
    found = judge_neighbors(unit(usage.vectors @ noise), usage, list(range(200)))
    assert found["reading"] == "clear" and found["way"] > 0.5
    assert found["chance"] < found["alike"] <= found["best"]


@pytest.mark.parametrize("seed", range(5))
def test_random_rows_are_chance(seed: int) -> None:
    rows = unit(np.random.default_rng(seed + 10).normal(size=(TOKENS, 16)))
    found = judge_neighbors(rows, usage_of_groups(seed), list(range(200)))
    assert found["reading"] == "chance" and abs(found["way"]) < 0.05


def test_rows_that_only_know_how_common_a_token_is_are_chance() -> None:
    draw, angle = np.random.default_rng(3), np.arange(TOKENS) / TOKENS
    usage = Usage(usage_of_groups().vectors[draw.permutation(TOKENS)])
    found = judge_neighbors(unit(np.stack([np.cos(angle), np.sin(angle)], 1)), usage, list(range(200)))
    assert found["reading"] == "chance"


def test_usage_is_the_overlap_of_what_stands_before_and_after(corpus_dir: Path) -> None:
    corpus = Corpus(corpus_dir)
    stream = corpus.train.read(0, len(corpus.train)).tolist()
    tokens = [token for token, _ in Counter(stream).most_common(40) if token != corpus.tokenizer.eos_id]
    usage, known = Usage.count(corpus, np.array(tokens)), set(tokens)
    after, before = ({token: Counter() for token in tokens} for _ in range(2))
    for first, second in pairwise(stream):
        if first in known and second in known:
            after[first][second] += 1
            before[second][first] += 1
    for a, b in ((0, 1), (3, 17), (5, 5)):
        overlap = sum(
            (side[tokens[a]][other] / side[tokens[a]].total() * side[tokens[b]][other] / side[tokens[b]].total()) ** 0.5
            / 2
            for side in (after, before)
            for other in tokens
        )
        assert float(usage.vectors[a] @ usage.vectors[b]) == pytest.approx(overlap, abs=1e-5)
