"""`explain predictions` for a terminal: the same prompts through training, beside what counting would say."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import bar, cell, table
from groundup.reporting.wording import number, percent, tail, whole

_TOP = 4


def show_predictions(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_predictions`."""
    parts: list[RenderableType] = []
    for prompt in result["prompts"]:
        rows = table("", "first", "second", "third", "fourth")
        for moment in prompt["moments"]:
            best = " (best)" if moment["step"] == result["best_step"] else ""
            untrained = " (untrained)" if moment["step"] == 0 else ""
            rows.add_row(f"step {whole(moment['step'])}{best}{untrained}", *_tokens(moment["top"]))
        rows.add_row("bigram", *_tokens(prompt["bigram"]["top"]))
        rows.add_row("unigram", *_tokens(prompt["unigram"]["top"]))
        parts += [f"“{tail(prompt['prompt'], 240)}” …", "", rows, ""]
    losses = sorted(result["losses"].items(), key=lambda entry: -entry[1])
    ladder = table("loss on the validation split", "nats a token", "", right=("nats a token",))
    for name, loss in losses:
        ladder.add_row(name, number(loss, 3), bar(loss / losses[0][1], 24))
    compared = result["recorded"]
    check = (
        f" {whole(compared['compared'])} of the probabilities that the run wrote into probes.jsonl were computed again "
        f"from its checkpoints: the largest difference is {compared['largest_difference']:.1e}."
        if compared["compared"]
        else ""
    )
    return Group(
        *parts,
        *([ladder, ""] if losses else []),
        "unigram knows only how common each token is, bigram only what follows the prompt's last token "
        f"({', '.join(cell(prompt['last'], 16) for prompt in result['prompts'])}): both are counted in the training "
        "text. A model that has learned no more than that says what they say. An untrained one gives all tokens nearly "
        f"the same: which come first there means nothing.{check}",
    )


def _tokens(top: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [f"{cell(row['token'], 9)} {percent(row['probability'])}" for row in top[:_TOP]]
    return shown + [""] * (_TOP - len(shown))
