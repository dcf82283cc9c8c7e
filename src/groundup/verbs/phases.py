"""The clock of a run's phases: how long it read, learned its tokenizer, trained, scored and reported."""

import time

from groundup.events import Event, Phase
from groundup.runs import Run


class PhaseClock:
    """Seconds spent in each phase, by name, those of the processes before included."""

    def __init__(self, run: Run, began: float) -> None:
        """`began` is the time.monotonic() at which this process began to work on `run`."""
        self._seconds: dict[str, float] = dict(run.info.get("phase_seconds", {}))
        self._name, self._since = "starting", began

    def heed(self, event: Event) -> None:
        """Notice where a phase begins, and so the one before ends."""
        if isinstance(event, Phase):
            self._turn(event.name)

    def seconds(self) -> dict[str, float]:
        """So far; for run.json."""
        self._turn(self._name)
        return {name: round(seconds, 3) for name, seconds in self._seconds.items()}

    def _turn(self, name: str) -> None:
        now = time.monotonic()
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now
