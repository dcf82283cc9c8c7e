"""A run's curve and what it shows, on one screen of characters."""

import textwrap
from pathlib import Path

from groundup.reporting.run_files import read_run
from groundup.reporting.summary import status_text
from groundup.reporting.terminal_curve import terminal_curve
from groundup.reporting.wording import clean, number, shorten, whole

_FEWEST_ROWS = 10


def describe_curve(run: Path, *, width: int = 80, height: int = 24, color: bool = False, unicode: bool = True) -> str:
    """Name and state of the run, the loss curve, the best validation loss and a reading of the curve, in about `height`
    lines of `width` columns. What is missing is left out; the run may still be training."""
    files = read_run(run)
    below: list[str] = []
    if val := files.losses("val_loss"):
        best = next((e for e in files.entries if e.get("step") == val["best_step"]), {})
        bits = f" ({number(best.get('val_bits_per_byte'))} bits per byte)"
        sample = ", of a sample of the held-out text" if files.validation_sample() else ""
        below.append(f"validation: best {number(val['best'])}{bits} at step {whole(val['best_step'])}{sample}")
    if verdict := files.verdict():
        said = f"{clean(verdict.reading)}: {clean(verdict.evidence)}"
        below += textwrap.wrap(said, max(width, 24), subsequent_indent="  ", break_on_hyphens=False)
    curve = terminal_curve(
        files.entries, width, max(height - len(below) - 2, _FEWEST_ROWS), color=color, unicode=unicode
    )
    text = "\n".join([shorten(f"{run}  {status_text(files)}", max(width, 24)), curve, *below])
    return text if unicode else text.translate(_PLAIN).encode("ascii", "replace").decode()


_PLAIN = str.maketrans({"…": "~", "–": "-", "±": "+", "→": ">"})
