"""`explain memory` for a terminal: a sample with what stands word for word in the training documents marked."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from groundup.reporting.explanations.drawing import table
from groundup.reporting.tokens import visible
from groundup.reporting.wording import clean, percent, tail, whole

_WIDTH, _SHOWN = 70, 4_000  # columns of a stretch; characters of the sample


def show_memory(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_memory`."""
    whose = "The text given" if result["seed"] is None else f"A sample of the model (seed {result['seed']})"
    spans: list[RenderableType] = []
    for span in result["spans"]:
        page = "" if span["page"] is None else f", page {span['page']}"
        times = "once" if span["times"] == 1 else f"{whole(span['times'])} times, first"
        checked = "" if span["verified"] else "  NOT FOUND when read again"
        shown = visible(span["text"])
        spans += [
            f"{whole(span['characters'])} characters, {whole(span['tokens'])} tokens, {times} in",
            Text(f"  {tail(span['source'], 50)}{page}, character {whole(span['character'])}{checked}", no_wrap=True),
            Text(f"  │{shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + '…'}│", no_wrap=True, style="bold"),
        ]
    return Group(
        f"{whose}, {whole(result['characters'])} characters. ⟦ ⟧ marks stretches of {whole(result['marked_from'])} "
        f"characters or more that stand just so in the {whole(result['training_tokens'])} training tokens:",
        "",
        _marked(result),
        "",
        *(spans or [f"No stretch of {whole(result['shortest'])} characters or more stands in the training documents."]),
        "",
        _coverage(result),
        "",
        *_notes(result),
    )


def _marked(result: Mapping[str, Any]) -> Text:
    text, at, sample = Text(), 0, result["sample"][:_SHOWN]
    for start, end in result["marked"]:
        if start >= len(sample):
            break
        text.append(_plain(sample[at:start]))
        text.append(f"⟦{_plain(sample[start:end])}⟧", style="black on #f6c28b")
        at = end
    text.append(_plain(sample[at:]))
    if len(sample) < len(result["sample"]):
        text.append(f"… and {whole(len(result['sample']) - len(sample))} characters more")
    return text


def _plain(text: str) -> str:
    """`text` with its lines, and nothing else that would move a terminal's cursor."""
    return "\n".join(clean(line) for line in text.split("\n"))


def _coverage(result: Mapping[str, Any]) -> RenderableType:
    control = result["control"]
    names = ["this text", *(["held-out text"] if control else [])]
    rows = table("share inside stretches of at least", *names, right=names)
    for place, row in enumerate(result["covered"]):
        beside = [percent(control["covered"][place]["share"])] if control else []
        rows.add_row(f"{whole(row['characters'])} characters", percent(row["share"]), *beside)
    longest = max((span["characters"] for span in result["spans"]), default=0)
    rows.add_row("longest stretch", whole(longest), *([whole(control["longest"])] if control else []))
    return rows


def _notes(result: Mapping[str, Any]) -> list[str]:
    notes = [
        "The search is exact: the training documents are compared character by character, whatever the tokens are."
    ]
    if result["control"]:
        notes.append(
            f"\nThe held-out text, {whole(result['control']['characters'])} characters, is from a document that "
            "training has not read: what it shares with the training documents is what such texts share anyway. A "
            "model that repeats much more than that has learned by heart."
        )
    return notes
