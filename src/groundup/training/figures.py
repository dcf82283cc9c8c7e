"""What training says of itself at a step: scores, probes and samples, and the entry of the metrics."""

import math
import time

import torch

from groundup.corpus import IGNORE
from groundup.evaluation import Scores, probe, score
from groundup.events import Logged, Sampled
from groundup.inference import SamplingSettings, generate
from groundup.seeds import derive
from groundup.training.job import Job
from groundup.training.loss import loss_sums
from groundup.training.saving import Saver
from groundup.training.state import State, Sums


def evaluate(job: Job, saver: Saver, state: State, final: bool) -> Scores | None:
    """Score the validation split, record probes, draw samples at growing intervals, and point `best` at the best.

    Raises FloatingPointError, with nothing recorded, when the weights have become such that predictions are not finite.
    """
    began, scores = time.monotonic(), None
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
    job.metrics.event("evaluated", step=state.step, seconds=round(time.monotonic() - began, 3))
    return scores


def _draw_samples(job: Job, step: int) -> None:
    settings = SamplingSettings(
        temperature=job.config.samples.temperature,
        top_k=job.config.samples.top_k,
        max_new_tokens=job.config.samples.max_new_tokens,
        seed=derive(job.config.training.seed, "samples", step) % 2**31,
    )
    texts = generate(job.model, job.tokenizer, job.prompts, settings, on_text=lambda *_: job.poll())
    for prompt, text in zip(job.prompts, texts, strict=True):
        job.metrics.sample(step, prompt, text.text)
        job.listen(Sampled(step, prompt, text.text))


def log(job: Job, state: State, validation: Scores | None, rate: float, pace: "Pace") -> None:
    """Make the entry of this step: the mean over every microbatch since the entry before. `rate` is the multiplier of
    the learning rate in the update that led here; at step 0, in the one to come."""
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
        "epoch": job.batches.epoch(state.batch),
        "train_loss": train.loss,
        "train_perplexity": train.perplexity,
        "train_accuracy": train.accuracy,
        "train_bits_per_byte": train.bits_per_byte,
        "val_loss": validation.loss if validation else None,
        "val_perplexity": validation.perplexity if validation else None,
        "val_accuracy": validation.accuracy if validation else None,
        "val_bits_per_byte": validation.bits_per_byte if validation else None,
        "learning_rate": rate * (job.config.optimizer.learning_rate or 0.0),
        "grad_norm": state.grad_norm,
        "clipped": window.clipped / window.updates if window.updates else None,
        "tokens": state.tokens,
    }
    state.window = Sums()
    state.entries += 1
    job.metrics.entry(entry)
    job.listen(Logged(entry, pace.rates(state, job.horizon.total), job.horizon.total))


class Pace:
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
