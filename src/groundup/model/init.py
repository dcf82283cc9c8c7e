"""The weights a model starts from: a pure function of shape and seed."""

import math

import torch
from torch import nn

from groundup.model.transformer import Transformer
from groundup.seeds import derive


@torch.no_grad()
def initialize(model: Transformer, seed: int) -> Transformer:
    """Fill all weights and return the model; the first loss is ln V.

    Matrices are uniform with standard deviation 1/sqrt(fan_in); what writes into the residual stream (o_proj,
    down_proj) is zero, so that every block starts as the identity; an untied head is zero, so that all tokens
    start equally likely; norms are one.
    """
    # drawn on the CPU, so that device and thread count cannot change the start
    generator = torch.Generator().manual_seed(derive(seed, "init"))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            nn.init.ones_(parameter)
            continue
        draw = torch.empty(parameter.shape)
        if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
            draw.zero_()
        elif name.endswith("embed_tokens.weight"):
            draw.normal_(0.0, embedding_std(model.shape.width, model.shape.tied), generator=generator)
        else:
            bound = math.sqrt(3 / parameter.shape[1])
            draw.uniform_(-bound, bound, generator=generator)
        parameter.copy_(draw)
    return model


def embedding_std(width: int, tied: bool) -> float:
    """Standard deviation of the embedding at the start.

    A tied model's first logit for the token it has just read is width * std (the row times itself,
    normalized): std is bounded so that this stays 2 and the first loss stays ln V.
    """
    return min(0.02, 2 / width) if tied else 0.02
