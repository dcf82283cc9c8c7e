"""One plain line per logged entry, for progress.log and for terminals that cannot draw."""

from collections import deque
from pathlib import Path

from groundup.events import Logged
from groundup.reporting.wording import duration, number, rate, short, whole


def plain_line(logged: Logged) -> str:
    """Step, share done, training loss, perplexity, learning rate, gradient norm, tokens (this run, in all),
    tokens per second, elapsed and remaining time; validation loss where it was measured."""
    entry, rates = logged.entry, logged.rates
    step, total = entry.get("step", 0), logged.total_steps
    share = f"{100 * step / total:.1f}%" if total else "–"
    parts = [
        f"step {whole(step)}/{whole(total)} ({share})",
        f"loss {number(entry.get('train_loss'))}",
        f"ppl {number(entry.get('train_perplexity'), 1)}",
        f"lr {rate(entry.get('learning_rate'))}",
        f"grad {number(entry.get('grad_norm'), 2)}",
        f"tokens {whole(rates.get('tokens_this_run'))} (in all {whole(entry.get('tokens'))})",
        f"{short(rates.get('tokens_per_second'))} tok/s",
        f"time {duration(rates.get('seconds'))}",
        f"ETA {duration(rates.get('eta_seconds'))}",
    ]
    if entry.get("val_loss") is not None:
        parts.insert(2, f"val {number(entry['val_loss'])}")
    return "  ".join(parts)


class ProgressLog:
    """Appends lines to progress.log; a full disk or a vanished directory never stops the work.

    The run directory appears only when training accepts it, so lines are held back until it exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: deque[str] = deque(maxlen=1000)

    def write(self, line: str) -> None:
        """Append `line`, and whatever was held back before it."""
        self._held.append(line)
        try:
            if self.path.parent.is_dir():
                with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write("".join(f"{held}\n" for held in self._held))
                self._held.clear()
        except OSError:
            return
