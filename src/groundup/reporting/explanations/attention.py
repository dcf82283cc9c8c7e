"""`explain attention` for a terminal: a line for each head, and maps of those that stand out."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import cell, quote, table
from groundup.reporting.wording import digits, number, percent, whole

LABELS = {
    "first": "first",
    "previous": "previous",
    "itself": "itself",
    "same": "same",
    "after_same": "induction",
    "even": "even",
    "local": "local",
    "mixed": "mixed",
    "unknown": "–",
}
_SHADES = ((0.5, "█"), (0.25, "▓"), (0.1, "▒"), (0.02, "░"), (0.0, "·"))
_MAPS = 3
_NAME = 10


def show_attention(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_attention`."""
    tokens = result["tokens"]
    right = ("head", "entropy", "distance", "first", "before", "itself")
    newest = cell(tokens[-1]["token"], 12)
    drawn = table("head", "looks at", *right[1:], f"{newest} looks at", right=right)
    for head in result["heads"]:
        most = head["most_entropy"]
        shares = (percent(head["shares"][place]) for place in ("first", "previous", "itself"))
        attended = " ".join(f"{cell(row['token'], 6)} {row['weight']:.0%}" for row in head["attended"][:2])
        drawn.add_row(
            f"{head['layer']}.{head['head']}",
            LABELS[head["label"]],
            percent(head["entropy"] / most) if most else "–",
            number(head["distance"], 1),
            *shares,
            attended,
        )
    return Group(
        *_head(result),
        "",
        drawn,
        "",
        *_words(result),
        *_maps(result["heads"], tokens, result["mapped"]),
    )


def _head(result: Mapping[str, Any]) -> list[str]:
    cut = f"; {whole(result['cut'])} more are not shown" if result["cut"] else ""
    return [*quote(result), "", f"{whole(len(result['tokens']))} tokens, the end-of-text token first{cut}"]


def _words(result: Mapping[str, Any]) -> list[str]:
    rule, check = result["rule"], result["check"]
    return [
        "A head is LAYER.HEAD. Figures are means over the tokens from the third on: the entropy as a share of what "
        "even attention would have, the distance in tokens, and the shares of attention that are on the first token, "
        "the one before, and the token itself. A head is named by where at least "
        f"{percent(rule['main'])} of its attention is: on the `first` token (a place to look at when there is nothing "
        "to find), on the `previous` one, on `itself`, and for tokens that came before on the `same` one (those "
        "earlier copies) or `induction` (on what followed them). Else it is "
        f"`even` from {percent(rule['even'])} of the largest entropy on, `local` with {percent(rule['near'])} on the "
        f"newest {whole(rule['nearest'])} tokens, and otherwise `mixed`. In another text a head may do something else.",
        "",
        f"Each row of weights sums to 1 (within {check['row_sum']:.0e}); the largest weight on a later token is "
        f"{digits(check['later'])}.",
    ]


def _maps(heads: Sequence[Mapping[str, Any]], tokens: Sequence[Mapping[str, Any]], mapped: int) -> list[str]:
    """Maps of the clearest head of each kind, at most _MAPS of them."""
    if heads[0]["most_entropy"] is None:
        return []
    if heads[0]["weights"] is None:
        return ["", f"Maps are drawn of at most {whole(mapped)} tokens: give a shorter text."]
    clearest: dict[str, Mapping[str, Any]] = {}
    for head in sorted(heads, key=lambda head: head["entropy"] / head["most_entropy"]):
        clearest.setdefault(head["label"], head)
    lines = ["", "Rows look, columns are looked at: " + ", ".join(_legend())]
    for head in list(clearest.values())[:_MAPS]:
        lines += ["", f"head {head['layer']}.{head['head']} ({LABELS[head['label']]})"]
        for number_, row in enumerate(head["weights"]):
            shades = "".join(_shade(weight) for weight in row[: number_ + 1])
            name = cell(tokens[number_]["token"], _NAME)
            lines.append(f"{' ' * (_NAME - cell_len(name))}{name} {shades}")
    return lines


def _shade(weight: float) -> str:
    return next(sign for least, sign in _SHADES if weight >= least)


def _legend() -> list[str]:
    return [f"{sign} from {percent(least)}" if least else f"{sign} less" for least, sign in _SHADES]
