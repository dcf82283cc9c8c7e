"""What a GPU changes in a plan, with a card that is only described: no GPU is needed."""

from types import SimpleNamespace

import pytest
import torch

from groundup.model import ModelShape
from groundup.parallel.accelerator import compile_flops, describe_device, microbatch_tokens

GPT2 = ModelShape("qwen3", 50_304, 12, 768, 12, 12, 64, 2048, 1024, tied=True)
BILLION = ModelShape("qwen3", 50_304, 18, 2048, 16, 16, 128, 5504, 2048, tied=True)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(name="NVIDIA H200", total_memory=141 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: found)
    return found


def test_a_processors_microbatch_is_bounded_by_tokens_and_logits() -> None:
    assert microbatch_tokens("cpu", GPT2)[0] == 2**27 // 50_304
    small = ModelShape("qwen3", 257, 4, 128, 2, 2, 64, 384, 128, tied=True)
    assert microbatch_tokens("cpu", small)[0] == 8_192
    assert compile_flops("cpu") == 1e13


def test_a_gpus_microbatch_fits_its_memory(card: SimpleNamespace) -> None:
    large, reason = microbatch_tokens("auto", BILLION)
    assert 16_384 <= large < microbatch_tokens("cuda", GPT2)[0] <= 65_536
    assert "141 GB" in reason
    card.total_memory = 24 * 10**9
    assert 1_024 <= microbatch_tokens("cuda", GPT2)[0] < 16_384
    card.total_memory = 8 * 10**9
    assert microbatch_tokens("cuda", BILLION)[0] == 1  # the weights alone do not fit: torch will say so
    assert microbatch_tokens("cpu", GPT2)[0] == 2**27 // 50_304


def test_a_gpu_is_named_and_compiles_only_for_long_runs(card: SimpleNamespace) -> None:
    assert compile_flops("auto") > 100 * compile_flops("cpu")
    assert describe_device(torch.device("cuda")).startswith("NVIDIA H200, 141 GB: flash attention")
    assert describe_device(torch.device("cpu")) == "what this machine has"
