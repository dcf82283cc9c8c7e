"""What finished runs say: the table, significance, and the line that predicts the loss of others."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from groundup.errors import UserError
from groundup.planning import prediction


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """The finished runs of a list."""
    file = folder / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def table_of(rows: Sequence[Mapping[str, Any]], markdown: bool) -> str:
    """Mean and deviation over seeds of each entry, beside the baseline of the same corpus, width and budget: the entry
    whose name begins with that word."""
    head = ("corpus", "width", "recipe", "bits per byte", "seeds", "to baseline", "t", "steps", "MB seen", "CPU s")
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["corpus"], row["width"], row["entry"]), []).append(row)
    lines = []
    best_first = sorted(groups.items(), key=lambda item: (*item[0][:2], fmean(_bits(item[1]) or [math.inf])))
    for (corpus, width, entry), group in best_first:
        bits, t, base = _bits(group), "", []
        if not entry.startswith("baseline"):
            alike = (corpus, width, group[0].get("cpu_budget"))
            bases = [row for row in rows if (row["corpus"], row["width"], row.get("cpu_budget")) == alike]
            base = _bits([row for row in bases if row["entry"].startswith("baseline")])
        if bits and base:
            value = welch(bits, base)
            t = f"{value[0]:+.1f} (df {value[1]:.0f})" if value else ""
        deviation = f" ± {stdev(bits):.4f}" if len(bits) > 1 else ""
        lines.append(
            (
                corpus,
                str(width),
                entry,
                f"{fmean(bits):.4f}{deviation}" if bits else "not finite",
                str(len(bits)),
                f"{fmean(bits) - fmean(base):+.4f}" if bits and base else "",
                t,
                f"{median(row['steps'] for row in group):,.0f}",
                f"{median(row['tokens'] * row['bytes_per_token'] for row in group) / 1e6:.1f}",
                f"{median(row['cpu_seconds'] for row in group):.0f}",
            )
        )
    if markdown:
        ruled = [head, tuple("---" for _ in head), *lines]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in ruled) if lines else "*No results yet.*"
    widths = [max(len(cells[n]) for cells in [head, *lines]) for n in range(len(head))]
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in [head, *lines])


def fit_of(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """The fit for planning/prediction.py, and how it would have predicted each run from those of other texts."""
    fitted, inside, told = prediction.fit_runs(rows, name), 0, []
    for row in rows:
        others = [other for other in rows if other["corpus"] != row["corpus"]]
        seen, weights, epochs, steps = prediction.figures_of(row)
        facts = {"bytes_seen": seen, "parameters": int(weights), "epochs": epochs, "steps": int(steps)}
        try:
            fit = prediction.fit_runs(others, name)
            found = prediction.predict(fit, **facts, baseline=row["baselines"].get(prediction.BASELINE))
        except UserError as error:
            found = f"of the others, {error.what}"
        bits = row["bits_per_byte"]
        what = f"# {row['corpus']}, {row['entry']}, {weights:,.0f} weights, {steps:,} updates: {bits:.3f}"
        if isinstance(found, str):
            told.append(f"{what}; no prediction: {found}")
            continue
        inside += (hit := found.low <= bits <= found.high)
        interval = f"{found.bits_per_byte:.3f} ({found.low:.3f} to {found.high:.3f})"
        told.append(f"{what}; {interval}{'' if hit else ' missed'}")
    predicted = sum("no prediction" not in line for line in told)
    told.append(f"# {inside} of {predicted} runs inside the interval of the other texts, {len(rows)} runs in all")
    return "\n".join([*told, f"FITTED = {fitted!r}"])


def welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """Welch's t of the means of `a` and `b` and its degrees of freedom (Welch 1947); None where it has no meaning."""
    if len(a) < 2 or len(b) < 2:
        return None
    va, vb = stdev(a) ** 2 / len(a), stdev(b) ** 2 / len(b)
    if va + vb == 0:
        return None
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return (fmean(a) - fmean(b)) / math.sqrt(va + vb), freedom


def _bits(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    return [row["bits_per_byte"] for row in rows if row["bits_per_byte"] is not None]


def same(run: Mapping[str, Any], row: Mapping[str, Any], but_seed: bool = False) -> bool:
    """Whether a finished run is the one asked for. Its name may have changed: what was run is in its settings."""
    keys = ("corpus", "cpu_budget", "settings") + (() if but_seed else ("seed",))
    return run.get("variant", "") == row.get("variant", "") and all(run[key] == row[key] for key in keys)


def label(run: Mapping[str, Any]) -> str:
    return f"{run['entry']}, {run['width']} wide, {run['corpus']}, seed {run['seed']}"
