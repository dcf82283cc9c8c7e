"""Small real models for the tests of this room: one random, one that recites a text."""

from itertools import pairwise

import torch

from groundup.corpus.tokenizer import Tokenizer
from groundup.model import ModelShape, Transformer

BYTES = Tokenizer.of_bytes()


def random_model(seed: int, context: int = 16, vocab_size: int = BYTES.vocab_size, arch="qwen3") -> Transformer:
    """Every weight random and large enough that the text depends on all tokens in the context."""
    model = Transformer(ModelShape(arch, vocab_size, 2, 32, 4, 2, 8, 48, context, tied=False))
    draws = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=draws)
        parameter.data = 2 * noise / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 1 + 0.2 * noise
    return model.eval()


def reciting_model(text: bytes, context: int = 64) -> Transformer:
    """After `<|endoftext|>` comes `text`, then `<|endoftext|>` again; no byte may occur twice.

    The blocks are zero, the embedding is the identity and the head a table of successors.
    """
    size = BYTES.vocab_size
    model = Transformer(ModelShape("qwen3", size, 1, size, 1, 1, 2, 2, context, tied=False))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.ones_(parameter)
    ids = [BYTES.eos_id, *(byte_id(byte) for byte in text), BYTES.eos_id]
    assert len(set(ids)) == len(ids) - 1
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        for before, after in pairwise(ids):
            model.lm_head.weight[after, before] = 1.0
    return model.eval()


def byte_id(byte: int) -> int:
    """The token of one byte."""
    return next(i for i in range(BYTES.vocab_size) if BYTES.decode_bytes([i]) == bytes([byte]))
