"""How long the run is: fixed, or under `--minutes` corrected while training so that the clock is met.

A correction is written to run.json before it takes effect, and resuming repeats it; the schedule re-stretches over
what remains (`schedules.multiplier`), so the run always ends with its rates at their minimum.
"""

import time
from collections import deque
from collections.abc import Callable

CORRECTIONS = 16  # at most: after each sixteenth of the run
RECENT = 5  # marks over which the pace is taken: long enough to hold an evaluation, short enough to follow the machine
TOLERANCE = 0.01  # share of the run by which the clock must disagree before the length is changed


class Horizon:
    """The run's length: `entries` lists (from_step, total_steps), the last of which holds; a correction makes it no
    longer than `most`.

    Several processes `agree` on what one of them measured; all need a deadline for that, or none.
    """

    def __init__(
        self,
        entries: list[tuple[int, int]],
        *,
        deadline: float | None = None,
        most: int | None = None,
        save: Callable[[list[tuple[int, int]]], None] = lambda _: None,
        agree: Callable[[int], int] = lambda total: total,
    ) -> None:
        self.entries, self._deadline, self._most, self._save, self._agree = entries, deadline, most, save, agree
        self._marks: deque[tuple[int, float]] = deque(maxlen=RECENT)
        self._next = 0

    @property
    def total(self) -> int:
        """Steps in all, as known now."""
        return self.entries[-1][1]

    def correct(self, step: int) -> None:
        """Adjust the length to the deadline (in seconds of time.monotonic) by the recent pace, evaluations included."""
        if self._deadline is None or step < self._next or step >= self.total:
            return
        now = time.monotonic()
        self._next = step + max(1, self.total // CORRECTIONS)
        total = self.total
        if self._marks and now > self._marks[0][1]:  # a coarse clock may stand still for a step
            first_step, first_time = self._marks[0]
            pace = (now - first_time) / (step - first_step)
            total = step + max(1, int((self._deadline - now) / pace))
            total = min(total, self._most or total)
        total = self._agree(total)
        if abs(total - self.total) > TOLERANCE * self.total:
            self.entries.append((step, total))
            self._save(self.entries)
        self._marks.append((step, now))
