"""The forward pass taken apart gives what the model gives, whatever its shape."""

import pytest
import torch

from groundup.insight.trace import trace
from groundup.model import ModelShape, Transformer


@pytest.mark.parametrize(("arch", "kv_heads", "tied"), [("qwen3", 4, False), ("qwen3", 2, True), ("llama", 1, False)])
def test_logits_are_those_of_the_model(arch, kv_heads: int, tied: bool) -> None:
    shape = ModelShape(
        arch=arch,
        vocab_size=50,
        layers=3,
        width=24,
        heads=4,
        kv_heads=kv_heads,
        head_dim=8,
        ffn_width=40,
        context=16,
        tied=tied,
    )
    generator = torch.Generator().manual_seed(1)
    model = Transformer(shape).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 + (parameter.ndim == 1))
    ids = torch.randint(50, (1, 16), generator=generator)
    found = trace(model, ids)
    torch.testing.assert_close(found.logits, model(ids), rtol=1e-4, atol=1e-4)
    assert found.logits.std() > 0.1
    assert found.blocks[0]["k"].shape == (1, kv_heads, 16, 8)
    assert found.blocks[0]["weights"].shape == (1, 4, 16, 16)


def test_the_shapes_are_those_that_are_promised() -> None:
    sizes = {"vocab_size": 30, "layers": 1, "width": 12, "heads": 3, "kv_heads": 1, "head_dim": 4, "ffn_width": 20}
    model = Transformer(ModelShape(arch="qwen3", context=8, tied=True, **sizes)).eval()
    block = trace(model, torch.zeros(1, 5, dtype=torch.long)).blocks[0]
    stream, heads, group, inner = (1, 5, 12), (1, 3, 5, 4), (1, 1, 5, 4), (1, 5, 20)
    expected = {"norm1": stream, "q": heads, "k": group, "v": group, "q_rotated": heads, "k_rotated": group}
    expected |= {"weights": (1, 3, 5, 5), "mixed": (1, 5, 12), "attended": stream, "stream1": stream, "norm2": stream}
    expected |= {"gate": inner, "up": inner, "gated": inner, "fed": stream, "stream2": stream}
    assert {name: tuple(tensor.shape) for name, tensor in block.items()} == expected
