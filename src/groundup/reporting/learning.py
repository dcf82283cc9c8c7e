"""Time to quality as a table for the terminal and a picture of loss over seconds."""

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from groundup.benchmarking.reference import SLOWER_THAN_NANOGPT
from groundup.reporting.curves import BLUE, FAINT, PAPER, RED, save_png


def describe_learning(results: Mapping[str, Any]) -> str:
    """The summary as a table of text, with what W and the columns mean."""
    head = f"{'':10}{'cache':6}{'runs':>5}{'seconds':>16}{'of W':>7}{'bits/char':>16}{'nats/char':>16}{'weights':>12}"
    lines = [f"{head}  as good as the reference"]
    for row in results["summary"]:
        seconds = _with_deviation(row, "seconds", 1)
        losses = "".join(_with_deviation(row, f"{unit}_per_character", 3) for unit in ("bits", "nats"))
        lines.append(
            f"{row['who']:10}{row['cache'] or '':6}{row['runs']:5}{seconds}{row['share_of_w']:7.2f}"
            f"{losses}{row['parameters']:12,}"
            + ("" if row["reached"] is None else f"  {row['reached']} of {row['runs']}")
        )
    text = results["text"]
    return "\n".join(
        [
            *lines,
            "",
            f"{text['validation_characters']:,} characters validate, {text['train_characters']:,} train;"
            f" {results['threads']} threads. W is the reference's time / {SLOWER_THAN_NANOGPT:g}.",
        ]
    )


def draw_learning(results: Mapping[str, Any], path: Path) -> None:
    """A picture of loss over seconds: the reference's curves, and groundup's runs, each a point where it ended."""
    figure = Figure(figsize=(9, 5.4), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, row in enumerate(results["reference"]):
        seconds, nats = zip(*row["curve"], strict=True)
        bits = [value / math.log(2) for value in nats]
        axes.plot(seconds, bits, color=FAINT, marker="o", markersize=3, label=None if number else "reference")
    for cache, color in (("cold", BLUE), ("warm", RED)):
        runs = [row for row in results["runs"] if row["cache"] == cache]
        for row in runs:
            if row["curve"]:
                axes.plot(*zip(*row["curve"], strict=True), color=color, linewidth=0.8, alpha=0.4)
        if runs:
            ends = [(row["seconds"], row["bits_per_character"]) for row in runs]
            axes.scatter(*zip(*ends, strict=True), color=color, s=28, label=f"groundup train, {cache} compile cache")
    axes.axhline(fmean(row["bits_per_character"] for row in results["reference"]), color=FAINT, linestyle="--")
    axes.set_xscale("log")
    axes.set_xlabel("seconds of the whole command (thin lines: its own held-out text while it trains)")
    axes.set_ylabel("bits per character")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    save_png(figure, path)


def _with_deviation(row: Mapping[str, Any], key: str, digits: int) -> str:
    deviation = row[f"{key}_deviation"]
    return f"{row[key]:8.{digits}f} ± {'-' if deviation is None else f'{deviation:.{digits}f}':5}"
