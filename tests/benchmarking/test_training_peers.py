"""The peers are of one size with ours, their operations are counted right, and their loop learns."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from groundup.benchmarking import SHAPES, Shape, training_ours, training_peers

SMALL = Shape(layers=2, heads=2, width=16, context=16, batch=2, vocabulary=65)


def sizes(shape: Shape) -> dict[str, int]:
    return {**asdict(shape), "ffn_width": shape.ffn_width}


@pytest.mark.parametrize("name", SHAPES)
def test_weights_and_operations_are_within_two_percent_of_gpt2s(name: str) -> None:
    shape = sizes(SHAPES[name])
    with torch.device("meta"):
        gpt2, llama = training_peers.gpt2(shape), training_peers.llama(shape)
    ours = training_ours.model_shape(shape)
    weights, flops = sum(p.numel() for p in gpt2.parameters()), training_peers.flops_per_token(gpt2, shape)
    assert ours.parameters() == pytest.approx(weights, rel=0.02)
    assert sum(p.numel() for p in llama.parameters()) == pytest.approx(weights, rel=0.02)
    assert ours.flops_per_token() == pytest.approx(flops, rel=0.02)
    assert training_peers.flops_per_token(llama, shape) == ours.flops_per_token()


@pytest.mark.parametrize("make", [training_peers.gpt2, training_peers.llama], ids=["gpt2", "llama"])
def test_operations_are_those_that_torch_counts(make: Callable[[dict[str, int]], Any]) -> None:
    model = make(sizes(SMALL))
    model.config._attn_implementation = "eager"  # torch does not count in its fused attention on CPUs
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, SMALL.context, dtype=torch.long)).logits.sum().backward()
    counted = counter.get_total_flops() / SMALL.context
    assert training_peers.flops_per_token(model, sizes(SMALL)) == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt2-bf16"])
def test_a_peer_learns(name: str) -> None:
    facts, work = training_peers.make({"name": name, "shape": sizes(SMALL), "seed": 1})
    assert facts["first_loss"] == pytest.approx(math.log(65), abs=0.2)
    assert facts["precision"] == ("bfloat16" if "bf16" in name else "float32")
    done = work(0.0)
    assert (done["steps"], done["tokens"]) == (1, 32)
    for _ in range(100):
        done = work(0.0)
    assert done["loss"] < facts["first_loss"] - 0.3  # the same eight batches again and again


@pytest.mark.parametrize("name", ["groundup-eager", "groundup-eager-muon"])
def test_ours_learns_on_the_same_tokens(name: str) -> None:
    threads = torch.get_num_threads()
    try:
        facts, work = training_ours.make({"name": name, "shape": sizes(SMALL), "seed": 1})
        assert facts["first_loss"] == pytest.approx(math.log(65), abs=0.2)
        done = {}
        for _ in range(100):
            done = work(0.0)
        assert done["loss"] < facts["first_loss"] - 0.3
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)


def test_all_train_on_the_same_tokens_in_the_same_order() -> None:
    once, again = (training_peers.random_batches(sizes(SMALL), 3) for _ in range(2))
    for (inputs, targets), (same, also) in zip(once, again, strict=True):
        assert torch.equal(inputs, same) and torch.equal(targets, also)
        assert inputs.shape == (2, 16) and torch.equal(inputs[:, 1:], targets[:, :-1])
    assert not torch.equal(once[0][0], once[1][0])
    assert not torch.equal(once[0][0], training_peers.random_batches(sizes(SMALL), 4)[0][0])
