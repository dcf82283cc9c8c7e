"""`diagnose`: what is wrong with a run, read from its files, and whether the first remedy helps."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from groundup import runs
from groundup.errors import UserError
from groundup.events import Listener, nobody
from groundup.insight.diagnosis import Record, by_severity, examine
from groundup.insight.verdict import judge
from groundup.verbs.request import PathLike


def diagnose(
    run: PathLike,
    *,
    trial: bool = False,
    pairs: int = 4,
    steps: int | None = None,
    out: PathLike | None = None,
    seed: int = 0,
    listen: Listener = nobody,
) -> dict[str, Any]:
    """Hold every rule of the diagnosis to a run, finished or not, and change nothing in it.

    Returns `run`, `status`, `steps` (so far), `verdict` (`reading`, `evidence`, `advice`) and `findings`, the severe
    ones first: rows of `rule`, `severity`, `evidence`, `remedy`, `figures` and `settings`; empty for a healthy run;
    `notes` say which rules could not be held to it, and why; `to_try` is the rule of the first finding whose remedy
    short runs can show. With `trial`, also `trial`: short runs with the settings of that one, and without, in `pairs`
    pairs of seeds that `seed` names, of `steps` steps, kept in the directory `out` or thrown away. Raises UserError
    when `run` is none, or has no entries to read.
    """
    path = Path(run)
    record = Record.open(path)
    if not record.rows:
        raise UserError(
            "the run has no figures yet",
            where=path / "metrics.jsonl",
            fix=f"`groundup resume {shlex.quote(str(path))}` continues it",
        )
    findings = examine(record)
    ordered = by_severity(findings)
    chosen = next((finding for finding in ordered if finding.can_be_tried), None)
    result: dict[str, Any] = {
        "run": str(path),
        "status": record.facts.get("status"),
        "steps": record.rows[-1]["step"],
        "verdict": asdict(judge(record, findings)),
        "findings": [asdict(finding) for finding in ordered],
        "notes": _unseen(record),
        "to_try": chosen.rule if chosen else None,
    }
    if trial:
        from groundup.verbs.trials import try_remedy  # not at the top: it trains, and loads torch for that

        chosen = chosen or (ordered[0] if ordered else None)
        if chosen is None:
            return result | {"trial": {"tried": False, "why": "nothing was found that would need a remedy"}}
        opened = runs.Run.open(path)
        home = Path(out) if out is not None else None
        result["trial"] = try_remedy(opened, chosen, pairs=pairs, steps=steps, seed=seed, out=home, listen=listen)
    return result


def _unseen(record: Record) -> list[str]:
    """What the run does not have any more, and which rules therefore say nothing."""
    notes = []
    if record.corpus is None:
        notes.append(
            "the corpus it was trained on is not there: copied-validation, garbled-text and unused-vocabulary were not"
            " looked for"
        )
    if record.train and not record.from_start:
        notes.append(
            f"the figures begin at step {record.rows[0]['step']:,}: not-falling and still-falling were not looked for"
        )
    if record.movement is None and record.rows[-1]["step"] >= 100:
        notes.append("the checkpoint of step 0, or a later one, is not there: learning-rate-too-low was not looked for")
    return notes
