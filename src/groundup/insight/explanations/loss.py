"""The loss of a text, token by token: the probability of the right one, and -ln of it."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from groundup.corpus import IGNORE
from groundup.evaluation import Scores, Windows
from groundup.insight.passage import choose_passage
from groundup.insight.subject import Subject


@torch.no_grad()
def explain_loss(subject: Subject | None, *, text: str | None = None, seed: int = 0) -> dict[str, Any]:
    """Each of `tokens` with the `probability` p that the model gave it before it came, `loss` = -ln p in nats, its
    `rank` (1: it was the likeliest), and what the model held for `likeliest` instead, with its probability.

    Scored as `evaluate` does: from end-of-text on, in windows of the training context. `mean` has the mean loss,
    perplexity = exp(loss), accuracy, and bits per byte = sum(loss) / (bytes ln 2). `uniform` is ln V, the loss of equal
    probabilities for all V rows of the output, of which `padding` belong to no token; `baselines` are losses of the
    run. `cross_entropy` is torch's mean on the same logits (float32), and `difference` its distance from the mean here
    (float64).
    """
    assert subject
    passage = choose_passage(subject, text, seed=seed)
    model, tokenizer = subject.model, subject.tokenizer
    ids = np.array(tokenizer.encode(passage.text))
    windows = Windows.of([ids], model.shape.context)
    rows, nll, exact = {}, 0.0, 0.0
    for place, start in enumerate(windows.starts.tolist()):  # one window at a time: some texts are long
        inputs, targets = windows.rows(slice(place, place + 1), tokenizer.eos_id)
        logits, right = model(inputs)[0].float(), targets[0]
        nll += F.cross_entropy(logits, right, ignore_index=IGNORE, reduction="sum").item()
        for offset, row in enumerate(_tokens(subject, logits, right)):
            rows[start + offset] = row
            exact += row["loss"]
    tokens = [rows[place] for place in sorted(rows)]
    right = sum(row["rank"] == 1 for row in tokens)
    scores = Scores.from_sums(exact, right, len(tokens), len(passage.text.encode()))
    return {
        "checkpoint": str(subject.checkpoint),
        "text": passage.text,
        "source": passage.source,
        "held_out": passage.held_out,
        "windows": len(windows.starts),
        "context": model.shape.context,
        "tokens": tokens,
        "mean": asdict(scores),
        "vocab_size": model.shape.vocab_size,
        "padding": model.shape.vocab_size - tokenizer.vocab_size,
        "uniform": math.log(model.shape.vocab_size),
        "baselines": _baselines(subject),
        "cross_entropy": nll / len(tokens),
        "difference": abs(nll - exact) / len(tokens),
    }


def _tokens(subject: Subject, logits: Tensor, targets: Tensor) -> list[dict[str, Any]]:
    """One row for each target (T,) of logits (T, V)."""
    logs = logits.double().log_softmax(-1)
    right = logs.gather(1, targets[:, None])[:, 0]
    best, likeliest = logs.max(1)
    ranks = 1 + (logs > right[:, None]).sum(1)
    return [
        {
            "id": token,
            "token": subject.tokenizer.piece(token),
            "probability": math.exp(log),
            "loss": -log,
            "rank": rank,
            "likeliest": subject.tokenizer.piece(instead),
            "likeliest_probability": math.exp(most),
        }
        for token, log, rank, instead, most in zip(
            targets.tolist(), right.tolist(), ranks.tolist(), likeliest.tolist(), best.tolist(), strict=True
        )
    ]


def _baselines(subject: Subject) -> dict[str, float]:
    """Losses on the run's validation split to compare with: of equal probabilities, of counts, of the model at its
    best; nothing outside a run."""
    if not subject.has_run:
        return {}
    rows = subject.run.info.get("baselines", {})
    losses = {name: rows[name]["loss"] for name in ("unigram", "bigram", "5-gram") if name in rows}
    held_out = [row["val_loss"] for row in subject.metrics if row["val_loss"] is not None]
    first = {"this model, first step": subject.metrics[0]["train_loss"]}
    return first | losses | ({"this model, at its best": min(held_out)} if held_out else {})
