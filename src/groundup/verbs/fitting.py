"""From a corpus to trained weights: write down what was decided, then train or continue."""

import time
from collections.abc import Callable

import torch

from groundup import runs
from groundup.config import Config, dump_config
from groundup.corpus import Corpus
from groundup.evaluation import Windows, choose_prompts, few_shot_prompt, reference_models
from groundup.events import Listener, Notice, Phase
from groundup.parallel import decide_compute, describe_machine
from groundup.planning import decide, shape_of
from groundup.runs import Run
from groundup.training import (
    SCALE_START,
    Horizon,
    Job,
    Metrics,
    State,
    build_batches,
    build_model,
    build_optimizers,
    fit,
    restore,
)

PROMPTS = 3


def train_model(
    run: Run, config: Config, corpus: Corpus, *, listen: Listener, poll: Callable[[], None], began: float
) -> str:
    """Train until the run's horizon; return why it ended. Raises Stopped with a checkpoint published."""
    if "baselines" not in run.info:
        listen(Phase("measuring baselines"))
        held_out = corpus.validation_documents()
        run.update(baselines=reference_models(corpus, held_out) if held_out else {})
    deadline = None
    if "horizon" not in run.info:
        plan, deadline = decide(config, corpus, began=began, listen=listen, poll=poll)
        # both are on the disk before the first step: resuming repeats them
        runs.write_atomic(run.path / "config.toml", dump_config(config))
        run.update(plan=plan.to_json(), horizon=[(0, plan.steps)])
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

    model = build_model(shape_of(config, corpus), config, compute)
    optimizers = build_optimizers(model, config, compute)
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
    validation = Windows.of(corpus.validation_documents(), model.shape.context) if len(corpus.validation) else None
    job = Job(
        run=run,
        config=config,
        model=model,
        tokenizer=corpus.tokenizer,
        optimizers=optimizers,
        batches=build_batches(config, corpus),
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
    training_began, tokens_before = time.monotonic(), state.tokens
    try:
        reason = fit(job, state)
        metrics.event("ended", step=state.step, reason=reason)
        return reason
    finally:
        spent = time.monotonic() - training_began
        run.update(
            training_seconds=round(run.info.get("training_seconds", 0.0) + spent, 2),
            tokens_per_second=round((state.tokens - tokens_before) / max(spent, 1e-3)),
        )
        metrics.write_training_metrics()
        metrics.sync()
        metrics.close()
