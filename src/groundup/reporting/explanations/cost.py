"""`explain cost` for a terminal: parts of the model, of memory, of the disk and of the time, each with its sum."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import bar, table
from groundup.reporting.wording import duration, number, percent, short, size, whole

_BAR = 16


def show_cost(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_cost`."""
    shape, work = result["shape"], result["work"]
    tied = "shared with the embedding" if shape["tied"] else "a matrix of its own"
    counted = "the same" if result["counted"] == result["parameters"] else "NOT the same"
    rate = work["operations_per_second"]
    return Group(
        f"{whole(shape['layers'])} layer{'' if shape['layers'] == 1 else 's'}, {whole(shape['width'])} wide, "
        f"feed-forward {whole(shape['ffn_width'])} "
        f"wide, {whole(shape['heads'])} heads of {whole(shape['head_dim'])}, context {whole(shape['context'])}, "
        f"vocabulary {whole(shape['vocab_size'])}; output head: {tied}.",
        "",
        _model(result),
        "",
        "An operation is one addition or multiplication. For a token each weight of a matrix takes part in one of each "
        "on the way forward, and in two of each on the way back; the embedding is looked up, not multiplied. The "
        f"checkpoint's weights were counted: {whole(result['counted'])}, {counted}.",
        "",
        _amounts("memory while training", "bytes", result["memory"], size),
        *([f"at its peak the process held {size(result['peak_memory'])}"] if result["peak_memory"] else []),
        f"a text in the making keeps {size(result['cache_bytes_per_token'])} of keys and values per token",
        "",
        _amounts("on the disk", "bytes", result["disk"], size),
        "",
        *_time(result),
        "",
        f"{whole(work['updates'])} updates read {whole(work['tokens'])} tokens: {short(work['operations'])} operations"
        + (f", {short(rate)} a second" if rate else "")
        + (f", {whole(work['tokens_per_second'])} tokens a second while updating." if rate else "."),
    )


def _model(result: Mapping[str, Any]) -> RenderableType:
    right = ("weights", "of all", "operations a token")
    rows = table("part of the model", *right, "share", right=right)
    for row in result["parts"]:
        share = row["operations"] / result["operations"]
        rows.add_row(
            row["part"],
            whole(row["parameters"]),
            percent(row["parameters"] / result["parameters"]),
            whole(row["operations"]),
            f"{percent(share):>5} {bar(share, _BAR)}",
        )
    sums = (sum(row[key] for row in result["parts"]) for key in ("parameters", "operations"))
    parameters, operations = sums
    rows.add_row("sum", whole(parameters), percent(parameters / result["parameters"]), whole(operations), "")
    return rows


def _amounts(title: str, key: str, parts: Sequence[Mapping[str, Any]], write: Callable[[Any], str]) -> RenderableType:
    total = sum(row[key] for row in parts)
    rows = table(title, key, "share", right=(key,))
    for row in parts:
        if row[key]:
            share = row[key] / total
            rows.add_row(row["part"], write(row[key]), f"{percent(share):>5} {bar(share, _BAR)}")
    rows.add_row("sum", write(total), "")
    return rows


def _time(result: Mapping[str, Any]) -> list[RenderableType]:
    parts, total = result["seconds"], result["total_seconds"]
    if not parts:
        return ["The run has recorded no times."]
    spent = sum(row["seconds"] for row in parts)
    whole_time = max(spent, total or 0)
    rows = table("time", "seconds", "share", right=("seconds",))
    for row in parts:
        name = row["part"] if row["phase"] == row["part"] else f"{row['phase']}: {row['part']}"
        share = row["seconds"] / whole_time if whole_time else 0
        rows.add_row(name, number(row["seconds"], 2), f"{percent(share):>5} {bar(share, _BAR)}")
    if total and total - spent > 0.005 * total:
        rows.add_row("not recorded", number(total - spent, 2), percent((total - spent) / whole_time))
    rows.add_row("sum", number(whole_time, 2), "")
    return [rows, *([f"the whole command took {duration(total)}"] if total else ["the run is not finished"])]
