"""`explain sampling` for a terminal: one distribution, and what each setting makes of it."""

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType

from groundup.reporting.explanations.drawing import bar, cell, quote, table
from groundup.reporting.wording import number, percent, whole

_DRAWN = 5


def show_sampling(result: Mapping[str, Any]) -> RenderableType:
    """The result of `explain_sampling`."""
    settings, tokens = result["settings"], result["tokens"]
    plain, size = settings[0], result["vocab_size"]
    likeliest = table("next", "logit", "probability", "", right=("logit", "probability"))
    for token, p in zip(tokens, plain["probabilities"], strict=True):
        likeliest.add_row(cell(token["token"], 16), number(token["logit"], 2), _percent(p, 2), bar(p, 40))
    names = [row["name"] for row in settings]
    after = table("next", *names, right=names)
    for place, token in enumerate(tokens):
        shares = (row["probabilities"][place] for row in settings)
        after.add_row(cell(token["token"], 10), *(_percent(p, 1) if p else "–" for p in shares))
    figures = table(
        "", "kept", "mass", "entropy", "like", "drawn with the seed", right=("kept", "mass", "entropy", "like")
    )
    for row in settings:
        drawn = " ".join(cell(token, 9) for token in row["drawn"][:_DRAWN])
        entropy = row["entropy"]
        kept = (whole(row["kept"]), percent(row["mass"]))
        figures.add_row(row["name"], *kept, number(entropy, 3), number(math.exp(entropy), 1), drawn)
    real = "" if result["next"] is None else f"What really comes next: {cell(result['next'])}"
    return Group(
        *quote(result, "prompt"),
        *([real] if real else []),
        "",
        f"The model gives a probability to each of {whole(size)} tokens. The likeliest:",
        "",
        likeliest,
        "",
        "After each setting (– is out of the draw):",
        "",
        after,
        "",
        figures,
        "",
        "plain: p = exp(logit) / sum of all exp(logit). T, the temperature, divides the logits first: below 1 the "
        "likely become likelier, above 1 all become more alike. top-k keeps so many likeliest tokens, and what ties "
        "with the last; top-p the fewest that together reach so much; min-p those with at least that share of the "
        "likeliest's probability. What is kept is divided by its mass, so that it sums to 1. default is what "
        f"`groundup generate` uses (temperature {_setting(result, 'temperature')}, "
        f"top-k {_setting(result, 'top_k')}); greedy always takes the first.",
        "",
        "kept: tokens that can be drawn; mass: what they had together; entropy: -sum of p ln p, in nats; like: "
        "exp(entropy), the number of equally likely tokens that would be as uncertain. The tokens drawn are those that "
        f"`groundup generate --seed {result['seed']} --n {_DRAWN}` begins its texts with after this prompt, given the "
        "same settings.",
    )


def _percent(p: float, digits: int) -> str:
    """So many decimals, but never 0 for what is not 0: `17.31%`, `0.0014%`."""
    return f"{100 * p:.{digits}f}%" if 100 * p >= 10.0 ** (1 - digits) else f"{100 * p:.2g}%"


def _setting(result: Mapping[str, Any], name: str) -> str:
    own = next(row["settings"] for row in result["settings"] if row["name"] == "default")
    return number(own[name], 1) if isinstance(own[name], float) else whole(own[name])
