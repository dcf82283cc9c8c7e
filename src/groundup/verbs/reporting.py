"""`report`: a run's pictures and page made again."""

from pathlib import Path
from typing import Any

from groundup.errors import UserError
from groundup.reporting import write_report
from groundup.runs import Run, read_entries
from groundup.verbs.finishing import draw
from groundup.verbs.request import PathLike


def report(run: PathLike) -> Run:
    """Write training_curve.png, loss_by_epoch.png and report.html of a run, which may still be training, again."""
    opened = Run.open(Path(run))
    entries = _entries(opened)
    draw(opened, entries)
    write_report(opened.path)
    return opened


def _entries(run: Run) -> list[dict[str, Any]]:
    entries = read_entries(run.path)
    if not entries:
        raise UserError("the run has no figures yet", where=run.path, fix=f"`groundup resume {run.path}` continues it")
    return entries
