"""When a run was at which step: what its journal of events tells, as the figures themselves know no clock."""

from datetime import datetime
from pathlib import Path

import numpy as np

from groundup.runs import read_journal


class TrainingClock:
    """Seconds of training until a step; the time between a stop and the next start counts for nothing."""

    def __init__(self, run: Path) -> None:
        """Read the starts, saves and ends in events.jsonl of `run`; rows that make no sense are passed over."""
        self._steps, self._seconds = [], []
        began, before = None, 0.0
        for row in read_journal(run / "events.jsonl"):
            step, name = row.get("step"), row.get("event")
            if name not in ("started", "saved", "ended") or type(step) is not int or step < 0:
                continue
            try:
                now = datetime.fromisoformat(str(row.get("time"))).timestamp()
            except ValueError:
                continue
            if name == "started":
                before = self.seconds(step) or 0.0
                kept = sum(known < step for known in self._steps)
                self._steps, self._seconds, began = self._steps[:kept], self._seconds[:kept], now
                self._add(step, before)
            elif began is not None and now >= began:
                self._add(step, before + now - began)

    def seconds(self, step: float) -> float | None:
        """Seconds of training when `step` was done, between two known times in proportion; None after the last."""
        if not self._steps or step > self._steps[-1]:
            return None
        return float(np.interp(step, self._steps, self._seconds))

    def _add(self, step: int, seconds: float) -> None:
        if not self._steps or step > self._steps[-1]:
            self._steps.append(step)
            self._seconds.append(max(seconds, self._seconds[-1] if self._seconds else 0.0))
