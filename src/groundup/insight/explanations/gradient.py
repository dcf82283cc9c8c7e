"""The gradient: what tells a weight which way to go, on a line with one weight and on one weight of a run's model."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from groundup.corpus import IGNORE, batch_texts
from groundup.insight.subject import Subject
from groundup.model import Transformer
from groundup.seeds import derive
from groundup.training import build_batches, loss_sums

X, Y = 2.0, 10.0  # one example of y = w x whose weight is 5
START, RATE, STEPS = 0.0, 0.1, 8
TOO_FAST, FAST_STEPS = 0.3, 5  # above 1 / x^2, from where each step ends farther away than it began
TOKENS = 128  # of the batch: float64 is slow, and each distance needs two passes
DISTANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)


def explain_gradient(subject: Subject | None, *, seed: int = 0) -> dict[str, Any]:
    """Gradient descent on a toy, and with a run the gradient of one weight, measured in two ways.

    `toy` fits y = w x to one example by w <- w - rate dL/dw, with L = (w x - y)^2 and dL/dw = 2 x (w x - y); `rows` and
    `too_fast` hold `step`, `weight`, `loss` and `gradient` before each update. A step multiplies the distance to the
    goal by 1 - 2 rate x^2, so it comes nearer below `largest_rate`, 2 / L'' = 1 / x^2; at it, it only changes sides.
    `weight` is one weight of the checkpoint, drawn by `seed` among those whose gradient is not 0: its `name` and
    `index`, its `value`, its gradient by `autograd`, and `differences`: for each `distance` h the central difference
    (L(w + h) - L(w - h)) / 2h as `slope`, and its `relative_error` against autograd (truncation falls with h^2,
    rounding grows with 1 / h). L is the mean loss in nats of `tokens` tokens of the run's batch 0, all in float64.
    """
    return {
        "toy": {
            "x": X,
            "y": Y,
            "rate": RATE,
            "rows": descend(START, RATE, STEPS),
            "largest_rate": 1 / X**2,
            "too_fast_rate": TOO_FAST,
            "too_fast": descend(START, TOO_FAST, FAST_STEPS),
        },
        "weight": _weight(subject, seed) if subject else None,
    }


def descend(weight: float, rate: float, steps: int) -> list[dict[str, float]]:
    """The rows of `steps` updates by gradient descent, and of where the last one leads."""
    rows = []
    for step in range(steps + 1):
        error = weight * X - Y
        rows.append({"step": step, "weight": weight, "loss": error**2, "gradient": 2 * X * error})
        weight -= rate * rows[-1]["gradient"]
    return rows


def _weight(subject: Subject, seed: int) -> dict[str, Any]:
    model = copy.deepcopy(subject.model).double()
    batches = build_batches(subject.config, subject.corpus)
    rows = max(1, min(TOKENS // batches.context, batches.batch))
    inputs, targets = (part[:, :TOKENS] for part in batches.at(0, range(rows)))
    count = int((targets != IGNORE).sum())

    def loss() -> Tensor:
        return loss_sums(model, inputs, targets)[0] / count

    first = loss()
    first.backward()
    name, parameter, place = _draw(model, seed)
    assert parameter.grad is not None
    gradient, value = parameter.grad.view(-1)[place].item(), parameter.data.view(-1)[place].item()
    index = [int(i) for i in torch.unravel_index(torch.tensor(place), parameter.shape)]
    return {
        "checkpoint": str(subject.checkpoint),
        "name": name,
        "index": index,
        "weights": sum(p.numel() for p in model.parameters()),
        "value": value,
        "loss": first.item(),
        "autograd": gradient,
        "differences": [_difference(loss, parameter, place, gradient, distance) for distance in DISTANCES],
        "batch": 0,
        "tokens": count,
        "text": batch_texts(subject.corpus, batches, 0)[0]["text"],
    }


def _draw(model: Transformer, seed: int) -> tuple[str, nn.Parameter, int]:
    """A tensor, then one of its weights, each as likely as the others, among those that have a gradient."""
    generator = torch.Generator().manual_seed(derive(seed, "explained weight"))
    found = [(name, p) for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())]
    name, parameter = found[int(torch.randint(len(found), (), generator=generator))]
    assert parameter.grad is not None
    places = parameter.grad.view(-1).nonzero().flatten()
    return name, parameter, int(places[torch.randint(len(places), (), generator=generator)])


@torch.no_grad()
def _difference(
    loss: Callable[[], Tensor], parameter: nn.Parameter, place: int, gradient: float, distance: float
) -> dict[str, float]:
    weights = parameter.data.view(-1)
    value = weights[place].item()
    weights[place] = above = value + distance
    up = loss().item()
    weights[place] = below = value - distance
    down = loss().item()
    weights[place] = value
    slope = (up - down) / (above - below)  # not 2h: the sums are rounded
    return {
        "distance": distance,
        "loss_above": up,
        "loss_below": down,
        "slope": slope,
        "relative_error": abs(slope - gradient) / abs(gradient),
    }
