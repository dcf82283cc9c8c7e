"""Stopping in time: how long a stop takes is learned from what the run tells, and `--stop-after` is met by so much."""

import time
from pathlib import Path

from groundup.events import Event, Listener, Notice, Phase, Progress, Saved
from groundup.runs import StopRequest, read_journal

_LONGEST = 1e9  # seconds, of a save


class StopInTime:
    """Listens to a run and keeps `stop.room` at the time that a stop takes: the longest step so far, with what is done
    at a step, then the save that is under way and one more.

    At most half of the time that was left when training began is kept free, so that every process gets somewhere.
    """

    def __init__(self, stop: StopRequest, run: Path, tell: Listener) -> None:
        self._stop, self._tell = stop, tell
        rows = read_journal(run / "events.jsonl")
        saves = [row["seconds"] for row in rows if row.get("event") == "saved" and "seconds" in row]
        # anyone may have written the file: what is no length of time is left out, like a row that is none
        self._saving = max((float(x) for x in saves[-3:] if type(x) in (int, float) and 0 <= x < _LONGEST), default=0.0)
        self._step, self._most, self._warned = 0.0, float("inf"), False
        self._last: float | None = None  # when the step before was done

    def heed(self, event: Event) -> None:
        """Learn from `event`; warn, once, where saving takes longer than the grace that a signal leaves."""
        now = time.monotonic()
        if isinstance(event, Phase):
            self._last = now if event.name == "training" else None
            if event.name == "training":
                self._most = max(self._stop.seconds_left / 2, 0.0)
        elif isinstance(event, Progress) and self._last is not None:
            self._step, self._last = max(self._step, now - self._last), now
        elif isinstance(event, Saved):
            self._saving = max(self._saving, event.seconds)
            grace = self._stop.grace
            if grace is not None and event.seconds > grace and not self._warned:
                self._warned = True
                self._tell(
                    Notice(
                        f"saving took {event.seconds:.0f} seconds, more than training.grace ({grace:g}): a signal now"
                        " costs the steps since the last checkpoint; --set training.grace=SECONDS gives a stop more",
                        "warning",
                    )
                )
        else:
            return
        self._stop.room = min(self._step + 2 * self._saving, self._most)
