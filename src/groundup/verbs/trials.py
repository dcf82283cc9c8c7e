"""Whether the remedy of a finding helps: short runs with it and without it, in pairs that share a seed."""

import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup import runs
from groundup.config import BUDGETS, Config, load_config
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.events import Listener, Phase, Progress, nobody
from groundup.insight.diagnosis import Finding, options
from groundup.insight.noise import student_t
from groundup.parallel import Group
from groundup.runs import Run, published, read_entries, verify
from groundup.seeds import derive
from groundup.verbs.continuing import decided_config
from groundup.verbs.fitting import train_model

SECONDS = 90.0
"""All runs of a trial together take about so long, unless the number of steps is given."""
LEAST_STEPS = 20
PAIRS = range(2, 11)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one trial is done."""

    checkpoint: Path | None
    """What all its runs start from; None for the beginning."""
    start: int
    steps: int
    changes: Mapping[str, Any]
    horizon: Sequence[Sequence[int]]
    """The run's own, which a fork goes on with."""


def try_remedy(
    run: Run, finding: Finding, *, pairs: int, steps: int | None, seed: int, out: Path | None, listen: Listener = nobody
) -> dict[str, Any]:
    """Train `pairs` pairs of short runs, with the finding's settings and without; the run itself is only read.

    Both runs of a pair have the same seed, so the same weights and batches. They start from the beginning, with the
    whole schedule in `steps` steps, or, where the finding names a step from which things went wrong, from the newest
    good checkpoint before it, with the schedule as it was. Returns `tried` (with `why` where it is False), `settings`,
    `from_step`, `steps`, `measure`, `pairs` (rows of `seed`, `without`, `with`: final losses in nats per token, None
    where the numbers were not finite), `difference` (with - without), its 95% interval `low` to `high` (Student's t),
    and `helped`: True or False where the interval leaves out 0, else None. Raises UserError for a directory `out` that
    is not empty.
    """
    if pairs not in PAIRS:
        raise UserError(f"{pairs} pairs give no interval", where="--pairs", fix="from 2 to 10")
    if why := _untriable(finding):
        return {"tried": False, "rule": finding.rule, "settings": finding.settings, "why": why}
    config, corpus = decided_config(run), Corpus(run.corpus)
    plan = _plan(run, config, finding, pairs, steps)
    with ExitStack() as stack:
        home = _home(out, stack)
        listen(Phase(f"trying {options(plan.changes)}", 2 * pairs, "runs"))
        began, rows = time.monotonic(), []
        for number in range(pairs):
            row: dict[str, Any] = {"seed": derive(seed, "trial", number) % 2**31}
            for name, changes in (("without", {}), ("with", plan.changes)):
                arm = _settings(config, plan, changes, row["seed"])
                row[name] = _train(home / f"{number}-{name}", arm, corpus, plan, changes)
                listen(Progress(2 * number + 1 + (name == "with")))
            rows.append(row)
    return {
        "tried": True,
        "rule": finding.rule,
        "settings": dict(plan.changes),
        "from_step": plan.start,
        "steps": plan.steps,
        "measure": "validation loss" if len(corpus.validation) else "training loss",
        "pairs": rows,
        "seconds": round(time.monotonic() - began, 1),
        **compare_pairs([(row["without"], row["with"]) for row in rows]),
    }


def compare_pairs(pairs: Sequence[tuple[float | None, float | None]]) -> dict[str, Any]:
    """`difference` (with - without), `low` and `high` (95% of Student's t over the pairs) and `helped`.

    A run whose numbers were not finite has None, and is worse than any other: where all such runs are on one side, and
    at least two are, that decides."""
    lost = [sum(pair[side] is None for pair in pairs) for side in (0, 1)]
    both = [after - before for before, after in pairs if before is not None and after is not None]
    result: dict[str, Any] = {"lost_without": lost[0], "lost_with": lost[1]}
    if sum(lost):
        helped = lost[0] > lost[1] if 0 in lost and sum(lost) >= 2 else None
        return {**result, "difference": None, "low": None, "high": None, "helped": helped}
    mean = statistics.fmean(both)
    half = student_t(0.95, len(both) - 1) * statistics.stdev(both) / math.sqrt(len(both))
    helped = True if mean + half < 0 else False if mean - half > 0 else None
    return {**result, "difference": mean, "low": mean - half, "high": mean + half, "helped": helped}


