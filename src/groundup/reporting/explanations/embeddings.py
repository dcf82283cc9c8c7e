"""`explain embeddings` for a terminal: neighbors, analogies, and whether they mean something."""

from collections.abc import Mapping
from typing import Any

from rich.cells import set_cell_size
from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import cell, table
from groundup.reporting.wording import number, percent, whole

_NEIGHBORS = 4


def show_embeddings(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_embeddings`."""
    words = table("token", "times", "nearest tokens, with their cosines", right=("times",))
    for word in result["words"]:
        near = (f"{cell(other['token'], 9)} {other['cosine']:.2f}" for other in word["neighbors"][:_NEIGHBORS])
        words.add_row(
            cell(word["token"], 12), whole(word["count"]), "".join(set_cell_size(one, 15) for one in near).rstrip()
        )
    return Group(
        f"Each of {whole(result['vocab_size'])} tokens is a row of {whole(result['width'])} numbers, which training "
        f"moves. Looked at are the {whole(result['candidates'])} that stand {whole(result['seen'])} times or more in "
        "the training text; the cosine of two rows is 1 where they point the same way, about 0 where they have nothing "
        "in common.",
        "",
        words,
        "",
        *_test(result["test"]),
        "",
        *_analogies(result["analogies"]),
    )


def _test(tests: Mapping[str, Mapping[str, Any]]) -> list[RenderableType]:
    now = tests["this checkpoint"]
    verdicts = {
        "clear": "Yes: neighbors are used alike, far more than chance would have it.",
        "faint": "A little: neighbors are used more alike than chance would have it, but most of the way is still to "
        "go. Single neighbors in the list above mean little.",
        "chance": "No: the neighbors above are no better than chance. This model is too small, or has read too little, "
        "for them to mean anything.",
    }
    rows = table(
        "likeness of use",
        "neighbors",
        "by chance",
        "best possible",
        "way there",
        "p",
        right=("neighbors", "by chance", "best possible", "way there", "p"),
    )
    for name, row in tests.items():
        figures = (number(row[key], 3) for key in ("alike", "chance", "best"))
        rows.add_row(name, *figures, percent(max(row["way"], 0)), f"{row['p']:.3f}")
    rule = now["rule"]
    return [
        "Do these neighbors mean something? Two tokens are used alike where the same tokens stand before and after "
        f"them in the training text. For {whole(now['words'])} tokens and the {whole(now['nearest'])} nearest of each:",
        "",
        rows,
        "",
        f"{verdicts[now['reading']]} (By chance: other tokens, as common as the neighbors, in {whole(now['draws'])} "
        "draws; p: the share of draws that come as far, the neighbors counted as one of them. Nothing is claimed "
        f"where p is above {rule['chance']:g} or the way below {percent(rule['some'])}; clear is "
        f"{percent(rule['clear'])} and more.)",
    ]


def _analogies(found: list[Mapping[str, Any]]) -> list[RenderableType]:
    if not found:
        return ["Analogies: the vocabulary has no two pairs of words to ask for one."]
    right = ("pairs", "b-a+c", "c alone", "blind")
    rows = table("relation", *right, "holds?", "example", right=right)
    for row in found:
        holds = {None: "too few", True: "yes", False: "no"}[row["holds"]]
        shares = (percent(row[key]) for key in ("arithmetic", "neighbor", "chance"))
        words = {role: cell(row["example"][role], 8) for role in ("a", "b", "c", "answer")} if row["example"] else {}
        example = "{a}:{b} {c}:{answer}".format(**words) if words else ""
        rows.add_row(row["relation"], whole(row["pairs"]), *shares, holds, example)
    return [
        "Analogies: a is to b as c is to the token nearest to b - a + c. How often that is right, over all pairs of "
        "the vocabulary that differ in this way, beside the token nearest to c alone and a blind choice:",
        "",
        rows,
        "",
        "A relation holds where the arithmetic is right more often than c's neighbor alone by more than two standard "
        "errors. The example is the first question, with the model's answer, right or wrong.",
    ]
