"""From a corpus to trained weights: write down what was decided, then train or continue."""

import contextlib
import time
from pathlib import Path

import torch

from groundup import runs
from groundup.config import Config, dump_config
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.evaluation import Windows, choose_prompts, few_shot_prompt, reference_models
from groundup.events import Listener, Notice, Phase
from groundup.parallel import Group, decide_compute, describe_machine, machine_differences
from groundup.planning import announce, decide, most_steps, shape_of
from groundup.runs import Run
from groundup.training import (
    SCALE_START,
    Horizon,
    Job,
    Metrics,
    Rewinds,
    State,
    abandoned,
    build_batches,
    build_model,
    build_optimizers,
    check_fits,
    choose_checkpoint,
    fit,
    restore,
)

PROMPTS = 3


def decide_run(
    run: Run,
    config: Config,
    corpus: Corpus,
    group: Group,
    *,
    listen: Listener,
    began: float,
) -> float | None:
    """Decide everything about a run before its first step, in `config` and on the disk, unless it already is; return,
    under `--minutes`, the time.monotonic() of the last step."""
    if "baselines" not in run.info:
        listen(Phase("measuring baselines"))
        held_out = corpus.validation_documents()
        run.update(baselines=reference_models(corpus, held_out) if held_out else {})
    deadline = None
    if "horizon" not in run.info:
        plan, deadline = decide(
            config, corpus, began=began, baselines=run.info["baselines"], listen=listen, poll=group.poll
        )
        announce(plan, listen)
        # both are on the disk before the first step: resuming repeats them
        runs.write_atomic(run.path / "config.toml", dump_config(config))
        run.update(plan=plan.to_json(), horizon=[(0, plan.steps)])
    assert config.training.tokens_per_update and config.model.context
    if (batch := config.training.tokens_per_update // config.model.context) < group.size:
        raise UserError(
            f"an update learns from {batch} sequences, and there are {group.size} processes",
            where="training.tokens_per_update",
            fix=f"start at most {batch} processes; or, in a new run, give each one a sequence:"
            f" --set training.tokens_per_update={group.size * config.model.context} or more",
        )
    return deadline


def train_model(
    run: Run,
    config: Config,
    corpus: Corpus,
    group: Group,
    *,
    deadline: float | None,
    figures: Path,
    listen: Listener,
) -> str:
    """Train until the run's horizon, on all processes of `group`; return why it ended.

    Only the main one changes the run, and only its `figures` (the run directory; of the others a directory that is
    thrown away) are kept. Raises Stopped with a checkpoint published.
    """
    compute = decide_compute(config)
    group.connect(compute.device)
    for notice in compute.notices:
        listen(Notice(notice, "warning"))
    machine, shape = describe_machine(), shape_of(config, corpus)
    changes = machine_differences(run.info.get("machine", {}), machine)
    before = run.info.get("compute", {})
    changes += [
        f"{key} {before[key]}, now {now}" for key, now in compute.describe().items() if before.get(key, now) != now
    ]
    if changes:
        text = f"not as when the run was last at work: {'; '.join(changes)}. It goes on, but results equal to those"
        listen(Notice(f"{text} of a run that was not interrupted are not promised", "warning"))
    if group.is_main:
        if (processes := run.info.get("processes", group.size)) != group.size:
            listen(Notice(f"{processes} processes before, {group.size} now: results will not be byte-equal", "warning"))
        run.update(status="training", compute=compute.describe(), machine=machine, processes=group.size)

    state, found = State(scale=SCALE_START if compute.scales_loss else 1.0), None
    if group.is_main and runs.published(run.path):
        runs.retract(run.path, abandoned(run))
        found = choose_checkpoint(run.path, lambda text: listen(Notice(text, "warning")))
    name = group.agree(found.name if found else None)
    if name:  # before memory is taken for the weights
        check_fits(run.path / name, shape, corpus.tokenizer)
    model = build_model(shape, config, compute)
    optimizers = build_optimizers(model, config, compute)
    metrics = Metrics(figures)
    if name:
        state = restore(run.path / name, model, optimizers)
        listen(Notice(f"continuing from step {state.step}"))
    for damaged in metrics.resume(state.step):
        listen(Notice(f"{damaged} has damaged lines from before step {state.step}: they were left out", "warning"))
    if group.is_main and (lost := state.entries - metrics.entries) > 0:
        text = f"metrics.jsonl lacks {lost} of the {state.entries} entries from before step {state.step}"
        listen(Notice(f"{text}: the weights are intact, the curve and the report have a gap", "warning"))
    metrics.event("started", step=state.step, **({"changes": changes} if changes else {}))
    horizon = Horizon(
        [(int(start), int(total)) for start, total in run.info["horizon"]],
        deadline=deadline,
        most=most_steps(config, corpus),
        save=lambda entries: run.update(horizon=entries) if group.is_main else None,
        agree=group.agree,
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
        poll=group.poll,
        group=group,
        rewinds=Rewinds(
            run.info.get("rewinds", []),
            save=lambda entries: run.update(rewinds=entries) if group.is_main else None,
        ),
    )
    listen(Phase("training", horizon.total, "steps"))
    training_began, tokens_before = time.monotonic(), state.tokens

    def account() -> None:
        spent = time.monotonic() - training_began
        if group.is_main:
            run.update(
                training_seconds=round(run.info.get("training_seconds", 0.0) + spent, 2),
                tokens_per_second=round((state.tokens - tokens_before) / max(spent, 1e-3)),
            )
        metrics.event("trained", step=state.step, seconds=round(spent, 3), batch_seconds=round(job.batches.seconds, 3))
        metrics.write_training_metrics()
        metrics.sync()
        metrics.close()

    try:
        reason = fit(job, state)
    except BaseException as error:
        with contextlib.suppress(OSError):  # on a full disk, what filled it is what must be told
            account()
        if isinstance(error, RuntimeError):  # a compiler that died of the signal that asks for a stop is no error
            group.poll()
        raise
    metrics.event("ended", step=state.step, reason=reason)
    account()
    return reason
