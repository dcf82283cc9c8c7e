"""`explain loss` for a terminal: a text colored by surprise, with marks below that need no color, and its figures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from groundup.reporting.explanations.drawing import bar, cell, quote, table
from groundup.reporting.wording import number, percent, whole

_WIDTH, _TOKENS, _ROWS = 76, 160, 12
_MARKS = "▁▂▃▄▅▆▇█"
# from a token that was sure to one that nobody expected; pale, for black letters on dark and light terminals
_HEAT = ("#f4f1e8", "#fbe8c0", "#fbd58f", "#f9bd74", "#f5a067", "#ee8262", "#e4645f", "#d5455c")


def show_loss(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_loss`."""
    tokens, mean, uniform = result["tokens"], result["mean"], result["uniform"]
    rows = table("token", "p", "-ln p", "rank", "the model's own guess", "its p", right=("p", "-ln p", "rank", "its p"))
    for token in tokens[:_ROWS]:
        rows.add_row(
            cell(token["token"], 16),
            _exact(token["probability"]),
            number(token["loss"], 3),
            whole(token["rank"]),
            cell(token["likeliest"], 16),
            _exact(token["likeliest_probability"]),
        )
    more = [f"… and {whole(len(tokens) - _ROWS)} more (--json has all)"] if len(tokens) > _ROWS else []
    text_of = (
        "It is from the validation split: training has not read it."
        if result["held_out"]
        else "It is from the training text: this run held nothing out."
        if result["source"]
        else ""
    )
    return Group(
        *quote(result),
        *([text_of] if text_of else []),
        "",
        *_marked(tokens[:_TOKENS], uniform),
        f"{_MARKS[0]} expected   {_MARKS[-1]} as surprising as a blind guess (ln {whole(result['vocab_size'])} = "
        f"{number(uniform, 3)}) or more",
        "",
        rows,
        *more,
        "",
        f"loss         {number(mean['loss'], 4)} nats per token: the sum of all -ln p / {whole(mean['tokens'])} tokens",
        f"             torch's cross_entropy says {number(result['cross_entropy'], 4)}, "
        f"{result['difference']:.1e} from it",
        f"perplexity   {number(mean['perplexity'], 2)} = exp({number(mean['loss'], 4)}): a blind choice among so many",
        f"accuracy     {percent(mean['accuracy'])}: how often the right token was the likeliest",
        f"bits a byte  {number(mean['bits_per_byte'], 4)} = {number(mean['loss'] * mean['tokens'], 2)} nats / "
        f"({whole(mean['bytes'])} bytes x ln 2), for any tokenizer",
        "",
        *_ladder(result),
        "",
        "Training makes the mean of -ln p small, which is to make the probability of what really comes large. A token "
        "that was given p = 1 costs nothing; one given a tenth of another's p costs ln 10 = "
        f"{number(math.log(10), 3)} nats more.",
    )


def _exact(p: float) -> str:
    """`0.17331`, `1.3679e-05`: five significant digits, so that a calculator's -ln of it is the loss beside it."""
    return f"{p:#.5g}"


def _marked(tokens: Sequence[Mapping[str, Any]], uniform: float) -> Iterator[Text]:
    """Pairs of lines: tokens in color, and below each its surprise."""
    above, below = Text(no_wrap=True), Text(no_wrap=True)
    for token in tokens:
        shown = cell(token["token"])
        if above and cell_len(above.plain) + cell_len(shown) > _WIDTH:
            yield above
            yield below
            above, below = Text(no_wrap=True), Text(no_wrap=True)
        level = min(len(_MARKS) - 1, int(token["loss"] / uniform * len(_MARKS)))
        above.append(shown, style=f"black on {_HEAT[level]}")
        below.append(_MARKS[level] * cell_len(shown), style="dim")
    if above:
        yield above
        yield below


def _ladder(result: Mapping[str, Any]) -> list[RenderableType]:
    """The loss of nothing learned, of counting, of this model, the largest first."""
    uniform = result["uniform"]
    rows = table("loss", "nats a token", "", right=("nats a token",))
    padding = f" ({whole(result['padding'])} padding)" if result["padding"] else ""
    losses = {f"ln {whole(result['vocab_size'])}: all alike{padding}": uniform, **result["baselines"]}
    for name, loss in sorted(losses.items(), key=lambda entry: -entry[1]):
        rows.add_row(name, number(loss, 3), bar(loss / uniform, 24))
    rows.add_row("this text", number(result["mean"]["loss"], 3), bar(result["mean"]["loss"] / uniform, 24))
    told = []
    if result["padding"]:
        tokens = result["vocab_size"] - result["padding"]
        told.append(
            f"The output has {whole(result['vocab_size'])} rows, a whole multiple of 64, for {whole(tokens)} tokens. "
            f"An untrained model finds all rows equally likely, so its loss is ln {whole(result['vocab_size'])} = "
            f"{number(uniform, 3)}, not ln {whole(tokens)} = {number(math.log(tokens), 3)}."
        )
    if len(result["baselines"]) == 1:
        told.insert(0, "The first step's is of its batch.")
    elif result["baselines"]:
        told.insert(0, "All but the last are of the validation split (the first step's of its batch).")
    return [rows, *told]
