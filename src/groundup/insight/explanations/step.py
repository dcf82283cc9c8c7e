"""One optimizer step of a run under glass: the update that training takes, on a copy of what the run has kept."""

import math
from typing import Any

import torch
from torch import Tensor

from groundup.corpus import batch_texts
from groundup.errors import UserError
from groundup.insight.next_step import NextStep, next_step
from groundup.insight.rates import peak_rates, schedule_share
from groundup.insight.subject import Subject
from groundup.training import clip_gradients, gradients, loss_sums


def explain_step(subject: Subject | None) -> dict[str, Any]:
    """The step that follows a checkpoint: the one given, else the newest from before the run's last step.

    `step` is the index of the update from 0, `batch` the number of its batch, `sequences` its texts and their documents
    (as `groundup batch` gives them). `loss_before` and `loss_after` are of this batch, in nats per token, without
    dropout; `predicted_change` is the sum over all weights of gradient times update (the loss's first-order Taylor
    term). `gradient_norm` is the L2 norm of all gradients, `clip` the largest allowed, `clip_factor` what they were
    multiplied by. `share` is the schedule's, of the peak rates; `rates` the rates by part. `layers`, and `total`, have
    `weights` (their number) and the L2 norms `gradient` (before clipping), `weight` and `update`, and `ratio`, update
    to weight. `taken` says whether it is one of the run's steps: after its last one there is none.
    Raises UserError where the gradient is not finite, which training leaves out.
    """
    assert subject
    with next_step(subject) as at:
        return _take(subject, at)


def _take(subject: Subject, at: NextStep) -> dict[str, Any]:
    job, state, config = at.job, at.state, at.job.config
    model, number = job.model, state.batch
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    without_dropout = batch_loss(at) if model.shape.dropout else None
    sums = gradients(job, number, state.scale, job.group.data_parallel(model, loss_sums))
    slopes = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        parameter.grad.div_(state.scale)
        slopes[name] = parameter.grad.clone()
    norm = clip_gradients(model.parameters(), config.optimizer.clip).item()
    if not math.isfinite(norm):
        raise UserError(f"the gradient of batch {number} is not finite: training skips it", where=at.checkpoint)
    share = schedule_share(subject, state.step)
    clipped = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm().item()
    job.optimizers.step(share)
    job.optimizers.zero_grad()
    updates = {name: p.detach() - before[name] for name, p in model.named_parameters()}
    return {
        "checkpoint": str(at.checkpoint),
        "step": state.step,
        "steps": job.horizon.total,
        "taken": state.step < job.horizon.total,
        "batch": number,
        "tokens": sums.tokens,
        "sequences": batch_texts(subject.corpus, job.batches, number),
        "compute": job.compute.describe(),
        "dropout": model.shape.dropout,
        "loss_before": sums.nll / sums.tokens if without_dropout is None else without_dropout,
        "loss_after": batch_loss(at),
        "predicted_change": sum((slopes[n].double() * u.double()).sum().item() for n, u in updates.items()),
        "gradient_norm": norm,
        "clip": config.optimizer.clip,
        "clip_factor": clipped / norm if norm else 1.0,
        "optimizer": config.optimizer.name,
        "share": share,
        "rates": {part: peak * share for part, peak in peak_rates(config.optimizer).items()},
        "layers": [
            {"layer": layer, **_measure(names, slopes, before, updates)} for layer, names in layers(before).items()
        ],
        "total": _measure(list(before), slopes, before, updates),
    }


def layers(names: dict[str, Tensor]) -> dict[str, list[str]]:
    """The names of parameters by the part of the model that they are in, in order."""
    parts: dict[str, list[str]] = {}
    for name in names:
        words = name.split(".")
        if words[1] == "layers":
            # each norm belongs to what reads it
            what = "feed-forward" if words[3] in ("mlp", "post_attention_layernorm") else "attention"
            part = f"block {words[2]} {what}"
        else:
            part = {"embed_tokens": "embedding", "norm": "final norm"}.get(words[1], "head")
        parts.setdefault(part, []).append(name)
    return parts


@torch.no_grad()
def batch_loss(at: NextStep) -> float:
    """The mean loss of the step's batch in nats per token, without dropout, in the run's precision."""
    job = at.job
    inputs, targets = job.batches.at(at.state.batch)
    rows = torch.arange(len(inputs)).split(job.config.training.microbatch or len(inputs))
    job.model.eval()
    total = 0.0
    for part in rows:
        with job.compute.autocast():
            nll, _ = loss_sums(job.model, inputs[part].to(job.compute.device), targets[part].to(job.compute.device))
        total += nll.item()
    job.model.train()
    return total / job.batches.targets(at.state.batch)


def _measure(
    names: list[str], slopes: dict[str, Tensor], before: dict[str, Tensor], updates: dict[str, Tensor]
) -> dict[str, Any]:
    gradient, weight, update = (
        torch.stack([of[name].double().norm() for name in names]).norm().item() for of in (slopes, before, updates)
    )
    return {
        "weights": sum(before[name].numel() for name in names),
        "gradient": gradient,
        "weight": weight,
        "update": update,
        "ratio": update / weight if weight else None,
    }
