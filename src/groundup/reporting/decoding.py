"""Results of the generation benchmark: a table for the terminal and a picture of speed over lengths."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from groundup.reporting.comparison import COLORS
from groundup.reporting.curves import PAPER, save_png
from groundup.reporting.tables import render
from groundup.reporting.wording import clean, number, percent, size, whole


def describe_decoding(result: Mapping[str, Any]) -> str:
    """What `groundup benchmark generate` found: a table for each shape, length and number of threads, and the goals."""
    parts = [_contest(contest) for contest in result["contests"]]
    settings, machine, load = result["settings"], result["machine"], result["load"]
    parts.append(
        f"{settings['rounds']} rounds, medians; tokens/s include reading the prompt; bandwidth is that of reading or"
        " copying, the faster, in the same round; without a cache tokens in the middle stand for all\n"
        f"{clean(machine['processor'])}, {machine['cores']} cores, torch {machine['versions']['torch']};"
        f" load {number(load['before'][0], 1)} before, {number(load['after'][0], 1)} after"
    )
    return "\n\n".join(parts)


def _contest(contest: Mapping[str, Any]) -> str:
    rows = contest["rows"]
    table = Table("", box=None, pad_edge=False, header_style="bold")
    for title in ("tokens/s", "", "x gpt2", "first token", "of bandwidth", "threads", "memory"):
        table.add_column(title, justify="right")
    for row in rows:
        if "tokens_per_second" in row:
            speed = row["tokens_per_second"]
            table.add_row(
                row["name"],
                whole(speed["median"]),
                f"({whole(speed['min'])} to {whole(speed['max'])})",
                number(row["ratio"]["median"], 2) if "ratio" in row else "–",
                f"{number(row['first_token_seconds']['median'] * 1000, 0)} ms",
                percent(row["share_of_bandwidth"]["median"]) if "share_of_bandwidth" in row else "–",
                whole(row["threads"]),
                size(row.get("peak_memory_bytes")),
            )
    lines = [
        f"shape {contest['shape']}: {contest['layers']} layers, {contest['width']} wide, vocabulary"
        f" {whole(contest['vocabulary'])}; {contest['prompt']} tokens of prompt, {contest['new']} new;"
        f" {contest['threads']} thread{'s' * (contest['threads'] > 1)}",
        "",
        render(table),
    ]
    lines += [f"{row['name']} {row['status']}: {clean(row['reason'])}" for row in rows if row["status"] != "measured"]
    for goal in contest["goals"]:
        words = percent if "share" in goal["what"] else (lambda value: number(value, 2))
        found = "not measured" if goal["measured"] is None else words(goal["measured"])
        verdict = "reached" if goal["reached"] else "not reached"
        lines.append(f"goal: {goal['what']} at least {words(goal['goal'])}: {found}, {verdict}")
    return "\n".join(lines)


def draw_decoding(result: Mapping[str, Any], path: Path) -> None:
    """Write a picture of tokens per second over prompt and text lengths to `path`: a line for each contestant."""
    save_png(decoding_figure(result), path)


def decoding_figure(result: Mapping[str, Any]) -> Figure:
    """One panel for each shape and number of threads; the vertical axis is logarithmic."""
    panels: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for contest in result["contests"]:
        panels.setdefault((contest["shape"], contest["threads"]), []).append(contest)
    figure = Figure(figsize=(2.0 + 4.2 * len(panels), 4.4), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, ((shape, threads), contests) in zip(grid, panels.items(), strict=True):
        for place, name in enumerate(result["settings"]["contestants"]):
            points = [
                (at, row["tokens_per_second"]["median"])
                for at, contest in enumerate(contests)
                for row in contest["rows"]
                if row["name"] == name and "tokens_per_second" in row
            ]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", color=COLORS[place % len(COLORS)], label=name)
        axes.set_xticks(range(len(contests)), [f"{contest['prompt']} + {contest['new']}" for contest in contests])
        axes.set_yscale("log")
        axes.set_title(f"shape {shape}, {threads} thread{'s' * (threads > 1)}", fontsize=9)
        axes.set_xlabel("tokens of prompt + new tokens")
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("tokens per second")
    if grid[-1].get_legend_handles_labels()[0]:
        grid[-1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
