"""Results of verbs as text for a terminal: a plan, scores, a comparison."""

import textwrap
from collections.abc import Mapping
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from groundup.reporting.wording import between, clean, duration, number, percent, short, size, tail, whole

_KEY, _LEAST = 32, 12  # columns of the longest setting or figure, and of a run's name at least


def describe_plan(facts: Mapping[str, Any], width: int = 80) -> str:
    """What `groundup plan` found: `plan` as in run.json, `corpus` as in the manifest, and `notices`; in lines of at
    most `width` columns."""
    plan, corpus = facts["plan"], facts["corpus"]
    files = corpus["files"]
    lines = [
        f"documents    {files['read']} files read, {files['skipped']} skipped, {files['failed']} failed;"
        f" {whole(corpus['documents'])} documents, {whole(corpus['duplicates'])} duplicates left out",
        f"tokens       {whole(corpus['train_tokens'])} for training, {whole(corpus['validation_tokens'])} held out;"
        f" vocabulary {whole(corpus['vocab_size'])}",
        f"model        {whole(plan['parameters'])} parameters, {short(plan['flops_per_token'])} operations a token",
        f"training     about {whole(plan['steps'])} steps, {whole(plan['tokens'])} tokens,"
        f" {number(plan['epochs'], 2)} epochs",
        *_expected(plan["expected"]),
    ]
    table = Table("setting", "value", "reason", box=None, pad_edge=False, header_style="bold")
    for row in plan["decisions"]:
        table.add_row(row["key"], str(row["value"]), row["reason"])
    notes = [f"note: {note}" for note in [*corpus["notes"], *facts["notices"]]]
    found = [part for line in lines for part in _wrapped(line, width, " " * 13)]
    told = [part for note in notes for part in _wrapped(note, width, " " * 6)]
    return "\n".join([*found, "", render(table, width), *told]).rstrip()


def _expected(expected: Mapping[str, Any]) -> list[str]:
    minutes, loss = expected["minutes"], expected["bits_per_byte"]
    seconds = {name: value * 60 for name, value in minutes.items()}
    return [
        f"time         {between(seconds, duration)}",
        f"memory       {between(expected['memory_bytes'], size)}",
        f"no prediction of the loss: {loss['none']}"
        if "none" in loss
        else f"loss         {between(loss, lambda value: number(value, 2))} bits per byte of the held-out text",
    ]


def describe_scores(scores: Mapping[str, Any]) -> str:
    """What `groundup evaluate` found, beside the baselines, in 80 columns."""
    table = Table(
        "model",
        "loss",
        "perplexity",
        "accuracy",
        "bits per byte",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row(
        "this model",
        number(scores["loss"], 4),
        number(scores["perplexity"], 2),
        percent(scores["accuracy"]),
        number(scores["bits_per_byte"], 4),
    )
    for name, row in scores["baselines"].items():
        loss = row.get("loss")
        table.add_row(name, number(loss, 4), "", "", number(row["bits_per_byte"], 4))
    amount = f"{whole(scores['tokens'])} tokens, {whole(scores['bytes'])} bytes"
    return f"{render(table)}\n{amount}\ncheckpoint {clean(scores['checkpoint'])}"


def describe_comparison(comparison: Mapping[str, Any], width: int = 80) -> str:
    """What `groundup compare` found: settings that differ, then figures, one column for each run, in lines of at most
    `width` columns where so many runs fit."""
    wide = max(width, _KEY + (_LEAST + 1) * len(comparison["runs"]))
    room = (wide - _KEY) // len(comparison["runs"]) - 1
    names = [tail(run["run"], min(room, 28)) for run in comparison["runs"]]
    settings = Table("setting", *names, box=None, pad_edge=False, header_style="bold")
    for key, values in comparison["settings"].items():
        settings.add_row(key, *("–" if value is None else clean(value) for value in values))
    figures = Table("figure", *names, box=None, pad_edge=False, header_style="bold")
    for column in figures.columns[1:]:
        column.justify = "right"
    kinds = {
        "parameters": whole,
        "steps": whole,
        "tokens": whole,
        "status": clean,
        "seconds": lambda value: number(value, 1),
        "minutes": lambda value: number(value, 1),
        "best_step": whole,
    }
    for key in comparison["runs"][0]:
        if key != "run":
            show = kinds.get(key, lambda value: number(value, 4))
            figures.add_row(key.replace("_", " "), *(show(run[key]) for run in comparison["runs"]))
    differ = render(settings, wide) if comparison["settings"] else "no setting differs"
    notes = [line for note in comparison["note"].split("\n") for line in _wrapped(clean(note), width)]
    return "\n".join([differ, "", render(figures, wide), "", *notes, f"picture: {clean(comparison['picture'])}"])


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """`text` in lines that break only between words: a path or an option stays whole."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def render(shown: RenderableType, width: int = 110, *, color: bool = False) -> str:
    """What rich draws, as lines of at most `width` columns; with ANSI colors where `color` is asked."""
    out = StringIO()
    Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="truecolor" if color else None,
        legacy_windows=False,
        highlight=False,
        markup=False,  # texts and names are other people's
        emoji=False,
    ).print(shown)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").splitlines())
