"""`explain adamw` for a terminal: ten steps in a table, the first one twice, and what decay does."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import bar, table
from groundup.reporting.wording import digits

_WIDEST = 24


def show_adamw(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_adamw`."""
    rows, b1, b2, eps = result["rows"], *(digits(result[name]) for name in ("beta1", "beta2", "eps"))
    names = ("t", "w", "g", "m", "v", "m^", "v^", "direction", "update")
    keys = ("step", "weight", "gradient", "m", "v", "m_hat", "v_hat", "direction", "update")
    drawn = table(*names, right=names)
    for row in rows:
        drawn.add_row(*(digits(row[key]) for key in keys))
    drawn.add_row("", digits(rows[-1]["after"]))
    first = rows[0]
    return Group(
        f"One weight w, which should become {digits(result['y'] / result['x'])}: y = w x, x = {digits(result['x'])}, "
        f"y = {digits(result['y'])}, L = (w x - y)², g = dL/dw.\n\n"
        f"m <- {b1} m + (1 - {b1}) g      the mean of the gradients, old ones fading\n"
        f"v <- {b2} v + (1 - {b2}) g²   the mean of their squares\n"
        f"m^ = m / (1 - {b1}^t), v^ = v / (1 - {b2}^t)   both begin at 0: this takes it out\n"
        f"direction = m^ / (sqrt(v^) + {eps})\n"
        f"update = -rate (direction + decay w), with rate {digits(result['rate'])} and decay {digits(result['decay'])}",
        "",
        drawn,
        "",
        "However steep the slope, a direction is about 1 in size: the rate alone says how far a step goes. It falls "
        "below 1 where the last gradients disagree, or shrink.",
        "",
        f"The first step with correction: {digits(first['m_hat'])} / sqrt({digits(first['v_hat'])}) = "
        f"{digits(first['direction'])}\n"
        f"             without correction: {digits(first['m'])} / sqrt({digits(first['v'])}) = "
        f"{digits(first['uncorrected'])}",
        "",
        *_shrinking(result["shrinking"], result["rate"], result["decay"]),
        *_weight(result["weight"]),
    )


def _shrinking(found: Mapping[str, Any], rate: float, decay: float) -> list[RenderableType]:
    drawn = table("t", "decoupled", "", "in the gradient", "", right=("t", "decoupled", "in the gradient"))
    paths: tuple[Sequence[float], Sequence[float]] = found["decoupled"], found["in_gradient"]
    for step, values in enumerate(zip(*paths, strict=True)):
        cells = [cell for value in values for cell in (digits(value), bar(max(value, 0) / found["from"], _WIDEST // 2))]
        drawn.add_row(str(step), *cells)
    return [
        f"Weight decay is decoupled from the averages. A weight of {digits(found['from'])} without any gradient is "
        f"multiplied by 1 - rate · decay = {digits(1 - rate * decay)} at each step. Were decay · w added to the "
        "gradient instead, it would be divided by its own size like any gradient, and however small the decay, the "
        "weight would begin with a whole rate at a step:",
        "",
        drawn,
    ]


def _weight(weight: Mapping[str, Any] | None) -> list[RenderableType]:
    if weight is None:
        return []
    name = f"{weight['name']}[{', '.join(map(str, weight['index']))}]"
    drawn = table("m", "v", "m^", "v^", "direction", "rate", "update")
    drawn.add_row(*(digits(weight[key]) for key in ("m", "v", "m_hat", "v_hat", "direction", "rate", "update")))
    return [
        "",
        f"One weight of this run after its update t = {weight['step']}: {name}\n"
        "m and v are in its checkpoint; the update is the last one's, without decay.",
        "",
        drawn,
    ]
