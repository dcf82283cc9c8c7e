"""From logits to the next token: a probability for every token, then one draw that no other row changes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.errors import UserError
from groundup.seeds import derive


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How texts are drawn; raises UserError naming the setting for a value that cannot be used."""

    temperature: float = 0.8
    """Divides the logits; 0 is greedy: always the likeliest token."""
    top_k: int = 50
    """Draw among this many likeliest tokens; 0 is all."""
    top_p: float = 1.0
    """Draw among the fewest likeliest tokens that together have this probability; 1 is all."""
    min_p: float = 0.0
    """Draw among tokens at least this share as likely as the likeliest; 0 is all."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that the text already holds become less likely; 1 changes nothing."""
    seed: int = 0
    """Names every draw, together with the number of the sample and of the token."""
    stop: tuple[str, ...] = ()
    """A text ends before the first of these."""
    max_new_tokens: int = 200
    """A text ends after this many tokens."""

    def __post_init__(self) -> None:
        _number("temperature", self.temperature, 0, math.inf)
        _number("top_p", self.top_p, 0, 1)
        _number("min_p", self.min_p, 0, 1)
        _number("repetition_penalty", self.repetition_penalty, 0, math.inf)
        _whole("top_k", self.top_k, 0)
        _whole("seed", self.seed, 0)
        _whole("max_new_tokens", self.max_new_tokens, 1)
        if self.top_p == 0:
            raise UserError("is 0: no token would be left", where="top_p", fix="use more than 0, up to 1")
        if self.repetition_penalty == 0:
            raise UserError("is 0", where="repetition_penalty", fix="use 1 for none, or slightly more, like 1.1")
        if not isinstance(self.stop, tuple) or not all(isinstance(text, str) and text for text in self.stop):
            raise UserError(f"is {self.stop!r}", where="stop", fix="give texts of at least one character")


def probabilities(logits: Tensor, settings: SamplingSettings, previous: Sequence[int] = ()) -> Tensor:
    """Logits (V,) to probabilities (V,) in float64: penalty, temperature, top-k, top-p, min-p, in this order.

    `previous` are the tokens that the repetition penalty applies to: positive logits are divided by it,
    negative ones multiplied (CTRL, arXiv 1909.05858, section 4.1). Tokens tied with the last of the top k are
    kept; with temperature 0 the first of the likeliest tokens has probability 1.
    """
    chances, ids = _candidates(logits[None], settings, [previous])
    return chances.new_zeros(logits.shape).scatter(0, ids[0], chances[0])


def choose(probability: Tensor, seed: int, sample: int, step: int) -> int:
    """One token drawn from probabilities (V,), a pure function of them and of (seed, sample, step)."""
    return int(_places(probability[None], [_uniform(seed, sample, step)]))


def draw(
    logits: Tensor, settings: SamplingSettings, previous: Sequence[Sequence[int]], draws: Sequence[tuple[int, int]]
) -> list[int]:
    """The next token of each row of `logits` (B, V): `choose` among `probabilities`, for all rows at once.

    `previous` are the tokens of each row, which only a repetition penalty looks at; `draws` its (sample, step).
    """
    chances, ids = _candidates(logits, settings, previous)
    if ids.shape[1] == 1:
        return ids[:, 0].tolist()
    places = _places(chances, [_uniform(settings.seed, sample, step) for sample, step in draws])
    return ids.gather(1, places)[:, 0].tolist()


def _candidates(logits: Tensor, settings: SamplingSettings, previous: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Logits (B, V) to probabilities (B, n) in float64 of the tokens (B, n), which ascend; the others have none."""
    scores = _penalized(logits.detach(), settings.repetition_penalty, previous)
    if settings.temperature == 0:
        ids = scores.argmax(1, keepdim=True).cpu()
        return torch.ones_like(ids, dtype=torch.float64), ids
    if 0 < settings.top_k < scores.shape[1]:
        # with a large vocabulary everything after this works on k numbers instead of all
        top = scores.topk(settings.top_k)
        least = top.values[:, -1:]
        kept = int((scores >= least).sum(1).max())
        if kept > settings.top_k:
            top = scores.topk(kept)
        ids, order = top.indices.sort(1)
        # the few that are left: a GPU would take longer to start what follows, and not every one knows float64
        ids, scores, least = ids.cpu(), top.values.gather(1, order).cpu(), least.cpu()
        scores = scores.double().masked_fill(scores < least, -math.inf)
    else:
        scores = scores.cpu()
        ids = torch.arange(scores.shape[1], device=scores.device).expand(scores.shape)
        scores = scores.double()
    # the largest becomes 0 before the division, so that a tiny temperature cannot overflow
    result = ((scores - scores.amax(1, keepdim=True)) / settings.temperature).softmax(1)
    if settings.top_p < 1:
        ordered, index = result.sort(dim=1, descending=True, stable=True)
        # a token stays while those before it have not yet reached top_p; the first always stays
        reached = ordered.cumsum(1) - ordered >= settings.top_p
        result = result.masked_fill(torch.zeros_like(reached).scatter(1, index, reached), 0.0)
    if settings.min_p > 0:
        result = result.masked_fill(result < settings.min_p * result.amax(1, keepdim=True), 0.0)
    return result / result.sum(1, keepdim=True), ids


def _penalized(logits: Tensor, penalty: float, previous: Sequence[Sequence[int]]) -> Tensor:
    if penalty == 1 or not any(previous):
        return logits
    scores = logits.cpu().double()  # a copy, unless it was float64 there already
    scores = scores.clone() if scores is logits else scores
    for row, tokens in zip(scores, previous, strict=True):
        seen = torch.tensor(sorted(set(tokens)), dtype=torch.long, device=scores.device)
        old = row[seen]
        row[seen] = torch.where(old > 0, old / penalty, old * penalty)
    return scores


def _uniform(seed: int, sample: int, step: int) -> float:
    return (derive(seed, f"sample/{sample}", step) >> 10) / 2**53  # 53 bits: exact, and always below 1


def _places(chances: Tensor, uniform: Sequence[float]) -> Tensor:
    """Where each row of `chances` (B, n) reaches its number from [0, 1): (B, 1)."""
    total = chances.cumsum(1)
    draws = torch.tensor(uniform, dtype=total.dtype, device=total.device)[:, None]
    places = torch.searchsorted(total, draws * total[:, -1:], right=True)
    # rounding may carry the draw past the last possible token
    possible = torch.arange(chances.shape[1], device=chances.device) * (chances > 0)
    return places.minimum(possible.amax(1, keepdim=True))


def _number(name: str, value: float, least: float, most: float) -> None:
    if type(value) not in (int, float) or not (least <= value <= most) or math.isinf(value):
        bounds = f"from {least} to {most}" if most != math.inf else f"of at least {least}"
        raise UserError(f"is {value!r}", where=name, fix=f"use a number {bounds}")


def _whole(name: str, value: int, least: int) -> None:
    if type(value) is not int or not least <= value < 2**63:
        raise UserError(f"is {value!r}", where=name, fix=f"use a whole number of at least {least}")
