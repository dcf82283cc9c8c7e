"""From text to next-token probabilities: the shape and the values of every tensor on the way."""

from typing import Any

import torch
from torch import Tensor

from groundup.insight.passage import choose_passage
from groundup.insight.subject import Subject
from groundup.insight.trace import trace

FIRST = 4  # values given of each tensor: the newest token's first
LIKELIEST = 8


def explain_forward(subject: Subject | None, *, text: str | None = None, seed: int = 0) -> dict[str, Any]:
    """Every room of the model that a text goes through (`trace.Trace` names them).

    `tokens` are the ids that are read and their texts, the end-of-text token first, as in training; at most the
    context (`cut` says how many more there were). `rooms` are in order, each with `room`, `block` (None outside), its
    `shape`, where T is the number of tokens, the `mean` and `rms` of all its values, and the `first` of the newest
    token's (of its head 0). `probabilities` are the likeliest next tokens: softmax of its logits. `check` is the
    largest difference of a logit from what the model computes in one go. `causal` is what changes when the newest
    token is replaced by another: the largest change of a logit `before` it (nothing may look ahead) and `at` it.
    """
    assert subject
    passage = choose_passage(subject, text, seed=seed)
    ids, tokens, cut = read_tokens(subject, passage.text)
    model = subject.model
    found = trace(model, ids)
    rooms = [_room("embedding", None, found.embedded)]
    for number, block in enumerate(found.blocks):
        rooms += [_room(name, number, tensor) for name, tensor in block.items()]
    rooms += [_room("norm", None, found.normalized), _room("logits", None, found.logits)]
    probabilities = found.logits[0, -1].double().softmax(-1)
    top = probabilities.topk(min(LIKELIEST, len(probabilities)))
    with torch.no_grad():
        at_once = model(ids)
    return {
        "checkpoint": str(subject.checkpoint),
        "text": passage.text,
        "source": passage.source,
        "tokens": tokens,
        "cut": cut,
        "layers": model.shape.layers,
        "arch": model.shape.arch,
        "rooms": rooms,
        "probabilities": [
            {"id": int(i), "token": subject.tokenizer.piece(int(i)), "probability": p.item(), "logit": z.item()}
            for p, i, z in zip(*top, found.logits[0, -1][top.indices], strict=True)
        ],
        "check": (found.logits - at_once).abs().max().item(),
        "causal": _causal(subject, ids, found.logits),
    }


def read_tokens(subject: Subject, text: str, most: int | None = None) -> tuple[Tensor, list[dict[str, Any]], int]:
    """The ids (1, T) of the end-of-text token and `text`, at most the context or `most`; each as `id` and `token`; and
    how many there were more."""
    context, tokenizer = subject.model.shape.context, subject.tokenizer
    everything = [tokenizer.eos_id, *tokenizer.encode(text)]
    ids = everything[: min(context, most or context)]
    rows = [{"id": token, "token": tokenizer.piece(token)} for token in ids]
    return torch.tensor([ids]), rows, len(everything) - len(ids)


def _room(name: str, block: int | None, values: Tensor) -> dict[str, Any]:
    newest = values[0, 0, -1] if values.ndim == 4 else values[0, -1]  # head 0 where there are heads
    exact = values.double()
    return {
        "room": name,
        "block": block,
        "shape": list(values.shape),
        "mean": exact.mean().item(),
        "rms": exact.square().mean().sqrt().item(),
        "first": newest[:FIRST].tolist(),
    }


@torch.no_grad()
def _causal(subject: Subject, ids: Tensor, logits: Tensor) -> dict[str, Any]:
    other = ids.clone()
    other[0, -1] = (int(ids[0, -1]) + 1) % subject.tokenizer.vocab_size
    change = (trace(subject.model, other).logits - logits).abs().amax(-1)[0]
    return {
        "instead": subject.tokenizer.piece(int(other[0, -1])),
        "before": change[:-1].max().item() if len(change) > 1 else 0.0,
        "at": change[-1].item(),
    }
