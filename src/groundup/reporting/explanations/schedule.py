"""`explain schedule` for a terminal: the rate drawn over the updates, and its values at named ones."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import columns, table
from groundup.reporting.wording import number, percent, rate, whole

_WIDTH, _HEIGHT = 64, 8


def show_schedule(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_schedule`."""
    curve, updates = result["curve"], result["updates"]
    share = [curve[round(i * (len(curve) - 1) / (_WIDTH - 1))]["multiplier"] for i in range(_WIDTH)]
    lines = columns(share, _HEIGHT, 1.0)
    labels = {0: percent(1), _HEIGHT // 2: percent(0.5), _HEIGHT - 1: percent(0)}
    drawn = [f"{labels.get(row, ''):>5} │{line}" for row, line in enumerate(lines)]
    end = whole(updates - 1)
    drawn += [f"{'':>5} └{'─' * _WIDTH}", f"{'':>7}0{'update':^{_WIDTH - 1 - len(end)}}{end}"]
    parts = list(result["peaks"])
    rows = table("update", "", "of peak", *parts, right=("update", "of peak", *parts))
    for row in result["named"]:
        rates = (rate(row["rates"][part]) for part in parts)
        rows.add_row(whole(row["update"]), row["name"], f"{100 * row['multiplier']:.1f}%", *rates)
    return Group(_head(result), "", *drawn, "", rows, "", *_notes(result))


def _head(result: Mapping[str, Any]) -> str:
    shapes = {
        "wsd": f"warmup, stable, decay: linear over the last {percent(result['decay'])}"
        if result["decay"]
        else "warmup, then stable",
        "cosine": "warmup, then half a wave of the cosine",
        "linear": "warmup, then a straight line down",
        "constant": "warmup, then always the peak",
    }
    of = "the default schedule, over an example of" if result["example"] else "this run's schedule, over"
    lowest = (
        "" if result["minimum"] is None or result["decay"] == 0 else f", to {percent(result['minimum'])} of the peak"
    )
    return f"{of} {whole(result['updates'])} updates\n{result['shape']} ({shapes[result['shape']]}{lowest})"


def _notes(result: Mapping[str, Any]) -> list[str]:
    notes = [
        "The learning rate multiplies every update of the weights. It begins small, while the optimizer's averages "
        "are still taken over few gradients; it is large where the way is long, and falls at the end, where large "
        "steps would only jump about the lowest point. It is a function of the number of the update alone, so a run "
        "that is resumed goes on with the same rates."
    ]
    if len(result["horizon"]) > 1:
        notes.append(
            f"\nThe length of this run was corrected {whole(len(result['horizon']) - 1)} times to meet its minutes; "
            "each time the rest of the curve was stretched over the updates that remained."
        )
    if recorded := result["recorded"]:
        difference = recorded["largest_difference"]
        notes.append(
            f"\nThe {whole(recorded['entries'])} rates that the run recorded, up to update "
            f"{whole(recorded['updates'])}, "
            + ("are exactly these." if difference == 0 else f"differ from these by at most {number(difference, 12)}.")
        )
    return notes
