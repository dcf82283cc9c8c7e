"""Weights against the NumPy model's, and the names of heads on weights made to deserve them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from groundup.insight.explanations.attention import MAPPED, describe_head, explain_attention, name_head
from groundup.insight.subject import Subject

TEXT = "The quiet sea, the quiet land."


@pytest.fixture(scope="module")
def found(finished: Path) -> dict:
    return explain_attention(Subject.open(finished), text=TEXT)


def test_weights_are_the_softmax_of_queries_and_keys(finished: Path, found: dict) -> None:
    """Queries and keys are computed by hooks on the model that runs in one go, the rest in NumPy."""
    subject, taken = Subject.open(finished), {}
    model = subject.model
    for layer, block in enumerate(model.model.layers):
        for name in ("q_norm", "k_norm"):
            module = getattr(block.self_attn, name)
            module.register_forward_hook(lambda *a, key=(layer, name): taken.update({key: a[2][0].detach().numpy()}))
    ids = [row["id"] for row in found["tokens"]]
    model(torch.tensor([ids]))
    cos, sin = (part[: len(ids), None].numpy() for part in (model.cos, model.sin))
    groups = model.shape.heads // model.shape.kv_heads

    def turned(x: np.ndarray) -> np.ndarray:
        a, b = np.split(x, 2, axis=-1)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    for head in found["heads"]:
        q = turned(taken[head["layer"], "q_norm"])[:, head["head"]]
        k = turned(taken[head["layer"], "k_norm"])[:, head["head"] // groups]
        scores = q @ k.T / np.sqrt(model.shape.head_dim)
        odds = np.tril(np.exp(scores - scores.max()))
        assert np.array(head["weights"]) == pytest.approx(odds / odds.sum(-1, keepdims=True), abs=1e-5)


def test_every_head_is_there_and_its_rows_are_shares_of_what_came_before(finished: Path, found: dict) -> None:
    shape = Subject.open(finished).model.shape
    heads = [(head["layer"], head["head"]) for head in found["heads"]]
    assert heads == [(layer, head) for layer in range(shape.layers) for head in range(shape.heads)]
    assert found["check"] == {"row_sum": pytest.approx(0, abs=1e-6), "later": 0}


def test_what_the_newest_token_looks_at_is_its_row_from_the_largest_on(found: dict) -> None:
    for head in found["heads"]:
        row = head["weights"][-1]
        assert [one["weight"] for one in head["attended"]] == sorted(row, reverse=True)[: len(head["attended"])]
        for one in head["attended"]:
            assert row[one["position"]] == one["weight"]
            assert found["tokens"][one["position"]]["token"] == one["token"]


def test_figures_of_a_head_are_means_over_tokens_from_the_third_on(found: dict) -> None:
    for head in found["heads"]:
        w = np.array(head["weights"])
        rows = range(2, len(w))
        entropy = [-sum(p * np.log(p) for p in w[t, : t + 1] if p > 0) for t in rows]
        distance = [sum(w[t, s] * (t - s) for s in range(t + 1)) for t in rows]
        assert head["entropy"] == pytest.approx(np.mean(entropy))
        assert head["distance"] == pytest.approx(np.mean(distance))
        assert head["most_entropy"] == pytest.approx(np.mean([np.log(t + 1) for t in rows]))
        assert head["shares"]["previous"] == pytest.approx(np.mean([w[t, t - 1] for t in rows]))


IDS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2, 3, 4, 5, 6]


def made(rule) -> torch.Tensor:
    """Weights with .9 of the attention of token t on `rule(t)` where there is such a place, the rest even."""
    w = torch.ones(len(IDS), len(IDS), dtype=torch.float64).tril()
    w /= w.sum(-1, keepdim=True)
    for t in range(len(IDS)):
        if (at := rule(t)) is not None:
            w[t] *= 0.1
            w[t, at] += 0.9
    return w


def earlier(t: int) -> int | None:
    return next((s for s in range(t) if IDS[s] == IDS[t]), None)


@pytest.mark.parametrize(
    ("label", "rule"),
    [
        ("first", lambda t: 0),
        ("previous", lambda t: t - 1 if t else None),
        ("itself", lambda t: t),
        ("same", earlier),
        ("after_same", lambda t: None if (s := earlier(t)) is None else s + 1),
        ("even", lambda t: None),
    ],
)
def test_a_head_is_named_by_what_it_looks_at(label: str, rule) -> None:
    assert name_head(describe_head(made(rule), IDS), len(IDS)) == label


def test_a_head_on_the_newest_tokens_is_local_and_one_on_nothing_known_is_mixed() -> None:
    w = torch.zeros(len(IDS), len(IDS), dtype=torch.float64)
    for t in range(len(IDS)):
        w[t, max(0, t - 3) : t + 1] = 1
    w /= w.sum(-1, keepdim=True)
    assert name_head(describe_head(w, IDS), len(IDS)) == "local"
    w = torch.zeros(len(IDS), len(IDS), dtype=torch.float64)
    for t in range(len(IDS)):
        w[t, t // 2] = w[t, t // 3] = 0.5
        w[t] /= w[t].sum()
    assert name_head(describe_head(w, IDS), len(IDS)) == "mixed"


def test_a_share_that_too_few_tokens_have_is_none() -> None:
    ids = [0, 1, 2, 3, 1, 5]
    assert describe_head(torch.eye(6, dtype=torch.float64), ids)["shares"]["same"] is None


def test_a_short_text_has_heads_without_figures(finished: Path) -> None:
    subject = Subject.open(finished)
    short = subject.tokenizer.decode([subject.tokenizer.encode(TEXT)[0]])
    heads = explain_attention(subject, text=short)["heads"]
    assert {head["label"] for head in heads} == {"unknown"}


def test_a_text_that_was_not_given_is_short_enough_for_maps(finished: Path) -> None:
    found = explain_attention(Subject.open(finished))
    assert len(found["tokens"]) <= MAPPED
    assert found["heads"][0]["weights"] is not None
