"""The compiled decoder gives the logits and the texts of torch, whatever the model's shape and precision."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_models import BYTES, random_model

from groundup.inference import PackedModel, SamplingSettings, generate, native
from groundup.inference.native import native_decoder
from groundup.model import ModelShape, Transformer

needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
SHAPES = {
    "grouped": ModelShape("qwen3", 61, 2, 96, 6, 2, 16, 80, 48, tied=True),
    "llama": ModelShape("llama", 64, 3, 64, 4, 4, 32, 128, 48, tied=False),
    "odd": ModelShape("qwen3", 67, 1, 37, 3, 1, 10, 45, 48, tied=False),  # nothing a multiple of a vector
}
TEXT = SamplingSettings(temperature=1.0, top_k=0, top_p=0.95, seed=5, max_new_tokens=100)
PROMPTS = ["a", "The quick", "0123456789abcdefghijklmnopqrstuvwxyz"]


def filled(shape: ModelShape) -> Transformer:
    model, draws = Transformer(shape), torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=draws)
        parameter.data = noise / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 1 + 0.2 * noise
    return model.eval()


@needs_compiler
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", SHAPES)
def test_its_logits_and_its_cache_are_those_of_torch(name, precision):
    packed = PackedModel(filled(SHAPES[name]), precision)
    decoder = native_decoder(packed)
    assert decoder
    ids = torch.randint(61, (1, 40), generator=torch.Generator().manual_seed(1))
    caches = [packed.cache(1, 48) for _ in range(2)]
    for cache in caches:
        packed(ids[:, :30], cache)
    bound = 2e-5 if precision == "float32" else 0.1
    for position in range(30, 40):
        expected = packed(ids[:, position : position + 1], caches[0], torch.tensor([[position]]))[:, 0]
        found = decoder.step(int(ids[0, position]), position, caches[1])
        torch.testing.assert_close(found, expected.float(), atol=bound, rtol=0)
    torch.testing.assert_close(caches[0].keys, caches[1].keys, atol=bound, rtol=0)
    torch.testing.assert_close(caches[0].values, caches[1].values, atol=bound, rtol=0)


@needs_compiler
@pytest.mark.parametrize("arch", ["qwen3", "llama"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_its_texts_are_those_of_the_model_without_a_cache(arch, temperature):
    settings = replace(TEXT, temperature=temperature)
    for seed in range(4):
        model = random_model(seed, context=33, arch=arch)
        packed = PackedModel(model)
        alone = [generate(packed, BYTES, [prompt], settings)[0] for prompt in PROMPTS]
        assert alone == generate(model, BYTES, PROMPTS, settings, use_cache=False)
        assert alone == generate(packed, BYTES, PROMPTS, settings)  # rows leave, until one decodes alone
        assert any(text.slides > 1 for text in alone)


@needs_compiler
def test_threads_change_no_bit(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    packed = PackedModel(filled(SHAPES["grouped"]))
    decoder = native_decoder(packed)
    assert decoder
    threads, logits = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            assert decoder.threads == number
            logits.append(decoder.step(3, 0, packed.cache(1, 8)).clone())
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


@needs_compiler
def test_it_follows_from_one_cache_to_another():
    packed = PackedModel(filled(SHAPES["llama"]))
    decoder = native_decoder(packed)
    assert decoder
    first = decoder.step(5, 0, packed.cache(1, 8)).clone()
    small, large = packed.cache(1, 8), packed.cache(1, 40)
    for cache in (small, large):
        torch.testing.assert_close(decoder.step(5, 0, cache), first, atol=0, rtol=0)
    assert torch.equal(small.keys, large.keys[:, :, :, :8])


@needs_compiler
def test_a_cache_of_another_capacity_in_the_same_memory_is_another_cache():
    packed = PackedModel(filled(SHAPES["llama"]))
    decoder = native_decoder(packed)
    assert decoder
    fresh, small, large = packed.cache(1, 8), packed.cache(1, 8), packed.cache(1, 40)
    decoder.step(5, 0, large)
    large.keys.zero_()
    large.values.zero_()
    small.keys, small.values = (
        held.flatten()[: fresh.keys.numel()].view(fresh.keys.shape) for held in (large.keys, large.values)
    )
    for position in range(8):
        found = decoder.step(9, position, small).clone()
        torch.testing.assert_close(found, decoder.step(9, position, fresh), atol=0, rtol=0)
    assert torch.equal(small.keys, fresh.keys)
    assert not large.keys.flatten()[fresh.keys.numel() :].any()  # nothing was written beyond it


@needs_compiler
def test_a_small_model_takes_one_thread_unless_their_number_was_chosen(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        decoder = native_decoder(PackedModel(filled(SHAPES["odd"])))
        assert decoder
        assert decoder.threads == 1
    finally:
        torch.set_num_threads(threads)


def test_without_a_compiler_texts_are_the_same(monkeypatch, tmp_path):
    packed = PackedModel(random_model(1))
    text = generate(packed, BYTES, ["a"], TEXT)
    native._library.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        assert native_decoder(packed) is None
        assert generate(packed, BYTES, ["a"], TEXT) == text
    finally:
        native._library.cache_clear()


@needs_compiler
def test_code_that_does_not_compile_and_a_home_that_cannot_be_written_mean_none(monkeypatch, tmp_path):
    (tmp_path / "bad.cpp").write_text("no C++")
    packed = PackedModel(random_model(1))
    native._library.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    try:
        with monkeypatch.context() as patch:
            patch.setattr(native, "_SOURCE", tmp_path / "bad.cpp")
            assert native_decoder(packed) is None
        native._library.cache_clear()
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert native_decoder(packed) is None
    finally:
        native._library.cache_clear()


@needs_compiler
def test_it_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = "from groundup.inference import native; assert native._library()"
    written = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=True)
        written += [path.stat().st_mtime_ns for path in (tmp_path / "groundup").iterdir()]
    assert len(written) == 2
    assert written[0] == written[1]


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners and modes")
def test_code_that_others_may_have_written_is_not_loaded(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "groundup"
    load = native._library.__wrapped__
    try:
        assert load()
        (library,) = folder.iterdir()
        for planted, mode in ((library, 0o720), (library, 0o702)):
            planted.write_bytes(b"not ours")
            planted.chmod(mode)
            assert load()
            assert library.stat().st_size > 1000  # compiled again
            assert library.stat().st_mode & 0o777 == 0o700
        for mode in (0o770, 0o707):
            folder.chmod(mode)
            assert load() is None
        folder.chmod(0o700)
        monkeypatch.setattr(os, "getuid", lambda: library.stat().st_uid + 1)
        assert load() is None
    finally:
        folder.chmod(0o700)


@needs_compiler
def test_no_home_and_a_compiler_that_does_not_start_mean_none(monkeypatch, tmp_path):
    load = native._library.__wrapped__

    def no_home(_: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    with monkeypatch.context() as patch:
        patch.delenv("XDG_CACHE_HOME", raising=False)
        patch.setattr(Path, "home", classmethod(no_home))
        assert load() is None
    (tmp_path / "g++").write_text("#!/no/such/interpreter\n")
    (tmp_path / "g++").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load() is None
