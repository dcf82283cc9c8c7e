"""The curves of several runs in one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from groundup.reporting.curves import PAPER, save_png
from groundup.reporting.wording import shorten

COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)  # Okabe and Ito 2008: color-blind safe


def draw_comparison(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Write a picture of the entries of several runs (name -> entries of metrics.jsonl) to `path`."""
    save_png(comparison_figure(curves), path)


def comparison_figure(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Bits per byte over steps and over tokens, training faint and validation strong; tokenizers may differ."""
    figure = Figure(figsize=(11, 4.6), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    for axes, key in zip(figure.subplots(1, 2, sharey=True), ("step", "tokens"), strict=True):
        for number, (name, entries) in enumerate(curves.items()):
            color = COLORS[number % len(COLORS)]
            axes.plot(*_points(entries, key, "train_bits_per_byte"), color=color, alpha=0.35, linewidth=1)
            axes.plot(
                *_points(entries, key, "val_bits_per_byte"),
                color=color,
                linewidth=1.8,
                marker="o",
                markersize=3.5,
                label=shorten(name, 40),
            )
        axes.set_xlabel("step" if key == "step" else "training tokens")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if key == "step":
            axes.set_ylabel("bits per byte")
            axes.legend(frameon=False, title="validation (faint: training)")
    return figure


def _points(entries: Sequence[Mapping[str, Any]], x: str, y: str) -> tuple[list[float], list[float]]:
    points = [(entry[x], entry[y]) for entry in entries if entry.get(y) is not None]
    return [point[0] for point in points], [point[1] for point in points]
