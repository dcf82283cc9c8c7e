"""Which earlier tokens each head of a model looks at, in one text."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from groundup.insight.explanations.forward import read_tokens
from groundup.insight.passage import choose_passage
from groundup.insight.subject import Subject
from groundup.insight.trace import trace

MAPPED = 40  # tokens: of longer texts the weights are not given, only what is computed from them
ATTENDED = 3
MAIN = 0.5  # share of a head's attention from where it is named by what it looks at
EVEN = 0.9  # of the largest possible entropy
NEAR, NEAREST = 0.75, 4  # share of its attention that a local head has on itself and the tokens just before
FEWEST = 3  # positions that a share must be a mean of
PLACES = ("first", "previous", "itself", "same", "after_same")


def explain_attention(subject: Subject | None, *, text: str | None = None, seed: int = 0) -> dict[str, Any]:
    """Attention weights softmax(q k^T / sqrt(D)) of every head (Vaswani et al. 2017, equation 1), over a text.

    `tokens` and `cut` are as in `explain_forward`; of a text that was not given, at most MAPPED. Each of `heads` has
    `layer`, `head`, `label`, and means over the tokens from the third on, for which the first, the previous and they
    themselves are three: `entropy` in nats, `most_entropy` (of even attention: the mean of ln of how many tokens are
    seen), `distance` in tokens, and the `shares` of attention that are on the first token, the one before, itself,
    earlier copies of the same token, and what followed those; the last two are means over tokens that have such, and
    None where these are fewer than FEWEST. `near` is the share on the NEAREST newest tokens. `attended` are the tokens
    that the newest one looks at most; `weights` (T, T) is None where there are more than MAPPED tokens (`mapped`).
    `label` follows from these by `name_head`, whose thresholds are in `rule`. `check` says how far the
    sum of a row is from 1 at most, and the largest weight on a later token.
    """
    assert subject
    passage = choose_passage(subject, text, seed=seed)
    ids, tokens, cut = read_tokens(subject, passage.text, None if text is not None else MAPPED)
    weights = torch.stack([block["weights"][0] for block in trace(subject.model, ids).blocks]).double()  # (L, H, T, T)
    heads = []
    for layer, of_layer in enumerate(weights):
        for number, head in enumerate(of_layer):
            facts = describe_head(head, ids[0].tolist())
            newest = head[-1].topk(min(ATTENDED, len(tokens)))
            heads.append(
                {
                    "layer": layer,
                    "head": number,
                    "label": name_head(facts, len(tokens)),
                    **facts,
                    "attended": [
                        {"position": int(i), "token": tokens[int(i)]["token"], "weight": w.item()}
                        for w, i in zip(*newest, strict=True)
                    ],
                    "weights": head.tolist() if len(tokens) <= MAPPED else None,
                }
            )
    return {
        "checkpoint": str(subject.checkpoint),
        "text": passage.text,
        "source": passage.source,
        "tokens": tokens,
        "cut": cut,
        "heads": heads,
        "mapped": MAPPED,
        "rule": {"main": MAIN, "even": EVEN, "near": NEAR, "nearest": NEAREST, "fewest": FEWEST},
        "check": {
            "row_sum": (weights.sum(-1) - 1).abs().max().item(),
            "later": weights.triu(1).max().item(),
        },
    }


def describe_head(weights: Tensor, ids: Sequence[int]) -> dict[str, Any]:
    """The figures of one head from its weights (T, T), rows the tokens that look; None where the text is too short."""
    rows = range(2, len(ids))
    if not rows:
        return {"entropy": None, "most_entropy": None, "distance": None, "near": None, "shares": dict.fromkeys(PLACES)}
    positions = torch.arange(len(ids))
    entropy = torch.special.entr(weights).sum(-1)
    distance = (weights * (positions[:, None] - positions)).sum(-1)
    near = [weights[t, max(0, t + 1 - NEAREST) : t + 1].sum().item() for t in rows]
    copies = {t: [s for s in range(t) if ids[s] == ids[t]] for t in rows}
    followed = {t: [s + 1 for s in found if s + 1 < t] for t, found in copies.items()}
    places = {
        "first": {t: [0] for t in rows},
        "previous": {t: [t - 1] for t in rows},
        "itself": {t: [t] for t in rows},
        "same": copies,
        "after_same": followed,
    }
    shares = {}
    for name, chosen in places.items():
        on = [weights[t, at].sum().item() for t, at in chosen.items() if at]
        shares[name] = _mean(on) if len(on) >= min(FEWEST, len(rows)) else None
    return {
        "entropy": entropy[2:].mean().item(),
        "most_entropy": (positions[2:] + 1).double().log().mean().item(),
        "distance": distance[2:].mean().item(),
        "near": _mean(near),
        "shares": shares,
    }


def name_head(facts: dict[str, Any], tokens: int) -> str:
    """What a head does in a text of so many tokens, by rule: the place with MAIN of its attention and the most, else
    `even`, else `local` (where the text is long enough to tell), else `mixed`; `unknown` in a text of two tokens."""
    if facts["entropy"] is None:
        return "unknown"
    shares = {name: share for name, share in facts["shares"].items() if share is not None}
    most = max(shares, key=lambda name: shares[name])
    if shares[most] >= MAIN:
        return most
    if facts["entropy"] >= EVEN * facts["most_entropy"]:
        return "even"
    return "local" if facts["near"] >= NEAR and tokens > 2 * NEAREST else "mixed"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
