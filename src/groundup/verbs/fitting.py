"""From a corpus to trained weights: decide, write the decisions down, then train or continue."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from groundup import runs
from groundup.config import Config, dump_config
from groundup.corpus import SCORED_TOKENS, Batches, Corpus
from groundup.evaluation import Windows, choose_prompts, few_shot_prompt, gzip_bits_per_byte, token_baselines
from groundup.events import Listener, Notice, Phase
from groundup.model import Transformer, initialize
from groundup.parallel import Compute, decide_compute, describe_machine
from groundup.planning import (
    TRAINING_SHARE,
    Pace,
    Plan,
    calibrate,
    make_plan,
    matrix_flops_per_second,
    shape_of,
)
from groundup.runs import Run
from groundup.training import SCALE_START, Horizon, Job, Metrics, State, build_optimizer, fit, restore

CALIBRATION_SHARE = 0.02  # of the time left
PROMPTS = 3


def train_model(
    run: Run, config: Config, corpus: Corpus, *, listen: Listener, poll: Callable[[], None], began: float
) -> str:
    """Train until the run's horizon; return why it ended. Raises Stopped with a checkpoint published."""
    if "baselines" not in run.info:
        _measure_baselines(run, corpus, listen)
    compute = decide_compute(config)
    deadline = None
    if "horizon" not in run.info:
        deadline = _decide(run, config, corpus, compute, listen, poll, began)
    compute = decide_compute(config)
    for notice in compute.notices:
        listen(Notice(notice, "warning"))
    if (before := run.info.get("compute")) and before != compute.describe():
        listen(
            Notice(
                f"this machine computes differently ({before} before): results will not be byte-equal",
                "warning",
            )
        )
    run.update(status="training", compute=compute.describe(), machine=describe_machine())

    model = _model(config, corpus, compute)
    optimizers = build_optimizer(model, config.optimizer, _muon_precision(compute))
    metrics = Metrics(run.path)
    state, found = State(scale=SCALE_START if compute.scales_loss else 1.0), None
    if runs.published(run.path):
        found = runs.newest_good(run.path, lambda text: listen(Notice(text, "warning")))
    if found:
        state = restore(found[1], model, optimizers)
        listen(Notice(f"continuing from step {state.step}"))
    metrics.resume(state.step)
    metrics.event("started", step=state.step)
    horizon = Horizon(
        [(int(start), int(total)) for start, total in run.info["horizon"]],
        deadline=deadline,
        save=lambda entries: run.update(horizon=entries),
    )
    texts = corpus.held_out_texts(50)
    prompts = list(config.samples.prompts) or [
        *choose_prompts(texts, PROMPTS),
        *filter(None, [few_shot_prompt(texts)]),
    ]
    assert config.training.tokens_per_update and config.model.context
    validation = Windows.of(corpus.validation_documents(), config.model.context) if len(corpus.validation) else None
    job = Job(
        run=run,
        config=config,
        model=model,
        tokenizer=corpus.tokenizer,
        optimizers=optimizers,
        batches=_batches(config, corpus),
        validation=validation.at_most(config.evaluation.tokens or validation.tokens) if validation else None,
        probes=[prompt for prompt in prompts if "\n" not in prompt][:PROMPTS] or prompts[:1],
        prompts=prompts,
        byte_lengths=torch.from_numpy(corpus.tokenizer.byte_lengths(model.shape.vocab_size)),
        compute=compute,
        horizon=horizon,
        metrics=metrics,
        listen=listen,
        poll=poll,
    )
    listen(Phase("training", horizon.total, "steps"))
    training_began = time.monotonic()
    try:
        reason = fit(job, state)
        metrics.event("ended", step=state.step, reason=reason)
        return reason
    finally:
        spent = run.info.get("training_seconds", 0.0) + time.monotonic() - training_began
        run.update(training_seconds=round(spent, 2))
        metrics.write_training_metrics()
        metrics.sync()
        metrics.close()


def _decide(
    run: Run,
    config: Config,
    corpus: Corpus,
    compute: Compute,
    listen: Listener,
    poll: Callable[[], None],
    began: float,
) -> float | None:
    """Plan the run and write config.toml and the horizon, durably, before the first step; return the deadline."""
    seconds_left = flops = None
    deadline = None
    if config.training.minutes:
        deadline = began + config.training.minutes * 60
        seconds_left = deadline - time.monotonic()
        spent = time.monotonic() - began
        if spent > config.training.minutes * 30:
            listen(
                Notice(
                    f"reading took {spent:.0f} s, more than half of the time; `groundup prepare` reads documents once",
                    "warning",
                )
            )
        flops = matrix_flops_per_second(compute) * TRAINING_SHARE
    plan = make_plan(config, corpus, flops_per_second=flops, seconds_left=seconds_left)
    for notice in plan.notices:
        listen(Notice(notice))
    compute = decide_compute(config, training_flops=float(plan.tokens) * plan.shape.flops_per_token())
    _pin(config, compute)
    total = plan.steps
    if deadline is not None and seconds_left is not None:
        listen(Phase("calibrating"))
        deadline, total = _calibrated(config, corpus, compute, plan, deadline, poll)
        _stretch_cadence(config, plan.steps, total)
    facts = plan.to_json() | {"steps": total, "tokens": total * (config.training.tokens_per_update or 0)}
    facts["epochs"] = round(facts["tokens"] / len(corpus.train), 3)
    runs.write_atomic(run.path / "config.toml", dump_config(config))
    run.update(plan=facts, horizon=[(0, total)])
    return deadline


