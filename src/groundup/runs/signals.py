"""Stopping when asked: a signal sets a flag that long work polls; a second Ctrl-C quits at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from groundup.errors import EXIT_STOPPED, Stopped

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopRequest:
    """Whether a signal has asked for a stop."""

    def __init__(self) -> None:
        self.name: str | None = None

    def poll(self) -> None:
        """Raise Stopped once a signal has come; called between microbatches, evaluation batches and files."""
        if self.name:
            raise Stopped(f"stopped by {self.name}")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within it SIGINT, SIGTERM and SIGHUP only set a flag; a second Ctrl-C ends the process at once.

    In a thread that is not the main one, as in some notebooks, signals are left as they are.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, _frame: object) -> None:
        if request.name and number == signal.SIGINT:
            os._exit(EXIT_STOPPED)  # the last published checkpoint is intact, whatever was under way
        request.name = request.name or signal.Signals(number).name

    heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # `nohup` means it
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