def _untriable(finding: Finding) -> str | None:
    if not finding.settings:
        return "no setting is its remedy"
    if any(key.startswith("data.") for key in finding.settings):
        return "its remedy needs the documents to be read again: `groundup train PATH... --out ANOTHER` with it"
    return None


def _plan(run: Run, config: Config, finding: Finding, pairs: int, steps: int | None) -> _Plan:
    total = int(run.info["horizon"][-1][1])
    changes = dict(finding.settings)
    factor = changes["training.steps"] / max(total, 1) if "training.steps" in changes else 1.0
    wrong_from = finding.figures.get("last_good_step", finding.figures.get("last_finite_step"))
    start, checkpoint = 0, None
    if wrong_from and not any(key.startswith("model.") for key in changes):
        good = [step for step, path in published(run.path).items() if 0 < step <= wrong_from and not verify(path)]
        if good:
            start = max(good)
            checkpoint = run.path / f"step-{start:08d}"
    if steps is None:
        speed = run.info.get("tokens_per_second") or 1.0
        affordable = SECONDS * speed / ((1 + factor) * pairs * (config.training.tokens_per_update or 1))
        steps = max(LEAST_STEPS, min(total - start, int(affordable)))
    if "training.steps" in changes:
        changes["training.steps"] = round(factor * steps)
    return _Plan(checkpoint, start, steps, changes, run.info["horizon"])


def _settings(config: Config, plan: _Plan, changes: Mapping[str, Any], seed: int) -> Config:
    """The run's configuration for a short run: nothing drawn, evaluated and saved only at its end."""
    total = int(plan.horizon[-1][1])
    steps = int(changes.get("training.steps", plan.steps))
    values = {key: value for key, value in config.values().items() if key not in BUDGETS and key != "size"}
    values |= {
        "training.seed": seed,
        "training.steps": plan.start + steps,
        "training.log_every": max(1, steps // 10),
        "training.patience": 0,
        "evaluation.every": plan.start + steps,
        "checkpoint.every": plan.start + steps,
        "checkpoint.asynchronous": False,
        "samples.max_new_tokens": 1,
        "device.device": "auto",
        "device.compile": "off",
    }
    if plan.checkpoint is None:
        values["schedule.warmup"] = math.ceil((config.schedule.warmup or 0) * min(1.0, steps / max(total, 1)))
    return load_config(None, {**values, **{key: value for key, value in changes.items() if key != "training.steps"}})


def _train(path: Path, config: Config, corpus: Corpus, plan: _Plan, changes: Mapping[str, Any]) -> float | None:
    """The final loss of one short run in `path`, nats per token."""
    path.mkdir()
    run, end = Run(path), plan.start + int(changes.get("training.steps", plan.steps))
    if plan.checkpoint is not None:
        copy = path / plan.checkpoint.name
        shutil.copytree(plan.checkpoint, copy)
        runs.link_best(path, copy)  # the run's own best is not here; this one stands in for it
        run.info["horizon"] = [*(list(row) for row in plan.horizon if row[0] < plan.start), [plan.start, end]]
    else:
        run.info["horizon"] = [[0, end]]
    if train_model(run, config, corpus, Group(), deadline=None, figures=path, listen=nobody) == "not finite":
        return None
    last = read_entries(path)[-1]
    return last["val_loss"] if last["val_loss"] is not None else last["train_loss"]


def _home(out: Path | None, stack: ExitStack) -> Path:
    if out is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="groundup-trial-")))
    runs.make_directory(out)
    if any(out.iterdir()):
        raise UserError("is not empty", where=out, fix="give an empty or new --out")
    return out
