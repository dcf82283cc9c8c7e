"""Rows in slots: the step that a GPU records computes what the model does, and texts do not change by it.

Here it runs unrecorded, on the CPU: recording itself needs a GPU.
"""

import sys
from dataclasses import replace

import pytest
import torch
from small_models import BYTES, random_model, reciting_model

from groundup.inference import PackedModel, SamplingSettings, generate
from groundup.inference.slots import SlotDecoder

ROOM = sys.modules["groundup.inference.generate"]
GREEDY = SamplingSettings(temperature=0, max_new_tokens=70)
SAMPLED = SamplingSettings(temperature=1.0, top_k=20, seed=5, stop=("e",), max_new_tokens=70)
PROMPTS = ["a", "", "The quick", "0123456789abcdefghijklmnopqrstuvwxyz", "fifteen letters"]


@pytest.fixture
def in_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROOM, "_RECORDED", ("cpu",))


@pytest.mark.parametrize("arch", ["qwen3", "llama"])
def test_a_step_gives_the_logits_of_the_model_at_every_rows_own_position(arch) -> None:
    model = random_model(2, context=24, arch=arch)
    packed = PackedModel(model)
    lengths = [1, 7, 20]
    ids = torch.randint(257, (3, 24), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        decoder, part = SlotDecoder(packed, 3, 24), packed.cache(3, 24)
        packed.hidden(ids, part)
        decoder.cache.put(range(3), part)
        decoder.cache.keys[:, 1, :, 8:] = 99.0  # slots after a row's own token are never read
        for _ in range(3):
            tokens = [int(ids[row, length]) for row, length in enumerate(lengths)]
            logits = decoder.step(tokens, lengths).clone()
            for row, length in enumerate(lengths):
                assert torch.allclose(logits[row], model(ids[row : row + 1, : length + 1])[0, -1], atol=2e-4)
            lengths = [length + 1 for length in lengths]


@pytest.mark.usefixtures("in_slots")
@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("seed", range(4))
def test_texts_are_the_same_in_slots(monkeypatch, settings, seed) -> None:
    packed = PackedModel(random_model(seed, context=(16, 33, 90, 24)[seed]))
    slots = generate(packed, BYTES, PROMPTS, settings, n=2)
    assert packed.recorded is not None and packed.recorded.rows == 10
    monkeypatch.setattr(ROOM, "_RECORDED", ())
    assert slots == generate(packed, BYTES, PROMPTS, settings, n=2)
    assert any(text.slides for text in slots)
    if settings.stop:
        assert len({len(text.token_ids) for text in slots}) > 1  # rows that end leave their slot to nobody


@pytest.mark.usefixtures("in_slots")
def test_texts_of_one_length_share_a_decoder_and_nothing_of_their_content() -> None:
    packed = PackedModel(reciting_model(b"abcdefgh", context=200))
    first = generate(packed, BYTES, ["a", "d"], GREEDY)
    decoder = packed.recorded
    assert [text.text for text in first] == ["bcdefgh", "efgh"]
    assert [text.text for text in generate(packed, BYTES, ["cd", "g"], GREEDY)] == ["efgh", "h"]
    assert packed.recorded is decoder
    generate(packed, BYTES, ["a"], GREEDY)
    assert packed.recorded is not decoder
    generate(packed, BYTES, ["a"], replace(GREEDY, max_new_tokens=3))  # too short to be worth a recording
    assert packed.recorded is not None and packed.recorded.rows == 1


@pytest.mark.usefixtures("in_slots")
def test_where_nothing_can_be_recorded_texts_are_written_all_the_same(monkeypatch) -> None:
    packed = PackedModel(random_model(1))

    def broken(*_: object) -> SlotDecoder:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(ROOM, "SlotDecoder", broken)
    with pytest.warns(UserWarning, match=r"cannot be recorded \(operation not permitted when stream is capturing\)"):
        texts = generate(packed, BYTES, PROMPTS, GREEDY)
    monkeypatch.setattr(ROOM, "_RECORDED", ())
    assert texts == generate(packed, BYTES, PROMPTS, GREEDY)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_recorded_texts_are_those_of_single_steps(monkeypatch) -> None:
    packed = PackedModel(random_model(4, context=90).to("cuda"))
    recorded = generate(packed, BYTES, PROMPTS, GREEDY)
    assert packed.recorded is not None
    monkeypatch.setattr(ROOM, "_RECORDED", ())
    assert recorded == generate(packed, BYTES, PROMPTS, GREEDY)
