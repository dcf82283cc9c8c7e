"""The live view in a terminal: the phase at hand; in training the figures, a curve, a sample."""

import sys
import threading
import time
from typing import Any, TextIO, cast

from rich.cells import cell_len, chop_cells
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from groundup.events import Event, Logged, Notice, Phase, Progress, Sampled, Saved
from groundup.reporting.terminal import Pace, SteadyStream, amount_text, unit_text
from groundup.reporting.terminal_curve import sparkline
from groundup.reporting.wording import clean, duration, finite, number, rate, short, shorten, size, whole

_REFRESH_SECONDS = 0.25
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_LEVELS = {"info": ("·", "cyan"), "warning": ("!", "yellow"), "error": ("✗", "bold red")}


class LiveView:
    """Keeps the newest of everything and redraws it a few times per second from a thread of its own,
    so that events cost next to nothing and the clock moves while a single long step runs."""

    def __init__(self, out: SteadyStream, refresh_seconds: float = _REFRESH_SECONDS) -> None:
        self._out = out
        self._phase: Phase | None = None
        self._began = time.monotonic()
        self._progress = Progress(0)
        self._pace = Pace()
        self._logged: Logged | None = None
        self._logged_at = 0.0
        self._best: tuple[float, int] | None = None
        self._losses: list[float] = []
        self._sample: Sampled | None = None
        self._notice: Notice | None = None
        self._saved: Saved | None = None
        self._stop = threading.Event()
        self.console = Console(file=cast(TextIO, out), force_terminal=True, highlight=False, emoji=False)
        self._live = Live(
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # standard output belongs to results
            redirect_stderr=True,  # a library's warning goes above the view, not through it
            get_renderable=self.render,
        )
        self._live.start()
        self._ticker = threading.Thread(target=self._tick, args=(refresh_seconds,), daemon=True)
        self._ticker.start()

    def on(self, event: Event) -> None:
        """Take note of `event`; what must stay readable afterwards is printed above the view."""
        match event:
            case Progress():
                self._pace.note(event.done)
                self._progress = event
            case Phase():
                self._finish_phase()
                self._phase, self._progress, self._pace = event, Progress(0), Pace()
                self._began = time.monotonic()
            case Logged():
                self._take_entry(event)
            case Sampled():
                self._sample = event
            case Saved():
                self._saved = event
            case Notice():
                mark, style = _LEVELS.get(event.level, _LEVELS["info"])
                self._notice = event
                self.console.print(Text.assemble((f"{mark} ", style), clean(event.text)))

    def close(self) -> None:
        """Take the view away, give the cursor back."""
        self._stop.set()
        try:
            self._ticker.join(timeout=2)
            self._finish_phase(last=True)
        finally:
            self._live.stop()  # draws once more: without a phase nothing is left on the screen
            self._out.write("\x1b[?25h")
            self._out.flush()

    def render(self) -> RenderableType:
        """The view as it stands now."""
        if self._phase is None:
            return Text("")
        lines: list[RenderableType] = [self._bar()]
        if self._logged is not None:
            lines += self._figures()
        elif self._progress.note:
            lines.append(_one_line(f"  {clean(self._progress.note)}", "dim"))
        if self._sample is not None:
            lines.append(self._sample_line(self._sample))
        return Group(*lines)

    def _sample_line(self, sample: Sampled) -> Text:
        """The end of the prompt, in a third of the line, and the beginning of what was generated."""
        head = f"  at {whole(sample.step)}  "
        prompt = clean(sample.prompt)
        room = max((self.console.width - len(head) - 3) // 3, 1)
        if cell_len(prompt) > room:
            prompt = "…" + chop_cells(prompt[::-1], max(room - 1, 1))[0][::-1] if room > 1 else "…"
        return Text.assemble(
            (head, "dim"),
            (prompt, "bold"),
            (" → ", "dim"),
            shorten(sample.text.strip(), 400),
            no_wrap=True,
            overflow="ellipsis",
        )

    def _tick(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            try:
                self._live.refresh()
            except Exception:
                return  # a view that cannot be drawn is not drawn; the work goes on

    def _finish_phase(self, last: bool = False) -> None:
        if self._phase is None:
            return
        (done, total), unit = self._done_and_total(self._phase), self._phase.unit
        # A phase without a total that an error or Ctrl-C ended would look done.
        failed = last and sys.exc_info()[0] is not None
        complete = done >= total if total else not failed
        amount = f"  {amount_text(done, unit) if complete else _of(done, total or 0, unit)}" if done else ""
        took = duration(time.monotonic() - self._began)
        self.console.print(
            Text.assemble(
                ("✓ ", "green") if complete else ("– ", "yellow"),
                shorten(self._phase.name, 40),
                (" stopped" if last and not complete else "", "yellow"),
                (f"{amount}  {took}", "dim"),
            )
        )
        self._phase = None

    def _take_entry(self, event: Logged) -> None:
        self._logged, self._logged_at = event, time.monotonic()
        if finite(event.entry.get("train_loss")):
            self._losses.append(event.entry["train_loss"])
            if len(self._losses) > 4000:  # halve the resolution instead of growing for days
                self._losses = [sum(pair) / 2 for pair in zip(self._losses[::2], self._losses[1::2], strict=False)]
        loss = event.entry.get("val_loss")
        if loss is not None and finite(loss) and (self._best is None or loss < self._best[0]):
            self._best = (float(loss), int(event.entry.get("step", 0)))

    def _bar(self) -> RenderableType:
        phase = self._phase or Phase("")
        now = time.monotonic()
        seconds = now - self._began
        done, total = self._done_and_total(phase)
        head = Text.assemble((_SPIN[int(now * 8) % len(_SPIN)] + " ", "cyan"), (shorten(phase.name, 24), "bold"))
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1, min_width=4)
        grid.add_column(no_wrap=True, justify="right", overflow="ellipsis")
        speed = self._pace.per_second(done)
        pace = f"  {_speed(speed, phase.unit)}" if speed and phase.name != "training" else ""
        if not total:
            note = f"{amount_text(done, phase.unit)}{pace}  {duration(seconds)}" if done else duration(seconds)
            grid.add_row(head, "", Text(note, style="dim"))
            return grid
        share = min(1.0, done / total)
        tail = f"{share:4.0%}  {_of(done, total, phase.unit)}{pace}"
        tail += f"  ETA {duration(self._training_eta(now) or ((total - done) / speed if speed else None))}"
        grid.add_row(head, ProgressBar(total=1.0, completed=share, complete_style="cyan"), tail)
        return grid

    def _done_and_total(self, phase: Phase) -> tuple[int, int | None]:
        done, total = self._progress.done, phase.total
        if self._logged is not None and phase.name == "training":
            done = max(done, int(self._logged.entry.get("step", 0)))
            total = self._logged.total_steps or total  # the run's length may have been corrected since the phase began
        return done, total

    def _training_eta(self, now: float) -> float | None:
        if self._phase is None or self._phase.name != "training" or self._logged is None:
            return None
        eta = self._logged.rates.get("eta_seconds")
        return max(0.0, eta - (now - self._logged_at)) if eta is not None and finite(eta) else None

    def _figures(self) -> list[RenderableType]:
        entry: Any = self._logged.entry if self._logged else {}
        rates: Any = self._logged.rates if self._logged else {}
        pairs = [("loss", number(entry.get("train_loss")), "bold blue")]
        if self._best:
            pairs.append(("best validation", f"{self._best[0]:.3f} at {self._best[1]:,}", "bold red"))
        pairs += [
            ("lr", rate(entry.get("learning_rate")), ""),
            ("tok/s", short(rates.get("tokens_per_second")), ""),
            ("tokens", short(entry.get("tokens")), ""),
            ("time", duration(rates.get("seconds")), ""),
        ]
        if self._saved:
            pairs.append(("saved", f"step {self._saved.step:,}", ""))
        figures = Text("  ", no_wrap=True, overflow="ellipsis")
        for label, value, style in pairs:
            figures.append(f"{label} ", style="dim").append(f"{value}   ", style=style)
        width = max(1, min(self.console.width - 4, 76))
        return [figures, _one_line(f"  {sparkline(self._losses, width)}", "blue")]


def _one_line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _of(done: int, total: int, unit: str) -> str:
    return (
        f"{size(done)} of {size(total)}"
        if unit == "bytes"
        else f"{whole(done)}/{whole(total)} {unit_text(total, unit)}".rstrip()
    )


def _speed(speed: float, unit: str) -> str:
    return f"{size(speed)}/s" if unit == "bytes" else f"{speed:,.3g}/s"
