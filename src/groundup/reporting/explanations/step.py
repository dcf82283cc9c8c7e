"""`explain step` for a terminal: what one update learned from, how far each layer moved, and what that did."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import table
from groundup.reporting.wording import digits, number, percent, rate, short, shorten, whole

_SHOWN = 3  # sequences


def show_step(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_step`."""
    names = ("weights", "|gradient|", "|weights|", "|update|", "update/weights")
    drawn = table("layer", *names, right=names)
    for row in [*result["layers"], {"layer": "all", **result["total"]}]:
        figures = (f"{row[key]:.3e}" for key in ("gradient", "weight", "update"))
        drawn.add_row(row["layer"], short(row["weights"]), *figures, _ratio(row["ratio"]))
    before, after = result["loss_before"], result["loss_after"]
    return Group(
        _head(result),
        "",
        *_texts(result),
        "",
        f"loss before      {number(before, 5)} nats per token",
        f"gradient norm    {digits(result['gradient_norm'])}{_clipping(result)}",
        *(f"learning rate    {rate(value)} for {part}" for part, value in result["rates"].items()),
        f"                 {percent(result['share'])} of the peak, by the schedule",
        f"loss after       {number(after, 5)}, of the same batch: {after - before:+.5f}",
        f"                 {result['predicted_change']:+.5f} is what the gradient says of such an update",
        "",
        drawn,
        "|...| is the length of all of them as one vector; update/weights says by how much of itself a layer changed.",
        "",
        _meaning(before, after, result["predicted_change"], result["dropout"]),
        "",
        "Nothing of the run was changed: the step was taken on a copy of its weights and its optimizer's state.",
    )


def _head(result: Mapping[str, Any]) -> str:
    kind = "Muon for the blocks' matrices, AdamW for the rest" if result["optimizer"] == "muon" else "AdamW"
    which = "the step that training took there" if result["taken"] else "a step more than training took"
    return (
        f"Update {whole(result['step'])} of {whole(result['steps'])} (counted from 0), {which}: {kind}\n"
        f"Batch {whole(result['batch'])}: {whole(len(result['sequences']))} sequences, {whole(result['tokens'])} tokens"
    )


def _texts(result: Mapping[str, Any]) -> list[str]:
    rows = result["sequences"]
    lines = []
    for row in rows[:_SHOWN]:
        lines.append(f"  {shorten(row['text'], 76)}")
        lines.append(f"      {shorten(', '.join(row['sources']), 72)}")
    if len(rows) > _SHOWN:
        documents = {source for row in rows for source in row["sources"]}
        lines.append(f"  … and {whole(len(rows) - _SHOWN)} more; in all from {whole(len(documents))} documents")
    return lines


def _clipping(result: Mapping[str, Any]) -> str:
    if not result["clip"]:
        return ", not clipped"
    limit = digits(result["clip"])
    if result["clip_factor"] > 0.9999:
        return f", not clipped: the limit is {limit}"
    return f", clipped to {limit}: every gradient is multiplied by {number(result['clip_factor'], 4)}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3%}"


def _meaning(before: float, after: float, predicted: float, dropout: float) -> str:
    if after < before:
        learned = "The loss of this batch fell: the model has learned from it."
    else:
        learned = "The loss of this batch did not fall: the step went too far, or momentum led elsewhere."
    if predicted < 0:
        share = (after - before) / predicted
        learned += f" It changed by {percent(share) if share >= 0 else f'-{percent(-share)}'} of what its gradient says"
        if percent(share) != percent(1):
            learned += "; the difference is the curvature, which a gradient does not know"
            learned += " (and dropout, with which the gradient was computed)" if dropout else ""
        learned += "."
    else:
        learned += " The update even went against this batch's gradient: the optimizer's averages remember others."
    return learned
