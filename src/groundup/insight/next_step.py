"""The step that a run takes after one of its checkpoints, ready to be taken on a copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from groundup.errors import UserError
from groundup.events import nobody
from groundup.insight.subject import Subject
from groundup.parallel import decide_compute
from groundup.planning import shape_of
from groundup.training import (
    Horizon,
    Job,
    Metrics,
    Rewinds,
    State,
    build_batches,
    build_model,
    build_optimizers,
    check_fits,
    restore,
)


@dataclass(frozen=True)
class NextStep:
    """What training works with as it arrives at `state`, with weights and optimizer of `checkpoint`."""

    checkpoint: Path
    job: Job
    state: State


@contextmanager
def next_step(subject: Subject) -> Iterator[NextStep]:
    """The step after the checkpoint that was given, or after the newest from before the run's last step.

    It is computed as in the run, but never compiled, which would take longer than the step, and in one process. What
    training would write goes into a directory that is thrown away. Raises UserError where the state to go on from is
    gone.
    """
    run, corpus = subject.run, subject.corpus
    if "horizon" not in run.info:
        raise UserError("is not planned yet: it has no steps", where=run.path)
    horizon = Horizon([(int(start), int(total)) for start, total in run.info["horizon"]])
    checkpoint = _checkpoint(subject, horizon.total)
    if not (checkpoint / "training" / "state.json").is_file():
        raise UserError(
            "has no training/, the state that a step goes on from", where=checkpoint, fix="give the run's directory"
        )
    config = run.config()  # one of its own, to be changed
    config.device.device, config.device.compile = "auto", "off"
    compute, shape = decide_compute(config), shape_of(config, corpus)
    check_fits(checkpoint, shape, corpus.tokenizer)
    model = build_model(shape, config, compute)
    optimizers = build_optimizers(model, config, compute)
    state = restore(checkpoint, model, optimizers)
    rewinds = Rewinds(run.info.get("rewinds", []))
    rewinds.take(state)
    with TemporaryDirectory() as nowhere:
        job = Job(
            run=run,
            config=config,
            model=model,
            tokenizer=corpus.tokenizer,
            optimizers=optimizers,
            batches=build_batches(config, corpus),
            validation=None,
            probes=[],
            prompts=[],
            byte_lengths=torch.from_numpy(corpus.tokenizer.byte_lengths(shape.vocab_size)),
            compute=compute,
            horizon=horizon,
            metrics=Metrics(Path(nowhere)),
            listen=nobody,
            poll=lambda: None,
            rewinds=rewinds,
        )
        try:
            yield NextStep(checkpoint, job, state)
        finally:
            job.metrics.close()


def _checkpoint(subject: Subject, total: int) -> Path:
    if subject.given:
        return subject.checkpoint
    before = [path for step, path in subject.checkpoints.items() if step < total]
    return before[-1] if before else subject.checkpoint
