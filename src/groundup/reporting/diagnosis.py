"""What `groundup diagnose` found, as text for a terminal, with or without color."""

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.reporting.wording import clean, number, whole

MARKS = {"severe": "✗", "warning": "!", "note": "·"}


def describe_diagnosis(found: Mapping[str, Any], width: int = 80) -> str:
    """The verdict, every finding with its evidence and remedy, and what a trial of the first remedy showed."""
    verdict = found["verdict"]
    lines = [
        f"Run {clean(found['run'])}: {clean(found['status'] or 'of unknown status')}, {whole(found['steps'])} steps"
    ]
    lines += ["", f"Verdict: {clean(verdict['reading'])}"]
    run = shlex.quote(str(found["run"]))
    if not found["findings"]:
        lines += [*_wrap(verdict["evidence"], width), "", "No rule of the diagnosis holds: nothing to repair."]
    for finding in found["findings"]:
        lines += ["", *finding_lines(finding, run, width)]
    for note in found["notes"]:
        lines += ["", *_wrap(f"note: {note}", width, first="", rest="  ")]
    if "trial" in found:
        lines += ["", *_trial(found["trial"], width)]
    elif rule := found["to_try"]:
        remedy = "the first remedy" if rule == found["findings"][0]["rule"] else f"the remedy of {rule}"
        lines += ["", f"Next: train briefly with {remedy} and without", f"  groundup diagnose {run} --try"]
    return "\n".join(lines)


def finding_lines(finding: Mapping[str, Any], run: str, width: int) -> list[str]:
    """One finding: its name and severity, what it was read from, what to change."""
    mark = MARKS.get(str(finding.get("severity")), "·")
    rule, severity = clean(finding.get("rule", "")), clean(finding.get("severity", ""))
    remedy = str(finding.get("remedy", "")).replace(" RUN", f" {run}")
    return [
        f"{mark} {rule} ({severity})",
        *_wrap(finding.get("evidence", ""), width),
        *_wrap(remedy, width, first="  → ", rest="    "),
    ]


def _trial(trial: Mapping[str, Any], width: int) -> Sequence[str]:
    if not trial["tried"]:
        return ["Trial", *_wrap(f"not done: {trial['why']}", width)]
    settings = " ".join(f"--set {key}={value}" for key, value in trial["settings"].items())
    origin = f"step {whole(trial['from_step'])}" if trial["from_step"] else "the beginning"
    lines = ["Trial", *_wrap(f"{settings}, from {origin}, {whole(trial['steps'])} steps; {trial['measure']}", width)]
    lines.append(f"    {'seed':>12}  {'without':>9}  {'with':>9}")
    lines += [f"    {row['seed']:>12}  {_loss(row['without']):>9}  {_loss(row['with']):>9}" for row in trial["pairs"]]
    return [*lines, *_wrap(trial_sentence(trial), width)]


def trial_sentence(trial: Mapping[str, Any]) -> str:
    """What the pairs say, with the uncertainty."""
    pairs = len(trial["pairs"])
    if trial["difference"] is None:
        counts = f"{trial['lost_without']} of {pairs} runs without it, {trial['lost_with']} of {pairs} with it"
        answer = {True: "it helps", False: "it harms", None: "this does not tell whether it helps"}[trial["helped"]]
        return f"the numbers were not finite in {counts}: {answer}"
    low, high = number(trial["low"]), number(trial["high"])
    figures = f"{trial['difference']:+.3f} nats per token (95% interval {low} to {high}, {pairs} pairs)"
    answer = {
        True: "it helps",
        False: "it harms",
        None: "no difference can be told from chance; more --pairs or --steps would",
    }[trial["helped"]]
    return f"{figures}: {answer}"


def _loss(value: float | None) -> str:
    return "not finite" if value is None else number(value)


def _wrap(text: object, width: int, first: str = "  ", rest: str = "  ") -> list[str]:
    return textwrap.wrap(
        clean(text), max(width, 24), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