def _calibrated(
    config: Config, corpus: Corpus, compute: Compute, plan: Plan, deadline: float, poll: Callable[[], None]
) -> tuple[float, int]:
    """(deadline of the last step, steps until then) from a few real steps, leaving time for what follows training."""
    model = _model(config, corpus, compute)

    def measure(threads: int, compiled: bool) -> Pace:
        optimizers = build_optimizer(model, config.optimizer, _muon_precision(compute))
        seconds = min(5.0, CALIBRATION_SHARE * max(deadline - time.monotonic(), 0.0))
        batches, microbatch = _batches(config, corpus), config.training.microbatch or 1
        return calibrate(
            model,
            optimizers,
            batches,
            microbatch,
            compute,
            seconds=seconds,
            threads=threads,
            compiled=compiled,
            poll=poll,
        )

    threads = compute.threads
    pace = measure(threads, compiled=False)
    if threads > 1 and config.origins.get("device.threads") == "this machine":
        # on a busy machine two threads can be far slower than one: each barrier waits for the one that does not run
        alone = measure(1, compiled=False)
        if alone.step_seconds < pace.step_seconds:
            pace, threads = alone, 1
            config.device.threads = 1
            config.origins["device.threads"] = f"measured faster than {compute.threads} on this machine now"
    if compute.compiled:
        pace = measure(threads, compiled=True)
    validation = min(len(corpus.validation), SCORED_TOKENS)
    evaluation = pace.score_seconds * min(validation, config.evaluation.tokens or validation) + 0.5
    samples = 0.01 * plan.shape.layers * config.samples.max_new_tokens / 4
    # at the end: all of the validation split once more, in float32, the pictures and the report
    reserve = 2 * pace.score_seconds * validation + 4.0 + samples
    deadline -= min(reserve, 0.5 * max(deadline - time.monotonic(), 0.0))
    evaluations = plan.steps / (config.evaluation.every or 1) + 1
    left = deadline - time.monotonic() - evaluations * evaluation - 4 * samples
    return deadline, max(10, int(left / pace.step_seconds))


def _stretch_cadence(config: Config, guessed: int, total: int) -> None:
    """Intervals that were planned for a guessed number of steps keep their share of the measured number."""
    for key in ("training.log_every", "evaluation.every", "checkpoint.every"):
        if config.origins.get(key, "").startswith("about") or config.origins.get(key) == "with each evaluation":
            section, name = key.split(".")
            part = getattr(config, section)
            setattr(part, name, max(1, round(getattr(part, name) * total / guessed)))
    if config.origins.get("schedule.warmup", "").startswith("20 steps"):
        config.schedule.warmup = min(20, max(1, total // 10))


def _pin(config: Config, compute: Compute) -> None:
    """Write what was decided for this machine into the configuration, so that resuming repeats it."""
    facts = compute.describe()
    for key, value in (
        ("device.device", facts["device"]),
        ("device.precision", facts["precision"]),
        ("device.threads", facts["threads"]),
        ("device.compile", "on" if facts["compiled"] else "off"),
    ):
        section, name = key.split(".")
        if getattr(getattr(config, section), name) in ("auto", None):
            setattr(getattr(config, section), name, value)
            config.origins[key] = "this machine"


def _model(config: Config, corpus: Corpus, compute: Compute) -> Transformer:
    model = Transformer(shape_of(config, corpus))
    initialize(model, config.training.seed)
    model.attention = compute.attention
    return model.to(compute.device).train()


def _batches(config: Config, corpus: Corpus) -> Batches:
    assert config.training.tokens_per_update and config.model.context
    batch = config.training.tokens_per_update // config.model.context
    return Batches(corpus.train, context=config.model.context, batch=batch, seed=config.training.seed)


def _muon_precision(compute: Compute) -> torch.dtype:
    return torch.bfloat16 if compute.precision == torch.bfloat16 else torch.float32


def _measure_baselines(run: Run, corpus: Corpus, listen: Listener) -> None:
    """Reference models on the validation text, once, before training."""
    if not len(corpus.validation):
        run.update(baselines={})
        return
    listen(Phase("measuring baselines"))
    run.update(baselines=baselines(corpus, corpus.validation_documents()))


def baselines(corpus: Corpus, documents: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
    """Uniform, unigram, bigram, 5-gram and gzip on `documents` (token ids of each)."""
    tokenizer = corpus.tokenizer
    texts = [tokenizer.decode(document.tolist()) for document in documents]
    train = corpus.train.read(0, min(len(corpus.train), 5_000_000))
    nbytes = sum(len(text.encode()) for text in texts)
    table = token_baselines(train, documents, vocab_size=tokenizer.vocab_size, eos_id=tokenizer.eos_id, bytes=nbytes)
    return table | {"gzip": {"bits_per_byte": gzip_bits_per_byte(texts)}}
