"""Stopping when asked, by a signal or by the clock: long work polls a flag; a second Ctrl-C quits at once, and so does
the process once the grace that a signal leaves is over."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from groundup.errors import EXIT_STOPPED, Stopped, UserError

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_DURATION = re.compile(r"(?=\d)(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


class StopRequest:
    """Whether a stop was asked for: by a signal, or because the time of `end_by` has come."""

    def __init__(self, grace: float | None = None) -> None:
        self.grace = grace
        """Seconds from the first signal on after which the process ends, whatever is under way; None waits for it."""
        self.room = 0.0
        """Seconds before `end_by` at which the stop begins: how long stopping takes."""
        self._name: str | None = None
        self._limit = ("", float("inf"))

    @property
    def name(self) -> str | None:
        """What asked for the stop: a signal's name, or that of the limit; None as long as nothing did."""
        why, deadline = self._limit
        if self._name is None and time.monotonic() + self.room >= deadline:
            self._name = why
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name

    @property
    def seconds_left(self) -> float:
        """Until the time of `end_by`; infinite without one."""
        return self._limit[1] - time.monotonic()

    def end_by(self, deadline: float, why: str) -> None:
        """Ask for a stop, named `why`, `room` seconds before `deadline`, a time.monotonic()."""
        self._limit = (why, deadline)

    def poll(self) -> None:
        """Raise Stopped once a stop was asked for; called between microbatches, evaluation batches and files."""
        if name := self.name:
            raise Stopped(f"stopped by {name}")


@contextmanager
def stop_on_signals(grace: float | None = None) -> Iterator[StopRequest]:
    """Within it SIGINT, SIGTERM and SIGHUP only set a flag; a second Ctrl-C ends the process at once, and so does the
    end of the `grace` seconds after the first signal, both with EXIT_STOPPED. A scheduler's repeated SIGTERM does not.

    In a thread that is not the main one, as in some notebooks, signals are left as they are.
    """
    request = StopRequest(grace)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    # a queue of this kind may be filled by a signal's handler, whatever the process is doing
    came, left = SimpleQueue[str | None](), threading.Event()
    asked = False

    def handle(number: int, _frame: object) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            os._exit(EXIT_STOPPED)  # the last published checkpoint is intact, whatever was under way
        asked = True
        request.name = request.name or signal.Signals(number).name
        came.put(signal.Signals(number).name)

    def watch() -> None:
        name = came.get()
        if name is None or request.grace is None or left.wait(request.grace):
            return
        print(
            f"groundup: stopped by {name}, and not done {request.grace:g} seconds later (training.grace): what was"
            " under way is given up; `groundup resume` continues from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        os._exit(EXIT_STOPPED)

    heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # `nohup` means it
    before = {number: signal.signal(number, handle) for number in heeded}
    watcher = threading.Thread(target=watch, name="grace", daemon=True)
    if grace is not None:
        watcher.start()
    try:
        yield request
    finally:
        left.set()
        came.put(None)
        for number, handler in before.items():
            signal.signal(number, handler)


def seconds_of(duration: str) -> float:
    """The seconds of `3h`, `1h30m`, `90s`. Raises UserError for anything else: plain numbers have no unit."""
    found = _DURATION.fullmatch(duration.strip().lower())
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    if (total := 3600 * hours + 60 * minutes + seconds) > 0:
        return total
    number = duration.strip()
    unit = bool(re.fullmatch(r"\d+(\.\d+)?", number)) and float(number) > 0
    raise UserError(
        f"{duration!r} has no unit" if unit else f"{duration!r} is no length of time",
        where="--stop-after",
        fix=f"write {number}m for minutes, {number}s for seconds, {number}h for hours"
        if unit
        else "write hours, minutes and seconds: 3h, 1h30m, 45m, 90s",
    )
