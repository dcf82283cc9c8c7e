"""Results of benchmarks: a table for the terminal and a picture of the ratios."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from groundup.reporting.comparison import COLORS
from groundup.reporting.curves import FAINT, PAPER, save_png
from groundup.reporting.tables import render
from groundup.reporting.wording import clean, duration, number, percent, short, size, whole


def describe_training_benchmark(result: Mapping[str, Any]) -> str:
    """What `groundup benchmark train` found: a table for each shape and number of threads, and the goals."""
    parts = [_contest(contest) for contest in result["contests"]]
    settings, machine, load = result["settings"], result["machine"], result["load"]
    parts.append(
        f"{settings['rounds']} rounds of {number(settings['seconds'], 1)} s each, medians (least to greatest);"
        f" ratios are medians of the ratios within rounds\n{clean(machine['processor'])}, {machine['cores']} cores,"
        f" torch {machine['versions']['torch']}; load {number(load['before'][0], 1)} before,"
        f" {number(load['after'][0], 1)} after; {duration(result['seconds'])} in all"
    )
    return "\n\n".join(parts)


def _contest(contest: Mapping[str, Any]) -> str:
    peak = contest["peak"]
    lines = [
        f"shape {contest['shape']}: {contest['layers']} layers, {contest['width']} wide, context {contest['context']},"
        f" batch {contest['batch']}, vocabulary {whole(contest['vocabulary'])}; {_threads(contest)}"
    ]
    if "float32" in peak:
        lines.append(
            f"this machine: float32 {short(peak['float32']['median'])}FLOP/s, bfloat16"
            f" {short(peak['bfloat16']['median'])}FLOP/s, copies {short(peak['copy']['median'])}B/s"
        )
    rows = contest["rows"]
    baselines = list(next((row["ratios"] for row in rows if "ratios" in row), {}))
    table = Table("", "tokens/s", "", box=None, pad_edge=False, header_style="bold")
    for title in (*(f"x {name}" for name in baselines), "of bf16", "of fp32", "memory", "compile", "weights", "FLOPs"):
        table.add_column(title, justify="right")
    table.columns[1].justify = "right"
    for row in rows:
        if "tokens_per_second" in row:
            table.add_row(*_figures(row, baselines))
    lines += ["", render(table)]
    lines += [f"{row['name']} {row['status']}: {clean(row['reason'])}" for row in rows if row["status"] != "measured"]
    lines += [f"note: {clean(note)}" for note in contest["notes"]]
    for goal in contest["goals"]:
        share = "share" in goal["what"]
        shown = [percent(goal[key]) if share else number(goal[key], 2) for key in ("measured", "goal")]
        least = "at most" if "memory" in goal["what"] else "at least"
        verdict = f"{shown[0]}, {'reached' if goal['reached'] else 'not reached'}"
        lines.append(f"goal: {goal['what']} {least} {shown[1]}: {verdict if goal['measured'] else 'not measured'}")
    return "\n".join(lines)


def _threads(contest: Mapping[str, Any]) -> str:
    return f"{contest['threads']} thread{'s' * (contest['threads'] > 1)}"


def _figures(row: Mapping[str, Any], baselines: list[str]) -> list[str]:
    speed, shares = row["tokens_per_second"], row["share_of_peak"]
    return [
        row["name"],
        whole(speed["median"]),
        f"({whole(speed['min'])} to {whole(speed['max'])})",
        *(number(row["ratios"][name]["median"], 2) for name in baselines),
        *(percent(shares[kind]["median"]) if shares else "–" for kind in ("bfloat16", "float32")),
        size(row.get("peak_memory_bytes")),
        f"{number(row['compile_seconds'], 0)} s" if "compile_seconds" in row else "",
        *(number(row.get(key), 3) for key in ("parameters_ratio", "flops_per_token_ratio")),
    ]


def draw_training_benchmark(result: Mapping[str, Any], path: Path) -> None:
    """Write a picture of the ratios to the baseline to `path`: a bar for each contestant, a line for its range."""
    save_png(training_benchmark_figure(result), path)


def training_benchmark_figure(result: Mapping[str, Any]) -> Figure:
    """One group of bars for each shape and number of threads; what was not measured has none."""
    contests, names = result["contests"], result["settings"]["contestants"]
    figure = Figure(figsize=(2.5 + 2.4 * len(contests), 4.6), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    width = 0.85 / len(names)
    for place, name in enumerate(names):
        bars = []
        for group, contest in enumerate(contests):
            row = next(row for row in contest["rows"] if row["name"] == name)
            if ratio := row.get("ratios", {}).get(names[0]):
                bars.append((group + (place - (len(names) - 1) / 2) * width, ratio))
        if not bars:
            continue
        places, ratios = [bar[0] for bar in bars], [bar[1] for bar in bars]
        heights = [ratio["median"] for ratio in ratios]
        errors = [[r["median"] - r["min"] for r in ratios], [r["max"] - r["median"] for r in ratios]]
        color = COLORS[place % len(COLORS)]
        drawn = axes.bar(places, heights, width * 0.92, yerr=errors, color=color, ecolor=FAINT, label=name)
        axes.bar_label(drawn, [number(height, 2) for height in heights], fontsize=7, padding=2)
    axes.set_xticks(range(len(contests)), [f"{contest['shape']}, {_threads(contest)}" for contest in contests])
    axes.axhline(1.0, color=FAINT, linewidth=1, linestyle="--")
    axes.set_ylabel(f"training tokens per second, {names[0]} = 1")
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
