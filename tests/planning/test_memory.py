"""The memory a run is expected to hold: its parts grow with what they are made of."""

from typing import Any

import pytest

from groundup.config import load_config
from groundup.evaluation.reference import COUNTED_TOKENS
from groundup.model import ModelShape
from groundup.planning.memory import COUNTING_BYTES, RATIOS, START, expected_memory, peak_bytes


def peak(tokens: int = 10_000, settings: dict[str, Any] | None = None, **sizes: Any) -> int:
    shape = {"vocab_size": 1024, "layers": 4, "width": 128, "heads": 4, "kv_heads": 4, "head_dim": 32}
    shape |= {"ffn_width": 384, "context": 128, "tied": False, "arch": "qwen3"}
    config = load_config(None, {"training.microbatch": 4, "optimizer.name": "muon", **(settings or {})})
    return peak_bytes(ModelShape(**{**shape, **sizes}), config, tokens)


def test_a_large_corpus_is_dear_while_its_n_grams_are_counted_and_no_dearer_beyond_what_is_counted() -> None:
    counted = [peak(tokens) for tokens in (10_000, 2_000_000, COUNTED_TOKENS, 10 * COUNTED_TOKENS)]
    assert counted[0] < counted[1] < counted[2] == counted[3]
    assert counted[2] == pytest.approx(START + COUNTING_BYTES * COUNTED_TOKENS)


@pytest.mark.parametrize(
    "larger",
    [
        {"layers": 8},
        {"width": 256},
        {"vocab_size": 65_536},
        {"context": 512},
        {"settings": {"training.microbatch": 16}},
        {"settings": {"optimizer.name": "adamw"}},
    ],
)
def test_every_part_of_a_step_counts(larger: dict[str, Any]) -> None:
    assert peak(**larger) > peak()


def test_weights_are_held_with_their_gradients_their_moments_and_a_copy_for_the_checkpoint() -> None:
    settings = {"optimizer.name": "adamw", "training.microbatch": 1, "device.precision": "float32"}
    sizes = {"vocab_size": 64, "width": 1024, "ffn_width": 2752, "heads": 16, "kv_heads": 16, "head_dim": 64}
    few, many = (peak(settings=settings, layers=layers, context=8, **sizes) for layers in (10, 20))
    parameters = 10 * (4 * 1024**2 + 3 * 1024 * 2752)
    # weights, gradients, two moments, and weights and moments once more for the checkpoint
    assert many - few == pytest.approx(4 * 7 * parameters, rel=0.05)


def test_what_was_held_already_is_expected_and_the_run_may_hold_less() -> None:
    assert expected_memory(10**9, so_far=10**6).low == RATIOS[0] * 10**9
    held = expected_memory(10**9, so_far=2 * 10**9)
    assert held.expected == 2 * 10**9
    assert held.low == RATIOS[0] * held.expected and held.high == RATIOS[1] * held.expected
