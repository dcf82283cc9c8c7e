"""The two plots of a run, drawn with matplotlib's objects (no display, no global state) as PNG or SVG."""

import io
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogFormatterSciNotation, MaxNLocator, StrMethodFormatter

from groundup.reporting.wording import finite

# blue, red and green that stay apart under the common kinds of color blindness (Wong 2011; Tol 2021)
BLUE, RED, GREEN = "#0072b2", "#cc3311", "#1b8a5a"
INK, FAINT, PAPER = "#24292f", "#8c959f", "#ffffff"

_LOSS = "loss (nats per token)"
_MOST = 1e30  # a loss or rate beyond this is a fault of the file, and axes overflow on it


def draw_training_curve(
    metrics: Mapping[str, Sequence[Any]], path: Path, baselines: Mapping[str, float] | None = None
) -> None:
    """Write `training_curve.png` from training_metrics.json's arrays; `baselines` maps a name to nats."""
    save_png(training_figure(metrics, baselines), path)


def draw_loss_by_epoch(entries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write `loss_by_epoch.png` from the entries of metrics.jsonl."""
    save_png(epoch_figure(entries), path)


def training_figure(
    metrics: Mapping[str, Sequence[Any]], baselines: Mapping[str, float] | None = None, *, most: int = 20_000
) -> Figure:
    """Loss over steps (training blue, validation red) above the learning rate (green, log axis).

    `baselines` are dashed lines at a loss in nats per token. Curves of more than `most` points are thinned.
    """
    figure = Figure(figsize=(9, 6.2), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    steps = metrics["steps"]
    train, val = _points(steps, metrics["train_loss"]), _points(steps, metrics["val_loss"])
    rates = [point for point in _points(steps, metrics["learning_rate"]) if point[1] > 1 / _MOST]

    for points, color, label, few in ((train, BLUE, "training", 12), (val, RED, "validation", 60)):
        if points:
            dots: dict[str, Any] = {
                "marker": "o",
                "markersize": 4.5,
                "markeredgecolor": PAPER,
                "markeredgewidth": 0.6,
            }
            width = 1.1 if len(points) > 150 else 1.8
            kept = _thin(points, most)
            top.plot(*_xy(kept), color=color, linewidth=width, label=label, **(dots if len(points) <= few else {}))
    _draw_baselines(top, _worth_drawing(baselines or {}, train + val))
    top.set_ylabel(_LOSS)
    _dress(top, legend=bool(train or val))

    bottom.plot(*_xy(_thin(rates, most)), color=GREEN, linewidth=1.8, label="learning rate")
    bottom.set_yscale("log")
    if rates:
        low, high = min(rate for _, rate in rates), max(rate for _, rate in rates)
        # at least one whole decade, so that a log axis has labels to show
        bottom.set_ylim(min(low / 1.6, 10 ** math.floor(math.log10(low) + 1e-9) * 0.9), high * 1.6)
    bottom.yaxis.set_major_formatter(LogFormatterSciNotation())
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel("step")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 2.5, 5, 10]))
    bottom.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _dress(bottom, legend=False)
    if steps and finite(steps[-1]):
        top.set_xlim(-0.006 * max(steps[-1], 1), 1.006 * max(steps[-1], 1))
    figure.align_ylabels([top, bottom])
    return figure


def epoch_figure(entries: Sequence[Mapping[str, Any]]) -> Figure:
    """One point per epoch (from 0): the mean training loss and the last validation loss of its entries.

    Step 0 is the untrained model and belongs to no epoch.
    """
    figure = Figure(figsize=(7.5, 4.6), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    train: dict[int, list[float]] = {}
    val: dict[int, float] = {}
    trained = [e for e in entries if finite(e.get("epoch")) and abs(e["epoch"]) < _MOST and e.get("step") != 0]
    for entry in trained or [e for e in entries if e.get("epoch") == 0]:
        if finite(entry.get("train_loss")) and abs(entry["train_loss"]) < _MOST:
            train.setdefault(int(entry["epoch"]), []).append(entry["train_loss"])
        if finite(entry.get("val_loss")) and abs(entry["val_loss"]) < _MOST:
            val[int(entry["epoch"])] = entry["val_loss"]
    means = [(epoch, math.fsum(losses) / len(losses)) for epoch, losses in sorted(train.items())]
    for points, color, label, marker in (
        (means, BLUE, "training, mean", "o"),
        (sorted(val.items()), RED, "validation, last", "s"),
    ):
        if points:
            size = 7 if len(points) <= 40 else 3
            axes.plot(*_xy(points), color=color, marker=marker, markersize=size, linewidth=1.8, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel(_LOSS)
    epochs = sorted(set(train) | set(val)) or [0]
    axes.xaxis.set_major_locator(FixedLocator(epochs) if len(epochs) <= 12 else MaxNLocator(integer=True, nbins=12))
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    _dress(axes, legend=bool(means or val))
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write the figure so that a reader of `path` never sees half a file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    replace_file(path, buffer.getvalue())


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and put it in its place in one move."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element for an HTML page: text stays text, every color is a variable of the
    page (`--ink`, `--faint`, `--paper`, `--blue`, `--red`, `--green`), so that it follows light and dark."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # in HTML an svg element needs no namespaces, and ids that nothing refers to would repeat between figures
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text)
    text = re.sub(r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", text, count=1)
    for color, variable in ((INK, "--ink"), (FAINT, "--faint"), (PAPER, "--paper")):
        text = text.replace(color, f"var({variable})")
    for color, variable in ((BLUE, "--blue"), (RED, "--red"), (GREEN, "--green")):
        text = text.replace(color, f"var({variable})")
    return re.sub(r"font: (\d[\d.]*)px [^;\"]*", r"font-size: \1px", text)


def _dress(axes: Axes, *, legend: bool) -> None:
    axes.grid(True, which="major", color=FAINT, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(which="both", colors=INK, color=FAINT, labelsize=10)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=11)
    if legend:
        # above the panel, where neither curve nor baseline can run through it
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.005, 0.99),
            ncols=2,
            frameon=False,
            fontsize=11,
            labelcolor=INK,
        )


def _draw_baselines(axes: Axes, baselines: Sequence[tuple[str, float]]) -> None:
    low, high = axes.get_ylim()
    last, indent = -math.inf, 0
    for name, loss in sorted(baselines, key=lambda item: item[1]):
        # labels that would lie on each other stand side by side
        indent = indent + 1 if loss - last < 0.05 * (high - low) else 0
        last = loss
        axes.axhline(loss, color=FAINT, linestyle=(0, (4, 3)), linewidth=1, zorder=1.5)
        axes.annotate(
            f"{name} {loss:.2f}",
            (1, loss),
            xycoords=("axes fraction", "data"),
            xytext=(-6 - 85 * indent, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=8.5,
            color=FAINT,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
            zorder=1.6,  # above the dashed lines, under the curves: a label never hides a figure
        )


def _worth_drawing(baselines: Mapping[str, float], points: Sequence[tuple[float, float]]) -> list[tuple[str, float]]:
    """The baselines near enough to the curve not to squeeze it."""
    losses = [loss for _, loss in points]
    if not losses:
        return []
    reach = 0.35 * (max(losses) - min(losses) or 1)
    return [(n, b) for n, b in baselines.items() if finite(b) and min(losses) - reach <= b <= max(losses) + reach]


def _points(steps: Sequence[Any], values: Sequence[Any]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(steps, values, strict=False) if finite(x) and finite(y) and abs(y) < _MOST]


def _xy(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _thin(points: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most about `most` points: the lowest and the highest of each stretch, so that no spike is lost."""
    if len(points) <= most:
        return points
    stretch = math.ceil(2 * len(points) / most)
    kept = [points[0]]
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return [*kept, points[-1]]
