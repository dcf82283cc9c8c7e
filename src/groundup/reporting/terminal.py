"""What a terminal shows while groundup works: a live view where one can be drawn, plain lines elsewhere.

Everything goes to standard error, and nothing that happens to it (a closed pipe, a lost terminal)
reaches the work.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TextIO

from groundup.events import Event, Listener, Logged, Notice, Phase, Progress, Sampled, Saved
from groundup.reporting.progress import ProgressLog, plain_line
from groundup.reporting.wording import duration, shorten, size, whole

_QUIET_SECONDS = 5.0


class View(Protocol):
    """Draws events; `close` leaves the terminal as it was."""

    def on(self, event: Event) -> None: ...

    def close(self) -> None: ...


@contextmanager
def terminal_listener(run_log: Path | None = None, stream: TextIO | None = None) -> Iterator[Listener]:
    """A listener that draws on `stream` (standard error) and appends one line per entry to `run_log`.

    The live view needs a terminal; under NO_COLOR, CI or TERM=dumb, and in pipes and files, lines are plain.
    """
    out = SteadyStream(sys.stderr if stream is None else stream)
    log = ProgressLog(run_log) if run_log else None
    view: View = PlainView(out)
    if draws_live(out.isatty(), os.environ):
        from groundup.reporting.live import LiveView  # rich is not needed for plain lines

        with suppress(Exception):  # a terminal that rich cannot handle gets plain lines
            view = LiveView(out)

    def listen(event: Event) -> None:
        # a listener never changes the work: a fault in drawing costs a line on the screen, not a training run
        if log and isinstance(event, Logged):
            with suppress(Exception):
                log.write(plain_line(event))
        with suppress(Exception):
            view.on(event)

    try:
        yield listen
    finally:
        with suppress(Exception):
            view.close()


def draws_live(terminal: bool, environment: Mapping[str, str]) -> bool:
    """Whether a live view may be drawn (https://no-color.org; CI is set by every common CI service, RANK by torchrun:
    of several processes only the first draws)."""
    refused = environment.get("NO_COLOR") or environment.get("CI") or environment.get("TERM") in ("dumb", "")
    return terminal and not refused and environment.get("RANK", "0") == "0"


class SteadyStream:
    """A text stream whose failures are nobody's: after the first one it swallows everything."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError):
                self._stream = None
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()


class PlainView:
    """One line per event worth a line; a long phase reports at most every few seconds."""

    def __init__(self, out: SteadyStream, quiet_seconds: float = _QUIET_SECONDS) -> None:
        self._out = out
        self._quiet = quiet_seconds
        self._phase = Phase("")
        self._spoke = time.monotonic()
        self._pace = Pace()

    def on(self, event: Event) -> None:
        """Write the line of `event`, if it deserves one."""
        match event:
            case Progress():  # may come thousands of times per second
                self._pace.note(event.done)
                if time.monotonic() - self._spoke >= self._quiet:
                    self._line(progress_text(self._phase, event, self._pace.per_second(event.done)))
            case Phase():
                self._phase, self._pace = event, Pace()
                amount = f": {amount_text(event.total, event.unit)}" if event.total is not None else ""
                self._line(f"{shorten(event.name, 40)}{amount}")
            case Logged():
                self._line(plain_line(event))
            case Sampled():
                prompt, text = shorten(event.prompt, 40), shorten(event.text.strip(), 100)
                self._line(f"sample at step {whole(event.step)}: {prompt} → {text}")
            case Saved():
                self._line(f"saved {shorten(event.path, 200)} in {duration(event.seconds)}")
            case Notice():
                self._line(f"{'note' if event.level == 'info' else event.level}: {shorten(event.text, 2000)}")

    def close(self) -> None:
        """Nothing is held back."""

    def _line(self, text: str) -> None:
        self._spoke = time.monotonic()
        self._out.write(text + "\n")
        self._out.flush()


def amount_text(amount: Any, unit: str) -> str:
    """`212 files`, `1 file`, `4.2 MB`."""
    return size(amount) if unit == "bytes" else f"{whole(amount)} {unit_text(amount, unit)}".rstrip()


def unit_text(amount: Any, unit: str) -> str:
    """`unit`, a regular plural, as `amount` of it is called."""
    return unit.removesuffix("s") if amount == 1 else unit


class Pace:
    """The speed of a phase, counted from its first progress: a resumed training begins far from 0."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None

    def note(self, done: int) -> None:
        """`done` units are complete now."""
        if self.first is None:
            self.first = (done, time.monotonic())

    def per_second(self, done: int) -> float | None:
        """Units per second up to now; None until there is something to measure."""
        if self.first is None or done <= self.first[0]:
            return None
        seconds = time.monotonic() - self.first[1]
        return (done - self.first[0]) / seconds if seconds > 0.3 else None


def progress_text(phase: Phase, progress: Progress, speed: float | None) -> str:
    """`reading 72 of 212 files, 5.1/s, ETA 0:27, thesis.pdf`."""
    unit = phase.unit if phase.unit == "bytes" or not phase.total else ""
    parts = [f"{shorten(phase.name, 40)} {amount_text(progress.done, unit)}"]
    if phase.total:
        parts[0] += f" of {amount_text(phase.total, phase.unit)}"
    if speed:
        parts.append(f"{size(speed) if phase.unit == 'bytes' else f'{speed:,.3g}'}/s")
        if phase.total:
            parts.append(f"ETA {duration((phase.total - progress.done) / speed)}")
    if progress.note:
        parts.append(shorten(progress.note, 80))
    return ", ".join(parts)
