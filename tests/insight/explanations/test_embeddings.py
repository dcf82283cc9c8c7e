"""Neighbors against torch's cosine similarity, and what is asked for by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.nn.functional import cosine_similarity

from groundup.errors import UserError
from groundup.insight.counts import count_tokens
from groundup.insight.explanations.embeddings import SEEN, explain_embeddings
from groundup.insight.subject import Subject


@pytest.fixture(scope="module")
def subject(finished: Path) -> Subject:
    return Subject.open(finished)


@pytest.fixture(scope="module")
def found(subject: Subject) -> dict[str, Any]:
    return explain_embeddings(subject)


def test_neighbors_are_the_rows_with_the_largest_cosine(subject: Subject, found: dict[str, Any]) -> None:
    counts = count_tokens(subject.corpus)
    counts[subject.tokenizer.eos_id] = 0
    known = np.flatnonzero(counts >= SEEN).tolist()
    names = {subject.tokenizer.piece(token): token for token in known}
    assert found["candidates"] == len(known) == len(names)
    weight = subject.model.model.embed_tokens.weight.detach().double()
    for word in found["words"]:
        token = names[word["token"]]
        assert word["count"] == counts[token] >= SEEN
        cosines = {
            other: cosine_similarity(weight[token], weight[other], dim=0).item() for other in known if other != token
        }
        expected = sorted(cosines.values(), reverse=True)[: len(word["neighbors"])]
        assert [row["cosine"] for row in word["neighbors"]] == pytest.approx(expected, abs=1e-6)
        for row in word["neighbors"]:
            assert row["cosine"] == pytest.approx(cosines[names[row["token"]]], abs=1e-6)


def test_an_untrained_checkpoint_is_no_better_than_chance(found: dict[str, Any]) -> None:
    untrained = found["test"]["before training"]
    assert untrained["reading"] == "chance"
    assert abs(untrained["alike"] - untrained["chance"]) < 0.2 * (untrained["best"] - untrained["chance"])


def test_tokens_may_be_asked_for(subject: Subject) -> None:
    found = explain_embeddings(subject, text="e t")
    shown = [word["token"] for word in found["words"]]
    assert set(shown) == {"e", "t"}
    with pytest.raises(UserError, match="--text"):
        explain_embeddings(subject, text="\x07")
