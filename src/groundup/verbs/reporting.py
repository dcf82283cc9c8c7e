"""`report` and `compare`: a run's pictures and page made again, and several runs beside each other."""

from pathlib import Path
from typing import Any

from groundup.errors import UserError
from groundup.reporting import draw_comparison, write_report
from groundup.runs import Run, read_entries
from groundup.verbs.finishing import draw
from groundup.verbs.request import PathLike, Paths, as_paths


def report(run: PathLike) -> Run:
    """Write training_curve.png, loss_by_epoch.png and report.html of a run, which may still be training, again."""
    opened = Run.open(Path(run))
    entries = _entries(opened)
    draw(opened, entries)
    write_report(opened.path)
    return opened


def compare(runs: Paths, *, picture: PathLike) -> dict[str, Any]:
    """Settings that differ and final figures of two or more runs; their curves are drawn into `picture`.

    Returns `settings` (key -> value in each run), `runs` (figures of each), `note` and `picture`.
    Raises UserError for fewer than two runs, and for one that has not trained yet.
    """
    runs, picture = as_paths(runs), Path(picture)
    if len({path.resolve() for path in runs}) < max(2, len(runs)):
        raise UserError("comparing needs two different runs or more", fix="groundup compare RUN RUN...")
    opened = [Run.open(path) for path in runs]
    values = [run.config().values() if (run.path / "config.toml").is_file() else {} for run in opened]
    keys = sorted({key for row in values for key in row})
    settings = {
        key: [row.get(key) for row in values] for key in keys if len({repr(row.get(key)) for row in values}) > 1
    }
    curves = {str(path): _entries(run) for path, run in zip(runs, opened, strict=True)}
    figures = [_figures(name, run, curves[name]) for name, run in zip(curves, opened, strict=True)]
    best = min(
        figures,
        key=lambda row: row["val_bits_per_byte"] if row["val_bits_per_byte"] is not None else float("inf"),
    )
    corpora = {run.info.get("corpus", {}).get("fingerprint") for run in opened}
    note = f"lowest validation bits per byte: {best['run']}"
    if len(corpora) > 1:
        note += "; the runs have different corpora or splits, so their validation figures are of different texts"
    else:
        note += "; one run each: a difference may be the luck of a seed"
    try:
        draw_comparison(curves, picture)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}", where=picture, fix="give another --out"
        ) from None
    return {"settings": settings, "runs": figures, "note": note, "picture": str(picture)}


def _entries(run: Run) -> list[dict[str, Any]]:
    entries = read_entries(run.path)
    if not entries:
        raise UserError("the run has no figures yet", where=run.path, fix=f"`groundup resume {run.path}` continues it")
    return entries


def _figures(name: str, run: Run, entries: list[dict[str, Any]]) -> dict[str, Any]:
    evaluated = [entry for entry in entries if entry["val_loss"] is not None]
    best = min(evaluated, key=lambda entry: entry["val_loss"], default=None)
    return {
        "run": name,
        "parameters": run.info.get("plan", {}).get("parameters"),
        "steps": entries[-1]["step"],
        "tokens": entries[-1]["tokens"],
        "minutes": run.info.get("actual", {}).get("minutes"),
        "train_loss": entries[-1]["train_loss"],
        "val_loss": best["val_loss"] if best else None,
        "val_perplexity": best["val_perplexity"] if best else None,
        "val_accuracy": best["val_accuracy"] if best else None,
        "val_bits_per_byte": best["val_bits_per_byte"] if best else None,
        "best_step": best["step"] if best else None,
    }
