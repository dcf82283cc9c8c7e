"""The severe rules, applied to a run while it trains.

Numbers that are not finite need none: training tells of each update that it skips, and ends after several.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from groundup.insight.diagnosis import stability
from groundup.insight.diagnosis.finding import Finding, Rule
from groundup.insight.diagnosis.progress import stuck
from groundup.insight.diagnosis.record import Record

SEVERE = (
    Rule("diverging", "severe", "diverging", stability.diverging),
    Rule("not-falling", "severe", "too slow", stuck),
)
_OFTEN = 1.05  # entries grow by this factor between two looks: a run of any length is looked at a few hundred times


class Watch:
    """Warns once of each severe sign.

    `entries` are those that the run has already, `settings` its resolved configuration, total steps come with each
    entry.
    """

    def __init__(self, entries: Iterable[Mapping[str, Any]] = (), settings: Mapping[str, Any] | None = None) -> None:
        self._rows = list(entries)
        self.settings = dict(settings or {})
        self._told: set[str] = set()
        self._next = 0

    def heed(self, entry: Mapping[str, Any], total_steps: int) -> list[Finding]:
        """What is to be told of now, after another entry of the metrics; of each sign once."""
        while self._rows and self._rows[-1]["step"] >= entry["step"]:  # a run may have gone back
            self._rows.pop()
        self._rows.append(entry)
        if len(self._rows) < self._next:
            return []
        self._next = int(len(self._rows) * _OFTEN) + 1
        record = Record.of(self._rows)
        record.settings, record.facts = self.settings, {"plan": {"steps": total_steps}}
        for rule in SEVERE:
            if finding := rule.apply(record):  # a run that diverges does not fall, either: that is no sign of its own
                known = rule.name in self._told
                self._told.add(rule.name)
                return [] if known else [finding]
        return []
