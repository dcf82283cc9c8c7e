"""`explain tokens` for a terminal: the text in its pieces, and what the vocabulary is used for."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from groundup.reporting.explanations.drawing import bar, cell, quote, table
from groundup.reporting.tokens import TINTS
from groundup.reporting.wording import number, percent, whole

_ROWS, _CUT = 16, 240  # pieces in the table; of the text that is shown cut


def show_tokens(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_tokens`."""
    pieces, vocabulary = result["pieces"], result["vocabulary"]
    cut = Text()
    for place, piece in enumerate(pieces[:_CUT]):
        cut.append(cell(piece["token"]), style=f"black on {TINTS[place % len(TINTS)]}")
        cut.append("│")
    rows = table("token", "id", "bytes", "times in training", "one in", right=("id", "times in training", "one in"))
    for piece in pieces[:_ROWS]:
        one_in = whole(1 / piece["share"]) if piece["share"] else "never seen"
        shown = " ".join(f"{byte:02x}" for byte in piece["bytes"][:10]) + (" …" if len(piece["bytes"]) > 10 else "")
        rows.add_row(cell(piece["token"]), str(piece["id"]), shown, whole(piece["count"]), one_in)
    density = result["bytes_per_token"]
    back = "joined again they are" if result["round_trip"] else "joined again they are NOT"
    return Group(
        *quote(result),
        "",
        cut,
        "",
        rows,
        *([f"… and {whole(len(pieces) - _ROWS)} more (--json has all)"] if len(pieces) > _ROWS else []),
        "",
        f"{whole(result['bytes'])} bytes / {whole(len(pieces))} tokens = {number(density['text'], 2)} bytes per token "
        f"(training text: {number(density['training'], 2)}); {back} the same bytes.",
        "",
        *_vocabulary(vocabulary),
    )


def _vocabulary(vocabulary: Mapping[str, Any]) -> list[RenderableType]:
    size, total = vocabulary["size"] - 1, vocabulary["tokens"]
    used = size - vocabulary["unused"]
    most = vocabulary["common"][0]["share"] if vocabulary["common"] else 1
    rows = table("most common", "times", "of all tokens", right=("times",))
    for entry in vocabulary["common"][:8]:
        rows.add_row(
            cell(entry["token"]), whole(entry["count"]), f"{percent(entry['share']):>5} {bar(entry['share'] / most)}"
        )
    how = (
        "A token is a byte here: the corpus is too small to learn longer pieces from, or bytes were asked for."
        if vocabulary["kind"] == "bytes"
        else "The pieces were learned from the training text: again and again the most frequent pair of neighbors was "
        "joined to a new entry, so common words are one token and rare ones several. A space belongs to the word after "
        "it. The model sees only the numbers."
    )
    return [
        how,
        "",
        rows,
        "",
        f"rare, but used    {_some(vocabulary['rare'])}",
        f"never used        {_some(vocabulary['never'])}" if vocabulary["never"] else "never used        none",
        "",
        f"Of {whole(size)} entries, {whole(used)} stand in the {whole(total)} training tokens, and "
        f"{whole(vocabulary['half'])} of them make half of these. {whole(vocabulary['used_once'])} stand there once, "
        f"{whole(vocabulary['unused'])} never ({whole(vocabulary['unused_bytes'])} of those are single bytes, kept so "
        "that any text can be written): as input these are new to the model, and all that it has learned of them is "
        "not to expect them.",
    ]


def _some(entries: Sequence[Mapping[str, Any]]) -> str:
    return "  ".join(cell(entry["token"], 16) for entry in entries[:6])
