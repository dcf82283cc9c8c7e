"""What a rule found in a run: a sign, the figures it was read from, and what to change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from groundup.insight.diagnosis.record import Record

Severity = Literal["severe", "warning", "note"]
"""severe: the run does not do what it is for; warning: it costs quality or time; note: it could be more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that holds for a run."""

    rule: str
    """Its name, such as `learning-rate-too-high`."""
    severity: Severity
    evidence: str
    """The figures that it was read from, in words, with their steps."""
    remedy: str
    """What to change, with the option or setting."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The same figures for programs: losses in nats per token, steps, shares."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The remedy as settings, `optimizer.learning_rate` -> 0.006; empty where no setting is a remedy."""

    @property
    def can_be_tried(self) -> bool:
        """Whether short runs on the corpus as it is can show what the remedy does."""
        return bool(self.settings) and not any(key.startswith("data.") for key in self.settings)


@dataclass(frozen=True, slots=True)
class Sign:
    """What a rule returns where it holds: a finding that does not know its rule's name."""

    evidence: str
    remedy: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong with a run."""

    name: str
    severity: Severity
    reading: str | None
    """What the verdict calls a run for which this is the first rule that holds; None where it says nothing of the
    curve."""
    check: Callable[[Record], Sign | None]
    """Its docstring says when the rule holds, and why there."""

    def apply(self, record: Record) -> Finding | None:
        """The finding, where the rule holds."""
        sign = self.check(record)
        if sign is None:
            return None
        return Finding(self.name, self.severity, sign.evidence, sign.remedy, dict(sign.figures), dict(sign.settings))


def options(settings: Mapping[str, Any]) -> str:
    """`settings` as they are typed: `--set optimizer.learning_rate=0.006 --set ...`."""
    return " ".join(f"--set {key}={_written(value)}" for key, value in settings.items())


def _written(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
