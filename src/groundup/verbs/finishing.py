"""After the last step: score everything held out with the best checkpoint, judge the curve, draw, and report."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from groundup import runs
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.evaluation import Scores, Windows, score
from groundup.events import Listener, Notice, Phase
from groundup.insight import Record, by_severity, examine, judge
from groundup.model import load_model
from groundup.parallel import Group, decide_compute, peak_memory_bytes
from groundup.reporting import draw_loss_by_epoch, draw_training_curve, write_report
from groundup.runs import Run, find_checkpoint, link_best, published, read_entries, verify


def finish(run: Run, corpus: Corpus, reason: str, group: Group, *, listen: Listener, began: float) -> None:
    """Complete a run whose training ended for `reason`: all processes of `group` score, the main one does the rest.

    Raises UserError when its numbers were not finite, or spiked.
    """
    listen(Phase("evaluating the best checkpoint"))
    best = run.path / group.agree(_best(run, listen).name if group.is_main else None)
    final = _score_all(run, corpus, best, group) if len(corpus.validation) else None
    if not group.is_main:
        return
    entries = read_entries(run.path)
    losses = _validation_losses(entries)
    lowest = min(losses, key=lambda step: losses[step], default=entries[-1]["step"])
    best_step = next((step for step, path in published(run.path).items() if path.name == best.name), lowest)
    before = run.info.get("seconds_before", 0.0)
    last = entries[-1]
    run.update(
        status="finished",
        stop_reason=reason,
        initial={"train_loss": entries[0]["train_loss"], "val_loss": entries[0]["val_loss"]},
        final={"train_loss": last["train_loss"], "validation": asdict(final) if final else None},
        best={
            "step": best_step,
            "train_loss": min(entry["train_loss"] for entry in entries),
            "val_loss": losses.get(best_step),
            "checkpoint": best.name,
        },
        actual={
            "steps": last["step"],
            "tokens": last["tokens"],
            "epochs": round(last["tokens"] / len(corpus.train), 3),
            "minutes": round((before + time.monotonic() - began) / 60, 3),
            "memory_bytes": peak_memory_bytes(),
            "reading_seconds": run.info.get("reading_seconds"),
            "training_seconds": run.info.get("training_seconds"),
            "tokens_per_second": run.info.get("tokens_per_second"),
        },
    )
    _diagnose(run)
    listen(Phase("reporting"))
    draw(run, entries)
    write_report(run.path)
    spent = {"minutes": round((before + time.monotonic() - began) / 60, 3), "memory_bytes": peak_memory_bytes()}
    # a run killed before this is finished by `resume`; the report has the time until it was written
    run.update(reported=True, actual={**run.info["actual"], **spent})
    if error := ended_badly(run):
        raise error


def _diagnose(run: Run) -> None:
    """Put the findings of the diagnosis, and the verdict that follows from them, into run.json."""
    record = Record.open(run.path)
    findings = examine(record)
    run.update(verdict=asdict(judge(record, findings)), findings=[asdict(finding) for finding in by_severity(findings)])


def ended_badly(run: Run) -> UserError | None:
    """The error of a run that ended in numbers that are not finite, or in spikes; None for any other end."""
    what = {
        "not finite": "the loss or its gradient was not finite, many steps in a row",
        "spikes": "the loss or its gradient spiked again after the run had gone back as often as health.rewind allows",
    }.get(run.info.get("stop_reason", ""))
    if what is None:
        return None
    return UserError(
        f"training stopped: {what}",
        where=run.path / "metrics.jsonl",
        fix="begin again with a lower --set optimizer.learning_rate; the best checkpoint is intact",
    )


def _best(run: Run, listen: Listener) -> Path:
    """The checkpoint that `best` names; where that one is damaged or gone, the best good one, which `best` then names.

    Raises UserError when none is good.
    """
    best = run.path / "best"
    try:
        if best.is_dir():
            return find_checkpoint(run.path)
        why = "it is gone"
    except UserError as error:
        why = error.what
    losses = _validation_losses(read_entries(run.path))
    for step, path in sorted(published(run.path).items(), key=lambda row: (losses.get(row[0], math.inf), -row[0])):
        if not verify(path):
            listen(
                Notice(f"the best checkpoint cannot be used ({why}); that of step {step} takes its place", "warning")
            )
            link_best(run.path, path)
            return path
    return find_checkpoint(run.path)


def _validation_losses(entries: list[dict[str, Any]]) -> dict[int, float]:
    return {entry["step"]: entry["val_loss"] for entry in entries if entry["val_loss"] is not None}


def draw(run: Run, entries: list[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    """training_curve.png and loss_by_epoch.png."""
    metrics = runs.read_json(run.path / "training_metrics.json")
    table = {name: row["loss"] for name, row in run.info.get("baselines", {}).items() if "loss" in row}
    draw_training_curve(metrics, run.path / "training_curve.png", baselines=table)
    draw_loss_by_epoch(entries, run.path / "loss_by_epoch.png")


def _score_all(run: Run, corpus: Corpus, checkpoint: Path, group: Group) -> Scores:
    config = run.config()
    config.device.precision = "float32"  # as `groundup evaluate` and other programs would score it
    compute = decide_compute(config)
    model = load_model(checkpoint, compute.device)
    model.attention = compute.attention
    return score(
        model,
        Windows.of(corpus.validation_documents(), model.shape.context),
        eos_id=corpus.tokenizer.eos_id,
        byte_lengths=torch.from_numpy(corpus.tokenizer.byte_lengths(model.shape.vocab_size)),
        compute=compute,
        poll=group.poll,
        group=group,
    )
