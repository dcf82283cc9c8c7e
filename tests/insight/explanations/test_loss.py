"""The loss of a text against a softmax in float64, and against what `evaluate` says of the same text."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from groundup import verbs
from groundup.insight.explanations.loss import explain_loss
from groundup.insight.subject import Subject

TEXT = "The old river watches the garden near the shore."


def test_each_probability_is_the_softmax_of_the_logits(finished: Path) -> None:
    subject = Subject.open(finished)
    text = TEXT[:20]
    found = explain_loss(subject, text=text)
    ids = subject.tokenizer.encode(text)
    assert len(ids) < subject.model.shape.context == found["context"]
    with torch.no_grad():
        logits = subject.model(torch.tensor([[subject.tokenizer.eos_id, *ids[:-1]]]))[0].double().numpy()
    odds = np.exp(logits - logits.max(1, keepdims=True))
    p = (odds / odds.sum(1, keepdims=True))[np.arange(len(ids)), ids]
    assert [row["id"] for row in found["tokens"]] == ids
    assert [row["probability"] for row in found["tokens"]] == pytest.approx(p, rel=1e-9)
    assert [row["loss"] for row in found["tokens"]] == pytest.approx(-np.log(p), rel=1e-9)
    ranks = [int((line > line[token]).sum()) + 1 for line, token in zip(logits, ids, strict=True)]
    assert [row["rank"] for row in found["tokens"]] == ranks
    assert all((row["rank"] == 1) == (row["likeliest_probability"] == row["probability"]) for row in found["tokens"])


@pytest.mark.parametrize("text", [TEXT[:20], TEXT])  # in one window of the context, and in two
def test_the_mean_is_what_evaluate_says(finished: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    scores = verbs.evaluate(finished, tmp_path / "text.txt")
    found = explain_loss(Subject.open(finished), text=text)
    assert found["windows"] == 1 + (text == TEXT)
    assert (found["mean"]["tokens"], found["mean"]["bytes"]) == (scores["tokens"], scores["bytes"])
    for key in ("loss", "perplexity", "accuracy", "bits_per_byte"):
        assert found["mean"][key] == pytest.approx(scores[key], rel=1e-6), key


def test_the_figures_follow_from_the_tokens(finished: Path) -> None:
    found = explain_loss(Subject.open(finished), seed=2)
    losses = [row["loss"] for row in found["tokens"]]
    mean = sum(losses) / len(losses)
    assert found["held_out"]
    assert found["mean"]["loss"] == pytest.approx(mean, rel=1e-12)
    assert found["mean"]["perplexity"] == pytest.approx(math.exp(mean), rel=1e-12)
    size = len(found["text"].encode())
    assert found["mean"]["bits_per_byte"] == pytest.approx(sum(losses) / (size * math.log(2)), rel=1e-12)
    assert found["cross_entropy"] == pytest.approx(mean, rel=1e-6)
    assert found["difference"] == pytest.approx(abs(found["cross_entropy"] - mean), abs=1e-9)


def test_the_untrained_model_gives_every_token_the_same(finished: Path) -> None:
    found = explain_loss(Subject.open(finished / "step-00000000"), text=TEXT)
    vocab_size = found["vocab_size"]
    assert [row["probability"] for row in found["tokens"]] == pytest.approx([1 / vocab_size] * len(found["tokens"]))
    assert found["mean"]["loss"] == pytest.approx(found["uniform"], rel=1e-6) == pytest.approx(math.log(vocab_size))
    assert found["baselines"]["this model, first step"] == pytest.approx(found["uniform"], rel=1e-6)
