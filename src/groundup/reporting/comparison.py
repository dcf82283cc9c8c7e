"""The curves of several runs in one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from groundup.reporting.curves import PAPER, save_png
from groundup.reporting.wording import finite, tail

COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)  # Okabe and Ito 2008: color-blind safe
AXES = {"step": "step", "tokens": "training tokens", "seconds": "seconds of training"}


def draw_comparison(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Write a picture of the entries of several runs (name -> entries of metrics.jsonl) to `path`."""
    save_png(comparison_figure(curves), path)


def comparison_figure(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Bits per byte over steps, tokens and seconds, training faint and validation strong; tokenizers may differ.

    Entries have `seconds` where they are known; the first entries, far above all others, may leave the picture.
    """
    figure = Figure(figsize=(14, 4.8), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axes, (key, label) in zip(panels, AXES.items(), strict=True):
        for number, (name, entries) in enumerate(curves.items()):
            color = COLORS[number % len(COLORS)]
            scored = _points(entries, key, "val_bits_per_byte")
            named = tail(name, 40)
            style: dict[str, Any] = {"color": color, "linestyle": ("-", "--", ":")[number // len(COLORS) % 3]}
            axes.plot(
                *_points(entries, key, "train_bits_per_byte"),
                **style,
                alpha=0.35,
                linewidth=1,
                label=None if scored[0] else f"{named} (no validation)",
            )
            if scored[0]:
                axes.plot(*scored, **style, linewidth=1.8, marker="o", markersize=3.5, label=named)
        axes.set_xlabel(label)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    highest = max((_highest(entries) for entries in curves.values()), default=None)
    if highest:
        panels[0].set_ylim(top=highest)
    panels[0].set_ylabel("bits per byte")
    panels[0].legend(frameon=False, title="validation (faint: training)", fontsize=8)
    return figure


def _highest(entries: Sequence[Mapping[str, Any]]) -> float:
    """The upper end of the axis: the untrained model's figure, or less where a run begins far above all it does."""
    figures = sorted(
        _points(entries, "step", "train_bits_per_byte")[1] + _points(entries, "step", "val_bits_per_byte")[1]
    )
    if not figures:
        return 0.0
    return 1.05 * min(figures[-1], 6 * figures[len(figures) // 2])


def _points(entries: Sequence[Mapping[str, Any]], x: str, y: str) -> tuple[list[float], list[float]]:
    points = [(entry[x], entry[y]) for entry in entries if finite(entry.get(x)) and finite(entry.get(y))]
    return [point[0] for point in points], [point[1] for point in points]
