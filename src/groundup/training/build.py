"""A model, its optimizer and its batches from a configuration in which every value is decided."""

import torch

from groundup.config import Config
from groundup.corpus import Batches, Corpus
from groundup.model import ModelShape, Transformer, initialize
from groundup.parallel import Compute, keep_freed_memory
from groundup.training.optimizers import Optimizers, build_optimizer


def build_model(shape: ModelShape, config: Config, compute: Compute) -> Transformer:
    """The untrained model on its device, in training mode: a function of the shape and the seed."""
    model = Transformer(shape)
    initialize(model, config.training.seed)
    model.attention = compute.attention
    return model.to(compute.device).train()


def build_optimizers(model: Transformer, config: Config, compute: Compute) -> Optimizers:
    """The optimizer at its start; Muon computes in bfloat16 where the run does."""
    if compute.device.type == "cpu":
        keep_freed_memory()  # here, because all that trains comes by, and nothing else does
    dtype = torch.bfloat16 if compute.precision == torch.bfloat16 else torch.float32
    return build_optimizer(model, config.optimizer, dtype)


def build_batches(config: Config, corpus: Corpus) -> Batches:
    """The training batches: whole sequences of the context, `tokens_per_update` tokens in each."""
    assert config.training.tokens_per_update and config.model.context
    batch = config.training.tokens_per_update // config.model.context
    return Batches(corpus.train, context=config.model.context, batch=batch, seed=config.training.seed)
