"""The training loop: batches and a model become weights.

Read `fit` from top to bottom. What happens at a step comes in one order (save, evaluate, log, update), and all of it
is a function of the checkpoint of that step: a run resumed there repeats it byte for byte.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from groundup.corpus import IGNORE
from groundup.errors import Stopped
from groundup.events import Notice, Progress
from groundup.seeds import derive
from groundup.training.checkpoint import finite
from groundup.training.figures import Pace, evaluate, log
from groundup.training.health import judge, record
from groundup.training.job import Job
from groundup.training.loss import loss_sums
from groundup.training.optimizers import clip_gradients
from groundup.training.rewinds import go_back
from groundup.training.saving import Saver, scheduled
from groundup.training.schedules import multiplier
from groundup.training.state import State, Sums

SCALE_GROWTH = 2000  # finite steps after which the float16 loss scale doubles (Micikevicius et al. 2018, section 3.2)
SCALE_START = 2.0**16


def fit(job: Job, state: State) -> str:
    """Train from `state` until the horizon, the patience, or numbers that are not finite or spike end it; return which.

    Raises Stopped, with the last finished step published as a checkpoint, when `job.poll` does, and UserError when a
    checkpoint could not be saved: at the next step where saving is asynchronous.
    """
    with Saver(job.run.path, job.config, job.tokenizer, job.metrics, job.listen) as saver:
        return _fit(job, state, saver)


def _fit(job: Job, state: State, saver: Saver) -> str:
    evaluation_every, log_every = job.config.evaluation.every or 1, job.config.training.log_every or 1
    forward = job.group.data_parallel(job.model, job.compute.compile(loss_sums))
    if job.group.size > 1:
        # DDP lays out the gradients anew after its first backward pass, and with it changes the order in which those of
        # more than two processes are added: that is done before the first step, so that resuming adds in the same order
        gradients(job, state.batch, 1.0, forward)
        job.optimizers.zero_grad()
    pace = Pace(state)
    if state.best_step is not None and job.group.is_main:
        saver.link_best(state.best_step)  # a crash, or a newer checkpoint that was damaged, may have left it astray
    while True:
        saver.check()
        # a checkpoint holds the run as it arrived at its step: what follows is done again on resume
        arrived = state.copy()
        final = state.step >= job.horizon.total
        evaluating = final or state.step % evaluation_every == 0
        try:
            job.poll()
            if (final or scheduled(job.config, state.step)) and not _save(job, saver, arrived):
                return "not finite"
            for row in job.rewinds.take(state):
                job.metrics.happened(row)
            validation = evaluate(job, saver, state, final) if evaluating else None
            if evaluating or state.step % log_every == 0:
                log(job, state, validation, _rate(job, max(state.step - 1, 0)), pace)
            if reason := _why_finished(job, state, final):
                return reason
            job.horizon.correct(state.step)
            _update(job, state, forward)
            if _troubled(job, state):
                if not go_back(job, saver, state):
                    return "not finite" if state.bad_steps else "spikes"
                pace = Pace(state)
        except Stopped:
            _save(job, saver, arrived)
            saver.wait()
            raise
        except FloatingPointError as error:  # the weights are beyond repair; `best` is from before
            job.listen(Notice(f"{error} at step {state.step}", "error"))
            return "not finite"
        job.listen(Progress(state.step))


def _update(job: Job, state: State, forward: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """One optimizer step on the batch of `state`; the state changes only when it is complete."""
    config = job.config
    sums = gradients(job, state.batch, state.scale, forward)
    if state.scale != 1.0:
        for parameter in job.model.parameters():
            assert parameter.grad is not None
            parameter.grad.div_(state.scale)
    norm = clip_gradients(job.model.parameters(), config.optimizer.clip).item()
    finite = math.isfinite(norm) and math.isfinite(sums.nll)
    if finite:
        job.optimizers.step(_rate(job, state.step))
    job.optimizers.zero_grad()

    state.bad_steps = 0 if finite else state.bad_steps + 1
    if finite:
        sums.updates, sums.clipped = 1, int(0 < config.optimizer.clip < norm)
        state.window.add(sums)
        state.grad_norm = norm
        judge(job, state, sums.nll / sums.tokens, norm)
    else:
        what = {"event": "bad_step", "scale": state.scale}
        record(job, state, what, "the loss or its gradient is not finite; the update is skipped")
    if job.compute.scales_loss:
        _adjust_scale(state, finite)
    state.tokens += sums.tokens
    state.step += 1


def gradients(job: Job, batch: int, scale: float, forward: Callable[..., tuple[Tensor, Tensor]]) -> Sums:
    """Accumulate the gradient of one batch, times `scale`, over its microbatches and all processes of the group; return
    what was learned from."""
    if job.model.shape.dropout:
        purpose = "dropout" if job.group.is_main else f"dropout of process {job.group.rank}"
        torch.manual_seed(derive(job.config.training.seed, purpose, batch))
    inputs, targets = job.batches.at(batch, job.group.share(job.batches.batch))
    count, parts = job.batches.targets(batch), list[tuple[Tensor, Tensor]]()
    microbatches = torch.arange(len(inputs)).split(job.config.training.microbatch or len(inputs))
    for rows in microbatches:
        job.poll()
        with job.compute.autocast():
            nll, correct = forward(
                inputs[rows].to(job.compute.device), targets[rows].to(job.compute.device), rows is microbatches[-1]
            )
        (nll * (scale / count)).backward()
        parts.append((nll.detach(), correct))
    sums = Sums(bytes=int(job.byte_lengths[targets[targets != IGNORE]].sum()))
    for nll, correct in parts:  # only now: a device that runs ahead would be waited for at each
        sums.add(Sums(nll.item(), int(correct), 0, 0))
    total, right, length = job.group.sum([sums.nll, sums.correct, sums.bytes])
    return Sums(total, int(right), count, int(length))


def _save(job: Job, saver: Saver, state: State) -> bool:
    """Save the run as it arrived at its step; False, with nothing saved, where its weights are not finite."""
    if finite(job.model):
        if job.group.is_main:
            saver.save(job.model, job.optimizers, state)
        return True
    job.metrics.happened({"step": state.step, "event": "weights_not_finite"})
    job.listen(Notice(f"the weights of step {state.step} are not finite: no checkpoint was made of them", "error"))
    return False


def _why_finished(job: Job, state: State, final: bool) -> str | None:
    training = job.config.training
    if state.bad_steps >= training.max_bad_steps:
        job.listen(Notice(f"{state.bad_steps} steps in a row had a loss or gradient that is not finite", "error"))
        return "not finite"
    if final:
        return "complete"
    if training.patience and state.stale >= training.patience:
        return "early stopping"
    return None


def _troubled(job: Job, state: State) -> bool:
    """Whether the last update, or those before it, are reason to go back."""
    return job.config.health.rewind > 0 and (state.spikes > 0 or state.bad_steps >= job.config.training.max_bad_steps)


def _rate(job: Job, step: int) -> float:
    return multiplier(job.config.schedule, step, job.horizon.entries, job.config.schedule.warmup or 0)


def _adjust_scale(state: State, finite: bool) -> None:
    """Dynamic loss scaling: halve when a step overflowed, double after SCALE_GROWTH steps that did not."""
    state.scale_streak = state.scale_streak + 1 if finite else 0
    if not finite and state.scale > 1.0:
        state.scale /= 2
        state.bad_steps = 0  # an overflow of the scale is not the data's fault
    elif state.scale_streak == SCALE_GROWTH:
        state.scale, state.scale_streak = state.scale * 2, 0
