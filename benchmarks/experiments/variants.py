"""Changes that no setting makes: `variant` of an entry, tried by replacing a function of groundup in this process.

What wins here becomes a setting or the rule; what does not stays a line in docs/experiments.md.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.model import Transformer, initialize
from groundup.model.transformer import Embedding
from groundup.training import build
from groundup.training.optimizers import EMBEDDING, Optimizers


def _normalized_embedding(steps: int) -> None:
    """The embedded tokens are divided by their root mean square, as in modded-nanogpt."""
    plain = Embedding.forward

    def forward(self: Embedding, input: Tensor) -> Tensor:
        x = plain(self, input)
        return F.rms_norm(x.float(), x.shape[-1:]).to(x.dtype)

    Embedding.forward = forward


def _started(change: Callable[[str, nn.Parameter, torch.Generator, int], None]) -> Callable[[int], None]:
    """A variant that changes weights after groundup's own start."""

    def variant(steps: int) -> None:
        @torch.no_grad()
        def start(model: Transformer, seed: int) -> Transformer:
            initialize(model, seed)
            generator = torch.Generator().manual_seed(seed)
            for name, parameter in model.named_parameters():
                if parameter.ndim == 2:
                    change(name, parameter, generator, model.shape.layers)
            return model

        build.initialize = start

    return variant


def _as_gpt2(name: str, weight: nn.Parameter, generator: torch.Generator, layers: int) -> None:
    """Normal with deviation .02, what writes into the residual stream by sqrt(2 layers) less (Radford et al. 2019)."""
    residual = name.endswith(("o_proj.weight", "down_proj.weight"))
    weight.normal_(0.0, 0.02 / math.sqrt(2 * layers) if residual else 0.02, generator=generator)


def _unit_embedding(name: str, weight: nn.Parameter, generator: torch.Generator, layers: int) -> None:
    """The embedding starts with deviation 1 and not .02."""
    if name.endswith("embed_tokens.weight"):
        weight.normal_(0.0, 1.0, generator=generator)


def _unit_rows(steps: int) -> None:
    """The embedded tokens always have a root mean square of 1: their rows are scaled back after every update."""
    _started(_unit_embedding)(steps)
    plain = Optimizers.step

    @torch.no_grad()
    def step(self: Any, rate: float) -> None:
        plain(self, rate)
        weight = self._parameters[EMBEDDING]
        weight /= weight.square().mean(1, keepdim=True).sqrt() + 1e-8

    Optimizers.step = step


def _averaged(steps: int) -> None:
    """The run ends with the mean of its weights, exponentially weighted over about the last tenth of its steps."""
    plain, keep = Optimizers.step, 1 - 10 / max(steps, 20)
    means: dict[Optimizers, tuple[int, list[Tensor]]] = {}

    @torch.no_grad()
    def step(self: Any, rate: float) -> None:
        plain(self, rate)
        weights = [parameter.data for parameter in self._parameters.values()]
        done, mean = means.get(self, (0, [weight.clone() for weight in weights]))
        for weight, average in zip(weights, mean, strict=True):
            average.lerp_(weight, 1 - keep)
        means[self] = done + 1, mean
        if done + 1 == steps:
            for weight, average in zip(weights, mean, strict=True):
                weight.copy_(average)

    Optimizers.step = step


VARIANTS: dict[str, Callable[[int], None]] = {
    "normalized embedding": _normalized_embedding,
    "starts as GPT-2": _started(_as_gpt2),
    "embedding starts at 1": _started(_unit_embedding),
    "unit rows": _unit_rows,
    "averaged": _averaged,
}
