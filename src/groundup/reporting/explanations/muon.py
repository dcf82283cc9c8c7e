"""`explain muon` for a terminal: a matrix and its singular values, before and after."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from groundup.reporting.explanations.drawing import bar, table
from groundup.reporting.wording import digits, number, percent

_SHOWN = 8  # singular values, evenly spaced by rank
_WIDEST = 22


def show_muon(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_muon`."""
    before, after = result["before"], result["after"]
    rows, columns = result["shape"]
    whole_matrix = max(rows, columns) <= len(before["corner"])
    facts = table("", "before", "after", right=("before", "after"))
    facts.add_row("largest singular value / smallest", *(_ratio(of["ratio"]) for of in (before, after)))
    facts.add_row("largest one's share of all S²", *(percent(of["share_of_largest"]) for of in (before, after)))
    facts.add_row(f"effective rank (of {min(rows, columns)})", *(number(of["rank"], 1) for of in (before, after)))
    facts.add_row("rms of an element", *(digits(of["rms"]) for of in (before, after)))
    return Group(
        _head(result),
        "" if whole_matrix else "\nIts first rows and columns:\n",
        _corner("before", before["corner"]),
        "",
        _corner("after", after["corner"]),
        "",
        _values(before["singular_values"], after["singular_values"]),
        "",
        facts,
        "",
        "Any matrix is U S V^T: it stretches directions, by its singular values S, and turns them. In a momentum some "
        "directions are far larger than others (the effective rank counts them as if they were equal: exp of the "
        "entropy of the squares' shares); Muon keeps U and V^T and makes all of S about equal, so that rare directions "
        "are learned as fast as frequent ones. No S is computed for that: the matrix is divided by sqrt(|X X^T|), at "
        "least its largest S, and four Newton-Schulz steps, X <- aX + (bA + cA²) X with A = X X^T, are matrix products "
        f"alone ({result['precision']} here). The cosine with the exact U V^T is {number(result['cosine'], 4)}.",
        "",
        "Muon's update is rate · scale · what comes out, with scale = sqrt(max(1, rows / columns)) = "
        f"{number(result['scale'], 3)}: {digits(result['update_rms'])} of the rate for an average element. What "
        "goes in is the momentum, and a little of the step's own gradient (Nesterov).",
    )


def _head(result: Mapping[str, Any]) -> str:
    size = " x ".join(map(str, result["shape"]))
    if result["source"] == "toy":
        return f"A random {size} matrix whose singular values fall by the same factor each; --seed draws another one."
    return f"The {result['source']} of {result['name']} ({size}) after update {result['step']} of this run"


def _ratio(value: float | None) -> str:
    return "a zero among them" if value is None else digits(value, 4)


def _corner(name: str, corner: list[list[float]]) -> Table:
    drawn = Table(box=None, pad_edge=False, show_header=False)
    drawn.add_column(width=8)
    for _ in corner[0]:
        drawn.add_column(justify="right", no_wrap=True, min_width=11)
    for row, values in enumerate(corner):
        drawn.add_row("" if row else name, *(digits(value, 4) for value in values))
    return drawn


def _values(before: list[float], after: list[float]) -> Table:
    names = ("rank", "before", "after")
    drawn = table("rank", "before", " ", "after", "", right=names)
    count = len(before)
    shown = min(_SHOWN, count)
    chosen = [round(i * (count - 1) / max(shown - 1, 1)) for i in range(shown)]
    for place in chosen:
        left, right = before[place], after[place]
        bars = (bar(value / most, _WIDEST) if most else "" for value, most in ((left, before[0]), (right, max(after))))
        drawn.add_row(str(place + 1), digits(left, 4), next(bars), digits(right, 4), next(bars))
    return drawn
