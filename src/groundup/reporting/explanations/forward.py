"""`explain forward` for a terminal: every tensor between a text and its next token."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import bar, cell, quote, table
from groundup.reporting.wording import digits, number, percent, whole

_VALUES, _TOKENS = 3, 160
# of a block, in order; `norm1` and so on are the names in the result
_FORMULAS = {
    "norm1": "norm1 = RMSNorm(x)",
    "q": "q = norm1 Wq, by heads",
    "k": "k = norm1 Wk, by heads",
    "v": "v = norm1 Wv, by heads",
    "q_rotated": "q with its position",
    "k_rotated": "k with its position",
    "weights": "softmax(q k^T / sqrt(D))",
    "mixed": "mixed = weights v",
    "attended": "attended = mixed Wo",
    "stream1": "x + attended",
    "norm2": "norm2 = RMSNorm(x)",
    "gate": "gate = norm2 Wgate",
    "up": "up = norm2 Wup",
    "gated": "silu(gate) up",
    "fed": "fed = gated Wdown",
    "stream2": "x + fed",
}
_OUTSIDE = {"embedding": "x = rows of embedding", "norm": "RMSNorm(x)", "logits": "logits = x Whead"}


def show_forward(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_forward`."""
    tokens = result["tokens"]
    drawn = table("what is computed", "shape", "rms", "first values (newest token)", right=("rms",))
    block = None
    for room in result["rooms"]:
        if room["block"] != block and room["block"] is not None:
            drawn.add_row(f"block {room['block']}")
        block = room["block"]
        if block and room["room"] not in ("attended", "stream1", "fed", "stream2"):
            continue  # the first block shows them all
        name = _OUTSIDE.get(room["room"]) or f"  {_FORMULAS[room['room']]}"
        values = "".join(f"{digits(value, 3):>9}" for value in room["first"][:_VALUES])
        drawn.add_row(name, f"({', '.join(map(str, room['shape']))})", digits(room["rms"], 3), values)
    chances = table("next token", "logit", "probability", "", right=("logit", "probability"))
    for row in result["probabilities"]:
        share = row["probability"]
        chances.add_row(cell(row["token"]), number(row["logit"], 3), percent(share), bar(share, 30))
    normalized = "normalized per head (RMSNorm), then turned" if result["arch"] == "qwen3" else "turned"
    return Group(
        *_head(result),
        "",
        " ".join(f"{cell(row['token'], 16)}|{row['id']}" for row in tokens[:_TOKENS]),
        *([f"… and {whole(len(tokens) - _TOKENS)} more (--json has all)"] if len(tokens) > _TOKENS else []),
        "",
        drawn,
        "",
        f"Shapes are batch x tokens x size, with heads batch x heads x tokens x size. q and k are {normalized} by an "
        "angle that grows with the position; each token's weights are over itself and what is before it. Later blocks "
        "do the same with weights of their own, and only add to x: shown is what they add, and the sum.",
        "",
        f"softmax of the last token's {whole(result['rooms'][-1]['shape'][-1])} logits:",
        "",
        chances,
        "",
        *_checks(result),
    )


def _head(result: Mapping[str, Any]) -> list[str]:
    cut = f"; {whole(result['cut'])} more do not fit into the context" if result["cut"] else ""
    return [*quote(result), "", f"{whole(len(result['tokens']))} tokens, the end-of-text token first{cut}"]


def _checks(result: Mapping[str, Any]) -> list[str]:
    causal = result["causal"]
    return [
        f"The model itself, in one go, gives the same logits: the largest difference is {_rounding(result['check'])}.",
        f"With `{cell(causal['instead'])}` as the last token instead, its own logits change by up to "
        f"{digits(causal['at'], 3)} and those before it by {_rounding(causal['before'])}: nothing looks ahead.",
    ]


def _rounding(value: float) -> str:
    """A difference that should be rounding: `0` or `2.1e-06`."""
    return f"{value:.1e}" if value else "0"
