"""Results of the cost benchmark: tables for the terminal and a picture of seconds per token."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from groundup.reporting.curves import BLUE, FAINT, PAPER, RED, save_png
from groundup.reporting.tables import render
from groundup.reporting.wording import clean, duration, number, percent, short, whole

_AXES = {"size": ("parameters", "weights"), "context": ("context", "context (tokens)"), "batch": ("batch", "sequences")}


def describe_cost(result: Mapping[str, Any]) -> str:
    """What `groundup benchmark cost` found: a table for each line, the fit, and the start-up times."""
    parts = [_line(line) for line in result["lines"]]
    if fit := result["fit"]:
        parts.append(
            f"fitted to all: {percent(fit['efficiency'])} of the peak and {_time(fit['step_seconds'])} a step;"
            f" half of the points lie within {percent(fit['error'])} of that"
        )
    table = Table("start-up", "seconds", "", box=None, pad_edge=False, header_style="bold")
    for row in result["starts"]:
        taken = row["seconds"]
        table.add_row(
            row["name"], number(taken["median"], 2), f"({number(taken['min'], 2)} to {number(taken['max'], 2)})"
        )
    settings, machine, load = result["settings"], result["machine"], result["load"]
    parts.append(render(table))
    parts.append(
        f"{settings['contestant']}, {settings['threads']} thread{'s' * (settings['threads'] > 1)},"
        f" {settings['rounds']} rounds of {number(settings['seconds'], 1)} s, medians (least to greatest)\n"
        f"{clean(machine['processor'])}, {machine['cores']} cores, torch {machine['versions']['torch']};"
        f" load {number(load['before'][0], 1)} before, {number(load['after'][0], 1)} after;"
        f" {duration(result['seconds'])} in all"
    )
    return "\n\n".join(parts)


def _line(line: Mapping[str, Any]) -> str:
    table = Table(f"by {line['line']}", box=None, pad_edge=False, header_style="bold")
    for title in ("weights", "tokens a step", "FLOPs a token", "a token takes", "", "at the peak", "share", "fitted"):
        table.add_column(title, justify="right")
    for point in line["points"]:
        if "seconds_per_token" not in point:
            continue
        taken = point["seconds_per_token"]
        table.add_row(
            point["label"],
            whole(point["parameters"]),
            whole(point["batch"] * point["context"]),
            short(point["flops_per_token"]),
            _time(taken["median"]),
            f"({_time(taken['min'])} to {_time(taken['max'])})",
            _time(point["peak_seconds"]),
            percent(point["peak_seconds"] / taken["median"]),
            _time(point["fitted_seconds"]) if "fitted_seconds" in point else "–",
        )
    missing = [
        f"{point['label']} {point['status']}: {clean(point['reason'])}"
        for point in line["points"]
        if "seconds_per_token" not in point
    ]
    return "\n".join([render(table), *missing])


def _time(seconds: float) -> str:
    return f"{number(seconds * 1e6, 1)} µs" if seconds < 1e-3 else f"{number(seconds * 1e3, 2)} ms"


def draw_cost(result: Mapping[str, Any], path: Path) -> None:
    """Write a picture of the lines to `path`: measured, fitted, and at the machine's peak."""
    save_png(cost_figure(result), path)


def cost_figure(result: Mapping[str, Any]) -> Figure:
    """One panel for each line, both axes logarithmic; what was not measured has no point."""
    lines = result["lines"]
    figure = Figure(figsize=(1.5 + 3.6 * len(lines), 4.2), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(lines), squeeze=False, sharey=True)[0]
    for axes, line in zip(grid, lines, strict=True):
        key, label = _AXES.get(line["line"], ("parameters", "weights"))
        points = sorted((p for p in line["points"] if "seconds_per_token" in p), key=lambda point: point[key])
        if not points:
            continue
        places, taken = [point[key] for point in points], [point["seconds_per_token"] for point in points]
        medians = [t["median"] * 1e6 for t in taken]
        errors = [[(t["median"] - t["min"]) * 1e6 for t in taken], [(t["max"] - t["median"]) * 1e6 for t in taken]]
        axes.errorbar(places, medians, yerr=errors, color=BLUE, ecolor=FAINT, marker="o", label="measured")
        if result["fit"]:
            axes.plot(places, [point["fitted_seconds"] * 1e6 for point in points], color=RED, label="fitted")
        peak = [point["peak_seconds"] * 1e6 for point in points]
        axes.plot(places, peak, color=FAINT, linestyle="--", label="operations at the machine's peak")
        axes.set_xscale("log", base=2 if key != "parameters" else 10)
        axes.set_yscale("log")
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("microseconds a training token")
    if grid[0].get_legend_handles_labels()[0]:
        grid[0].legend(frameon=False, fontsize=8)
    return figure
