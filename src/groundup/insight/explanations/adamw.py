"""AdamW, one number at a time: a toy weight over ten steps, and the two averages of one weight of a run."""

import math
from typing import Any

import torch

from groundup.config import Config
from groundup.insight.explanations.gradient import X, Y
from groundup.insight.moments import load_moments
from groundup.insight.rates import schedule_share
from groundup.insight.subject import Subject
from groundup.seeds import derive
from groundup.training.optimizers import EMBEDDING

START, RATE, DECAY, STEPS = 0.0, 0.5, 0.1, 10
SHRINK_FROM = 1.0  # of the weight that has no gradient


def explain_adamw(subject: Subject | None, *, seed: int = 0) -> dict[str, Any]:
    """Ten steps of AdamW on y = w x (the example of `gradient`), with the betas and epsilon of the run or the defaults.

    Each of `rows` holds `step` t from 1, `weight` before, `gradient` g, the averages m <- b1 m + (1 - b1) g and
    v <- b2 v + (1 - b2) g^2, corrected `m_hat` = m / (1 - b1^t) and `v_hat` = v / (1 - b2^t), `direction` =
    m_hat / (sqrt(v_hat) + eps), `uncorrected` (the same of m and v), `update` = -rate (direction + decay w), and
    `after` (Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2, with the decay times the rate as in
    PyTorch). `shrinking` is a weight without gradient after as many steps: under AdamW, and where decay is added to the
    gradient instead. `weight` is one weight of the run, drawn by `seed` among those that AdamW updates and that have
    had gradients: what its averages say in the checkpoint that was given, or the newest; None where there is none.
    """
    optimizer = (subject.config if subject else Config()).optimizer
    (b1, b2), eps = optimizer.betas, optimizer.eps
    weight, m, v, rows = START, 0.0, 0.0, []
    for step in range(1, STEPS + 1):
        gradient = 2 * X * (weight * X - Y)
        m, v = b1 * m + (1 - b1) * gradient, b2 * v + (1 - b2) * gradient**2
        m_hat, v_hat = m / (1 - b1**step), v / (1 - b2**step)
        direction = m_hat / (math.sqrt(v_hat) + eps)
        update = -RATE * (direction + DECAY * weight)
        rows.append(
            {
                "step": step,
                "weight": weight,
                "gradient": gradient,
                "m": m,
                "v": v,
                "m_hat": m_hat,
                "v_hat": v_hat,
                "direction": direction,
                "uncorrected": m / (math.sqrt(v) + eps),
                "update": update,
                "after": weight + update,
            }
        )
        weight += update
    return {
        "x": X,
        "y": Y,
        "beta1": b1,
        "beta2": b2,
        "eps": eps,
        "rate": RATE,
        "decay": DECAY,
        "rows": rows,
        "shrinking": {
            "from": SHRINK_FROM,
            "decoupled": [SHRINK_FROM * (1 - RATE * DECAY) ** step for step in range(STEPS + 1)],
            "in_gradient": _decay_in_gradient(b1, b2, eps),
        },
        "weight": _weight(subject, seed) if subject else None,
    }


def _decay_in_gradient(b1: float, b2: float, eps: float) -> list[float]:
    """The same weight under Adam with decay w as its gradient (L2 regularization)."""
    weight, m, v, path = SHRINK_FROM, 0.0, 0.0, [SHRINK_FROM]
    for step in range(1, STEPS + 1):
        gradient = DECAY * weight
        m, v = b1 * m + (1 - b1) * gradient, b2 * v + (1 - b2) * gradient**2
        weight -= RATE * (m / (1 - b1**step)) / (math.sqrt(v / (1 - b2**step)) + eps)
        path.append(weight)
    return path


def _weight(subject: Subject, seed: int) -> dict[str, Any] | None:
    found = load_moments(subject)
    if found is None or not (step := int(found.tensors.get("adamw.step", torch.tensor(0)))):
        return None
    optimizer = subject.config.optimizer
    names = [n.removesuffix(".exp_avg_sq") for n, t in found.tensors.items() if n.endswith(".exp_avg_sq") and t.any()]
    if not names:
        return None
    generator = torch.Generator().manual_seed(derive(seed, "explained moments"))
    name = sorted(names)[int(torch.randint(len(names), (), generator=generator))]
    averages = found.tensors[f"{name}.exp_avg"].double(), found.tensors[f"{name}.exp_avg_sq"].double()
    places = averages[1].view(-1).nonzero().flatten()
    place = int(places[torch.randint(len(places), (), generator=generator)])
    m, v = (average.view(-1)[place].item() for average in averages)
    m_hat, v_hat = m / (1 - optimizer.betas[0] ** step), v / (1 - optimizer.betas[1] ** step)
    direction = m_hat / (math.sqrt(v_hat) + optimizer.eps)
    under_muon = optimizer.embedding_rate if name == EMBEDDING else optimizer.head_rate
    peak = under_muon if optimizer.name == "muon" else optimizer.learning_rate
    rate = (peak or 0.0) * schedule_share(subject, found.step - 1)
    return {
        "checkpoint": str(found.checkpoint),
        "name": name,
        "index": [int(i) for i in torch.unravel_index(torch.tensor(place), averages[1].shape)],
        "step": step,
        "m": m,
        "v": v,
        "m_hat": m_hat,
        "v_hat": v_hat,
        "direction": direction,
        "rate": rate,
        "update": -rate * direction,
    }
