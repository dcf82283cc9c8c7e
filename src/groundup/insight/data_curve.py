"""What the runs of a data curve say: the best of each part, those that diverged, the fit, and its limits in words."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from groundup.insight.scaling import SAME, ScalingFit, fit_scaling

_DIVERGED = {
    "not finite": "its numbers were not finite, many steps in a row",
    "spikes": "its loss or gradient spiked more often than health.rewind allows",
}


def diverged(row: Mapping[str, Any]) -> bool:
    """Whether a run ended because its numbers did not stay finite, or spiked: no point of a curve."""
    return row["ended"] in _DIVERGED


def read_runs(rows: Sequence[Mapping[str, Any]], settled: Mapping[str, tuple[int, bool]], whole: int) -> dict[str, Any]:
    """Of all runs (rows of points.jsonl) `runs`, the best of each part and seed, `points`, their means, and `diverged`;
    the `fit` of those at their best, with `whole` bytes as the text that there is, or `no_fit`; and `notes`.

    `settled` holds, for each share with a run, the steps that were best, and whether other lengths gain nothing.
    """
    good = [row for row in rows if not diverged(row)]
    lost = [_facts(row) for row in rows if diverged(row)]
    kept = []
    for share, (_, at_best) in settled.items():
        own = [row for row in good if row["share"] == share]
        for seed in sorted({row["seed"] for row in own}):
            best = min((row for row in own if row["seed"] == seed), key=lambda row: row["bits_per_byte"])
            kept.append({**_facts(best), "at_best": at_best})
    ready = [row for row in kept if row["at_best"]]
    fit = fit_scaling([row["bytes"] for row in ready], [row["bits_per_byte"] for row in ready], whole=whole)
    no_fit = fit if isinstance(fit, str) else None
    if no_fit and len(ready) < len(kept):
        no_fit = f"of the parts trained to their best, {no_fit}"
    return {
        "points": _means(kept),
        "runs": kept,
        "diverged": lost,
        "fit": fit.to_json() if isinstance(fit, ScalingFit) else None,
        "no_fit": no_fit,
        "notes": _notes(kept, lost, fit if isinstance(fit, ScalingFit) else None),
    }


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "event"}


def _notes(kept: Sequence[Mapping[str, Any]], lost: Sequence[Mapping[str, Any]], fit: ScalingFit | None) -> list[str]:
    notes = [
        f"{row['share']}: the run of {row['steps']} steps with seed {row['seed']} diverged after step"
        f" {row['last_step']} ({_DIVERGED[row['ended']]}) and is no point"
        for row in lost
    ]
    if lost:
        notes.append("a lower --set optimizer.learning_rate may keep such runs finite; it needs another --out")
    broken = {row["share"] for row in lost}
    late = list(dict.fromkeys(row["share"] for row in kept if not row["at_best"]))
    if hasty := [share for share in late if share not in broken]:
        notes.append(
            f"{', '.join(hasty)}: runs of another length may still gain; time was the limit there, not the text"
            " (--minutes)"
        )
    ready = [row for row in kept if row["at_best"]]
    if fit and late:
        beyond = ", and goes on beyond them" if fit.whole > SAME * max(row["bytes"] for row in ready) else ""
        notes.append(f"the fit is of the other parts{beyond}")
    ends = [row["bits_per_byte"] for row in ready if row["share"] == "all"]
    if fit and ends and abs(off := fmean(ends) - fit.now.value) > fit.deviation:
        notes.append(
            f"on all of the text the loss is {abs(off):.3f} bits per byte {'below' if off < 0 else 'above'} the fit,"
            " more than the points scatter by: they do not follow the form well, and its answer is rough"
        )
    return notes


def _means(kept: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each share: means over its seeds."""
    rows = []
    for share in dict.fromkeys(row["share"] for row in kept):
        group = [row for row in kept if row["share"] == share]
        bits = [row["bits_per_byte"] for row in group]
        rows.append(
            {
                "share": share,
                "documents": round(fmean(row["documents"] for row in group)),
                "bytes": round(fmean(row["bytes"] for row in group)),
                "tokens": round(fmean(row["tokens"] for row in group)),
                "seeds": len(group),
                "bits_per_byte": fmean(bits),
                "lowest": min(bits),
                "highest": max(bits),
                "epochs": fmean(row["epochs"] for row in group),
                "dropout": group[0]["dropout"],
                "at_best": group[0]["at_best"],
            }
        )
    return rows
