"""The training loop: batches and a model become weights.

Read `fit` from top to bottom. What happens at a step comes in one order (save, evaluate, log, update), and all of it
is a function of the checkpoint of that step: a run resumed there repeats it byte for byte.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from groundup import runs
from groundup.config import Config
from groundup.corpus import IGNORE, Batches, Tokenizer
from groundup.errors import Stopped
from groundup.evaluation import Scores, Windows, probe, score
from groundup.events import Listener, Logged, Notice, Progress, Sampled
from groundup.inference import SamplingSettings, generate
from groundup.model import Transformer
from groundup.parallel import Compute, Group
from groundup.seeds import derive
from groundup.training.checkpoint import finite
from groundup.training.horizon import Horizon
from groundup.training.loss import loss_sums
from groundup.training.metrics import Metrics
from groundup.training.optimizers import Optimizers, clip_gradients
from groundup.training.saving import Saver
from groundup.training.schedules import multiplier
from groundup.training.state import State, Sums

SCALE_GROWTH = 2000  # finite steps after which the float16 loss scale doubles (Micikevicius et al. 2018, section 3.2)
SCALE_START = 2.0**16


@dataclass
class Job:
    """Everything `fit` works with. In `config` every value is decided."""

    run: runs.Run
    config: Config
    model: Transformer
    tokenizer: Tokenizer
    optimizers: Optimizers
    batches: Batches
    validation: Windows | None
    """The fixed part of the validation split that evaluations in training score."""
    probes: Sequence[str]
    prompts: Sequence[str]
    byte_lengths: Tensor
    """(V,) int64 on the CPU: bytes of each token."""
    compute: Compute
    horizon: Horizon
    metrics: Metrics
    listen: Listener
    poll: Callable[[], None]
    group: Group = field(default_factory=Group)


def fit(job: Job, state: State) -> str:
    """Train from `state` until the horizon, the patience or numbers that are not finite end it; return which.

    Raises Stopped, with the last finished step published as a checkpoint, when `job.poll` does, and UserError when a
    checkpoint could not be saved: at the next step where saving is asynchronous.
    """
    with Saver(job.run.path, job.config, job.tokenizer, job.metrics, job.listen) as saver:
        return _fit(job, state, saver)


def _fit(job: Job, state: State, saver: Saver) -> str:
    every = job.config.evaluation.every, job.config.checkpoint.every, job.config.training.log_every
    evaluation_every, checkpoint_every, log_every = (step or 1 for step in every)
    forward = job.group.data_parallel(job.model, job.compute.compile(loss_sums))
    if job.group.size > 1:
        # DDP lays out the gradients anew after its first backward pass, and with it changes the order in which those of
        # more than two processes are added: that is done before the first step, so that resuming adds in the same order
        _gradients(job, state.step, 1.0, forward)
        job.optimizers.zero_grad()
    pace = _Pace(state)
    if state.best_step is not None and job.group.is_main:
        saver.link_best(state.best_step)  # a crash, or a newer checkpoint that was damaged, may have left it astray
    while True:
        saver.check()
        # a checkpoint holds the run as it arrived at its step: what follows is done again on resume
        arrived = copy.deepcopy(state)
        final = state.step >= job.horizon.total
        evaluating = final or state.step % evaluation_every == 0
        try:
            job.poll()
            if (evaluating or state.step % checkpoint_every == 0) and not _save(job, saver, arrived):
                return "not finite"
            validation = _evaluate(job, saver, state, final) if evaluating else None
            if evaluating or state.step % log_every == 0:
                _log(job, state, validation, pace)
            if reason := _why_finished(job, state, final):
                return reason
            job.horizon.correct(state.step)
            _update(job, state, forward)
        except Stopped:
            _save(job, saver, arrived)
            saver.wait()
            raise
        except FloatingPointError as error:  # the weights are beyond repair; `best` is from before
            job.listen(Notice(f"{error} at step {state.step}", "error"))
            return "not finite"
        job.listen(Progress(state.step))


def _update(job: Job, state: State, forward: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """One optimizer step on the batch of `state.step`; the state changes only when it is complete."""
    config = job.config
    sums = _gradients(job, state.step, state.scale, forward)
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
        state.window.add(sums)
        state.grad_norm = norm
    else:
        sequences = [list(pair) for pair in job.batches.sequences(state.step)]
        job.metrics.happened({"step": state.step, "event": "bad_step", "scale": state.scale, "sequences": sequences})
    if job.compute.scales_loss:
        _adjust_scale(state, finite)
    state.tokens += sums.tokens
    state.step += 1


def _gradients(job: Job, step: int, scale: float, forward: Callable[..., tuple[Tensor, Tensor]]) -> Sums:
    """Accumulate the gradient of the batch of `step`, times `scale`, over its microbatches and all processes of the
    group; return what was learned from."""
    if job.model.shape.dropout:
        purpose = "dropout" if job.group.is_main else f"dropout of process {job.group.rank}"
        torch.manual_seed(derive(job.config.training.seed, purpose, step))
    inputs, targets = job.batches.at(step, job.group.share(job.batches.batch))
    count, parts = job.batches.targets(step), list[tuple[Tensor, Tensor]]()
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


def _evaluate(job: Job, saver: Saver, state: State, final: bool) -> Scores | None:
    """Score the validation split, record probes, draw samples at growing intervals, and point `best` at the best.

    Raises FloatingPointError, with nothing recorded, when the weights have become such that predictions are not finite.
    """
    scores = None
    if job.validation is not None:
        scores = score(
            job.model,
            job.validation,
            eos_id=job.tokenizer.eos_id,
            byte_lengths=job.byte_lengths,
            compute=job.compute,
            poll=job.poll,
            group=job.group,
        )
    probes = probe(job.model, job.tokenizer, job.probes) if job.group.is_main else []
    figures = [
        scores.loss if scores else 0.0,
        *(row["probability"] for shown in probes for row in shown["top"]),
    ]
    if job.group.any(not all(map(math.isfinite, figures))):
        raise FloatingPointError("the model's predictions are not finite")
    job.metrics.probes(state.step, probes)
    drawing = final or state.evaluations & (state.evaluations - 1) == 0  # the evaluations 0, 1, 2, 4, 8, ...
    if drawing and job.group.is_main:
        _draw_samples(job, state.step)
    if scores is None or state.best_loss is None or scores.loss < state.best_loss:
        # with nothing held out nothing can be stale, and the newest is the best there is
        state.best_step, state.best_loss, state.stale = state.step, scores.loss if scores else None, 0
        if job.group.is_main:
            saver.link_best(state.step)
    else:
        state.stale += 1
    state.evaluations += 1
    return scores


def _draw_samples(job: Job, step: int) -> None:
    settings = SamplingSettings(
        temperature=job.config.samples.temperature,
        top_k=job.config.samples.top_k,
        max_new_tokens=job.config.samples.max_new_tokens,
        seed=derive(job.config.training.seed, "samples", step) % 2**31,
    )
    for prompt, text in zip(job.prompts, generate(job.model, job.tokenizer, job.prompts, settings), strict=True):
        job.metrics.sample(step, prompt, text.text)
        job.listen(Sampled(step, prompt, text.text))


def _log(job: Job, state: State, validation: Scores | None, pace: "_Pace") -> None:
    """Make the entry of this step: the mean over every microbatch since the entry before."""
    if state.step == 0:  # nothing was learned from yet: what the untrained model makes of the first batch
        inputs, targets = job.batches.at(0)
        job.model.eval()  # dropout would draw, and nothing here names the draw
        with torch.no_grad(), job.compute.autocast():
            nll, correct = loss_sums(job.model, inputs.to(job.compute.device), targets.to(job.compute.device))
        job.model.train()
        scored = targets[targets != IGNORE]
        window = Sums(nll.item(), int(correct), len(scored), int(job.byte_lengths[scored].sum()))
    else:
        window = state.window
    if not window.tokens:  # every update since the entry before was skipped
        return
    train = window.scores()
    entry = {
        "step": state.step,
        "epoch": job.batches.epoch(state.step),
        "train_loss": train.loss,
        "train_perplexity": train.perplexity,
        "train_accuracy": train.accuracy,
        "train_bits_per_byte": train.bits_per_byte,
        "val_loss": validation.loss if validation else None,
        "val_perplexity": validation.perplexity if validation else None,
        "val_accuracy": validation.accuracy if validation else None,
        "val_bits_per_byte": validation.bits_per_byte if validation else None,
        # the rate of the update that led here; at step 0, of the one to come
        "learning_rate": _rate(job, max(state.step - 1, 0)) * (job.config.optimizer.learning_rate or 0.0),
        "grad_norm": state.grad_norm,
        "tokens": state.tokens,
    }
    state.window = Sums()
    job.metrics.entry(entry)
    job.listen(Logged(entry, pace.rates(state, job.horizon.total), job.horizon.total))


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


class _Pace:
    """What the clock says of this process's training."""

    def __init__(self, state: State) -> None:
        self._began, self._step, self._tokens = time.monotonic(), state.step, state.tokens

    def rates(self, state: State, total: int) -> dict[str, float]:
        seconds = max(time.monotonic() - self._began, 1e-9)
        steps, tokens = state.step - self._step, state.tokens - self._tokens
        return {
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "tokens_this_run": tokens,
            "eta_seconds": seconds / steps * (total - state.step) if steps else 0.0,
        }
