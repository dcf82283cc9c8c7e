"""The pieces of a text, and counts of the vocabulary against the shards as they are on the disk."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundup.insight.explanations.tokens import explain_tokens
from groundup.insight.subject import Subject

TEXT = "The quiet river, \n\tnaïve 🎉."


@pytest.fixture(scope="module")
def found(finished: Path) -> dict[str, Any]:
    return explain_tokens(Subject.open(finished), text=TEXT)


@pytest.fixture(scope="module")
def counted(finished: Path) -> Counter[int]:
    """Every training token, without end-of-text, read from the shards without any of our code."""
    shards = sorted((finished / "corpus").glob("train-*.ds"))
    counts = Counter(np.concatenate([np.fromfile(shard, "<u2") for shard in shards]).tolist())
    del counts[Subject.open(finished).tokenizer.eos_id]
    return counts


def test_the_pieces_are_the_text(found: dict[str, Any]) -> None:
    assert b"".join(bytes(piece["bytes"]) for piece in found["pieces"]) == TEXT.encode()
    assert found["round_trip"]
    assert found["bytes"] == len(TEXT.encode()) and found["characters"] == len(TEXT)
    assert found["bytes_per_token"]["text"] == len(TEXT.encode()) / len(found["pieces"])


def test_counts_are_those_of_the_shards(found: dict[str, Any], counted: Counter[int]) -> None:
    total = counted.total()
    assert found["vocabulary"]["tokens"] == total
    for entry in (*found["pieces"], *found["vocabulary"]["common"], *found["vocabulary"]["rare"]):
        assert entry["count"] == counted[entry["id"]]
        assert entry["share"] == counted[entry["id"]] / total
    assert [entry["count"] for entry in found["vocabulary"]["common"]] == [n for _, n in counted.most_common(12)]
    assert [entry["count"] for entry in found["vocabulary"]["rare"]] == sorted(counted.values())[:12]


def test_the_vocabulary_is_accounted_for(found: dict[str, Any], counted: Counter[int], finished: Path) -> None:
    vocabulary, tokenizer = found["vocabulary"], Subject.open(finished).tokenizer
    never = [token for token in range(vocabulary["size"]) if token != tokenizer.eos_id and not counted[token]]
    assert vocabulary["unused"] == len(never)
    assert vocabulary["unused_bytes"] == sum(len(tokenizer.decode_bytes([token])) == 1 for token in never)
    assert {entry["id"] for entry in vocabulary["never"]} <= set(never)
    assert vocabulary["used_once"] == sum(count == 1 for count in counted.values())
    most = sorted(counted.values(), reverse=True)
    half = vocabulary["half"]
    assert sum(most[:half]) >= counted.total() / 2 > sum(most[: half - 1])


def test_bytes_per_token_of_the_training_text_are_its_bytes_over_its_tokens(
    found: dict[str, Any], finished: Path
) -> None:
    corpus = Subject.open(finished).corpus
    expected = corpus.manifest["train_bytes"] / found["vocabulary"]["tokens"]
    assert found["bytes_per_token"]["training"] == pytest.approx(expected, rel=1e-12)
