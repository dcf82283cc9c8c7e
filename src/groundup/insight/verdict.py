"""One reading of a whole run, as an experienced eye would give it, derived from the rules of the diagnosis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundup.insight.diagnosis.finding import Finding
from groundup.insight.diagnosis.points import final, lowest
from groundup.insight.diagnosis.record import Record
from groundup.insight.diagnosis.rules import RULES, examine


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reading` is one of healthy, overfitting, underfitting, diverging, oscillating, too slow, plateau,
    copied validation, no validation, too short to tell; `evidence` quotes the figures, `advice` names the setting
    to change."""

    reading: str
    evidence: str
    advice: str


def read_curve(entries: Sequence[Mapping[str, Any]], bigram: float | None = None) -> Verdict:
    """Read the entries of metrics.jsonl (losses in nats per token); lines with a key "event" tell of spikes and of
    skipped updates. `bigram` is the loss of a bigram model on the same validation text, where it is known."""
    record = Record.of(entries, bigram)
    return judge(record, examine(record))


def judge(record: Record, findings: Sequence[Finding]) -> Verdict:
    """The reading of the first severe finding, else of the first that has one, with its evidence and remedy; healthy
    where none has."""
    readings = {rule.name: rule.reading for rule in RULES}
    severe = [finding for finding in findings if finding.severity == "severe"]
    for finding in [*severe, *findings]:
        if reading := readings.get(finding.rule):
            return Verdict(reading, finding.evidence, finding.remedy)
    train, val = record.train, record.validation
    (best_step, best), gap = lowest(val), val[-1][1] - final(train)
    evidence = (
        f"training loss fell from {train[0][1]:.2f} to {final(train):.2f} and validation "
        f"from {val[0][1]:.2f} to {val[-1][1]:.2f} ({abs(gap):.2f} {'above' if gap >= 0 else 'below'} training); "
        f"best {best:.2f} at step {best_step:,}"
    )
    advice = "nothing to repair in the curve; more documents and more --minutes may lower the loss further"
    return Verdict("healthy", evidence, advice)
