"""`explain gradient` for a terminal: descent on a toy, then one real weight's slope, measured and computed."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from groundup.reporting.explanations.drawing import bar, table
from groundup.reporting.wording import digits, shorten, whole


def show_gradient(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_gradient`."""
    toy = result["toy"]
    parts: list[RenderableType] = [
        f"y = w x, and for x = {digits(toy['x'])} it should give {digits(toy['y'])}: which w does?\n"
        "The loss L = (w x - y)² says how wrong w is, its gradient dL/dw = 2 x (w x - y) how fast L grows with w. So "
        f"each step goes the other way: w <- w - rate · gradient, with rate {digits(toy['rate'])}.",
        "",
        _descent(toy["rows"]),
        "",
        "The steps shrink by themselves, as the gradient does. Below a rate of "
        f"{digits(toy['largest_rate'])} (1/x²: two over the second derivative) each step comes nearer; with "
        f"{digits(toy['too_fast_rate'])} each leads farther away:",
        "",
        _descent(toy["too_fast"]),
    ]
    return Group(*parts, *(_weight(result["weight"]) if result["weight"] else ()))


def _descent(rows: Sequence[Mapping[str, float]]) -> Table:
    names = ("step", "weight", "loss", "gradient")
    drawn = table(*names, "", right=names)
    most = max(row["loss"] for row in rows)
    for row in rows:
        drawn.add_row(str(row["step"]), *(digits(row[name], 6) for name in names[1:]), bar(row["loss"] / most, 30))
    return drawn


def _weight(weight: Mapping[str, Any]) -> list[RenderableType]:
    name = f"{weight['name']}[{', '.join(map(str, weight['index']))}]"
    rows = table("h", "L(w + h)", "L(w - h)", "(L(w + h) - L(w - h)) / 2h", "relative error", right=("relative error",))
    for row in weight["differences"]:
        rows.add_row(
            f"{row['distance']:.0e}",
            f"{row['loss_above']:.11f}",
            f"{row['loss_below']:.11f}",
            f"{row['slope']:+.12e}",
            f"{row['relative_error']:.1e}",
        )
    rows.add_row("", "", "autograd", f"{weight['autograd']:+.12e}")
    best = min(weight["differences"], key=lambda row: row["relative_error"])
    return [
        "",
        f"One of this model's {whole(weight['weights'])} weights, {name} = {digits(weight['value'], 6)}\n"
        f"L is the mean loss of {whole(weight['tokens'])} tokens of the run's batch {weight['batch']}: "
        f"{weight['loss']:.11f} nats. The text begins: {shorten(weight['text'], 60)}",
        "",
        rows,
        "",
        "The slope can be measured, by moving the weight a little up and down, or computed for all weights at once by "
        "the chain rule, which is what autograd does in training. The nearest measurement, at "
        f"h = {best['distance']:.0e}, differs by {best['relative_error']:.1e} of the slope. With a larger h the curve "
        "bends away from its tangent; with a smaller one two losses are so nearly equal that rounding decides (both "
        "are float64).",
    ]
