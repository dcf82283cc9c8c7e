"""The data curve: bits per byte over bytes of training text, as a picture and as text."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.reporting.canvas import Canvas
from groundup.reporting.wording import clean, number, percent, short, size, whole

_STEPS = 120  # of a curve


def draw_scaling(result: Mapping[str, Any], path: Path) -> None:
    """Write the picture of what `groundup scaling` found to `path`."""
    from groundup.reporting.curves import save_png

    save_png(scaling_figure(result), path)


def scaling_figure(result: Mapping[str, Any]) -> Any:
    """Every run as a point, hollow where another length may still gain, a cross at the upper edge where it diverged;
    the fit, dashed beyond the largest part it is of, and the interval of its value at twice the text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from groundup.reporting.curves import BLUE, FAINT, INK, PAPER, RED

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for at_best, fill in ((True, RED), (False, PAPER)):
        rows = [row for row in result["runs"] if row["at_best"] == at_best]
        if rows:
            axes.plot(
                [row["bytes"] for row in rows],
                [row["bits_per_byte"] for row in rows],
                "o",
                color=RED,
                markerfacecolor=fill,
                markersize=5.5,
                label="run at its best" if at_best else "run that may not be at its best",
                zorder=3,
            )
    if lost := result["diverged"]:
        edge = axes.get_xaxis_transform()  # they have no height
        sizes = [row["bytes"] for row in lost]
        axes.plot(sizes, [0.97] * len(lost), "x", color=RED, transform=edge, label="run that diverged")
    if fit := result["fit"]:
        curve, most = _curve(fit), 2 * fit["whole"]
        least = min(row["bytes"] for row in result["runs"])
        largest = max(row["bytes"] for row in result["runs"] if row["at_best"])
        for start, end, style in ((least, largest, "-"), (largest, most, (0, (4, 3)))):
            sizes = [start * (end / start) ** (i / _STEPS) for i in range(_STEPS + 1)]
            label = _formula(fit) if style == "-" else None
            axes.plot(sizes, [curve(x) for x in sizes], color=BLUE, linestyle=style, linewidth=1.6, label=label)
        twice = fit["twice"]
        axes.errorbar(
            [2 * fit["whole"]],
            [twice["value"]],
            [[twice["value"] - twice["low"]], [twice["high"] - twice["value"]]],
            fmt="s",
            color=BLUE,
            markersize=5,
            capsize=4,
            label=f"twice the text, {percent(fit['inside'])} interval",
        )
    if result["runs"]:
        axes.set_xscale("log", base=2)
        ticks = sorted({row["bytes"] for row in result["points"]} | ({2 * fit["whole"]} if fit else set()))
        axes.set_xticks(ticks, [size(tick) for tick in ticks], fontsize=9)
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    axes.set_xlabel("training text")
    axes.set_ylabel("bits per byte of the held-out text")
    axes.grid(True, color=FAINT, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def describe_scaling(result: Mapping[str, Any], *, width: int = 80, color: bool = False, unicode: bool = True) -> str:
    """A table of the parts, the plot in characters, the fit, and what twice the documents would bring."""
    from rich.table import Table

    from groundup.reporting.tables import render

    corpus, fit = result["corpus"], result["fit"]
    head = (
        f"{size(corpus['train_bytes'])} of training text in {whole(corpus['documents'])} documents or blocks,"
        f" {size(corpus['validation_bytes'])} held out; a model of {short(result['parameters'])} parameters"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("part", "documents", "text", "seeds", "bits per byte", "from", "to", "epochs", "at its best"):
        table.add_column(name, justify="left" if name in ("part", "at its best") else "right")
    rows: list[tuple[int, Sequence[str]]] = []
    for row in result["points"]:
        cells = (
            row["share"],
            whole(row["documents"]),
            size(row["bytes"]),
            whole(row["seeds"]),
            number(row["bits_per_byte"], 4),
            number(row["lowest"], 4) if row["seeds"] > 1 else "",
            number(row["highest"], 4) if row["seeds"] > 1 else "",
            number(row["epochs"], 1),
            "yes" if row["at_best"] else "no",
        )
        rows.append((row["bytes"], cells))
    for row in result["diverged"]:
        cells = (row["share"], whole(row["documents"]), size(row["bytes"]), "1", "–", "", "", number(row["epochs"], 1))
        rows.append((row["bytes"], (*cells, "diverged")))
    for _, cells in sorted(rows, key=lambda row: row[0]):
        table.add_row(*cells)
    lines = [*_wrap(head, width), "", render(table), ""]
    if result["points"]:
        lines += [scaling_plot(result, width, color=color, unicode=unicode), ""]
    lines += _answer(fit, width) if fit else _wrap(f"no fit: {result['no_fit']}", width)
    for note in result["notes"]:
        lines += _wrap(f"note: {note}", width)
    lines.append(f"picture: {clean(result['picture'])}")
    text = "\n".join(lines)
    return text if unicode else text.replace("–", "-").replace("…", "~")


def scaling_plot(
    result: Mapping[str, Any], width: int = 80, height: int = 16, *, color: bool = False, unicode: bool = True
) -> str:
    """Runs as marks and the fit as a line, over the logarithm of the bytes, as `height` lines of `width` columns."""
    runs, fit = result["runs"], result["fit"]
    least, most = min(row["bytes"] for row in runs), max(row["bytes"] for row in runs)
    losses = [row["bits_per_byte"] for row in runs]
    curve: Callable[[float], float] | None = None
    if fit:
        curve, most = _curve(fit), 2 * fit["whole"]
        losses += [curve(least), curve(most)]
    low, high = min(losses), max(losses)
    reach = (high - low) or 1.0
    rows = max(height, 6) - 3
    ticks = range(0, rows, 3)
    labels = {row: number(high - reach * row / (rows - 1), 3) for row in ticks}
    canvas = Canvas(max(width, 24) - max(map(len, labels.values())) - 3, rows, unicode=unicode)
    span = math.log(most / least) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return math.log(x / least) / span, (y - low) / reach

    if curve:
        sizes = [least * math.exp(span * i / _STEPS) for i in range(_STEPS + 1)]
        canvas.line([place(x, curve(x)) for x in sizes])
    canvas.put([place(row["bytes"], row["bits_per_byte"]) for row in runs])
    key = f"bits per byte   {canvas.mark} run" + ("   line: fit, to twice the text" if fit else "")
    framed = canvas.framed(labels, (size(least), "training text", size(most)), color=color)
    return "\n".join([key, *framed])


def _answer(fit: Mapping[str, Any], width: int) -> list[str]:
    inside = percent(fit["inside"])
    gain, twice, now = fit["gain"], fit["twice"], fit["now"]
    lines = _wrap(f"fit: {_formula(fit)}; E, D0 and a with {inside} intervals:", width)
    for name, key, write in (("E", "floor", _bits), ("D0", "size", _bytes), ("a", "exponent", lambda x: number(x, 3))):
        value = fit[key]
        lines.append(f"  {name:<2} {write(value['value'])} ({write(value['low'])} to {write(value['high'])})")
    lines += _wrap(
        f"twice the documents would bring about {_bits(gain['value'])} bits per byte"
        f" ({_bits(gain['low'])} to {_bits(gain['high'])}): from {_bits(now['value'])} to {_bits(twice['value'])},"
        f" {percent(gain['value'] / now['value'])} less",
        width,
    )
    if fit["floor"]["low"] <= 1e-9:
        lines += _wrap("E cannot be told from these parts: its interval reaches zero", width)
    return lines


def _formula(fit: Mapping[str, Any]) -> str:
    floor, scale, exponent = (fit[key]["value"] for key in ("floor", "size", "exponent"))
    return f"L(D) = {_bits(floor)} + ({_bytes(scale)} / D)^{number(exponent, 3)}"


def _curve(fit: Mapping[str, Any]) -> Callable[[float], float]:
    floor, scale, exponent = (fit[key]["value"] for key in ("floor", "size", "exponent"))
    return lambda x: floor + (scale / x) ** exponent


def _bits(value: float) -> str:
    return number(value, 3)


def _bytes(value: float) -> str:
    """D0 is a figure of the form, and may be larger than any text, or less than a byte."""
    return size(value) if 1 <= value < 1e15 or not value else f"{value:.1e} B"


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 24), subsequent_indent="  ", break_on_hyphens=False)
