"""Texts: with the cache as without it, in a batch as alone, streamed as at once."""

from dataclasses import replace

import pytest
import torch
from small_models import BYTES, byte_id, random_model, reciting_model

from groundup.corpus.tokenizer import Tokenizer
from groundup.errors import UserError
from groundup.inference import PackedModel, SamplingSettings, choose, generate, probabilities

GREEDY = SamplingSettings(temperature=0, max_new_tokens=45)
SAMPLED = SamplingSettings(temperature=1.0, top_k=0, top_p=0.95, seed=5, max_new_tokens=45)
PROMPTS = ["a", "", "The quick", "0123456789abcdefghijklmnopqrstuvwxyz", "fifteen letters", "fourteen chars"]


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("seed", range(8))
def test_cached_equals_uncached_across_the_boundary_in_unequal_batches(settings, seed):
    model = random_model(seed, context=(16, 9, 33, 8)[seed % 4], arch=("qwen3", "llama")[seed % 2])
    settings = replace(settings, seed=seed)
    cached = generate(model, BYTES, PROMPTS, settings)
    assert cached == generate(model, BYTES, PROMPTS, settings, use_cache=False)
    assert any(row.slides > 1 for row in cached)
    assert len({row.slid_at for row in cached}) > 2


def test_each_token_follows_from_the_newest_tokens_alone():
    """The rule of the window, written again without any of the room's machinery."""
    model = random_model(3, context=12)
    for prompt, sample in (("some prompt", 0), ("x" * 30, 1)):
        settings = replace(SAMPLED, max_new_tokens=40)
        window = [BYTES.eos_id, *BYTES.encode(prompt)][-12:]
        expected, slid_at = [], [0] if len(prompt) + 1 > 12 else []
        for step in range(40):
            with torch.no_grad():
                scores = model(torch.tensor([window]))[0, -1]
            token = choose(probabilities(scores, settings), settings.seed, sample, step)
            if token == BYTES.eos_id:
                break
            expected.append(token)
            if len(window) == 12 and step < 39:
                slid_at.append(len(expected))
                window = window[-6:]
            window = [*window, token]
        found = generate(model, BYTES, [prompt], settings, n=2)[sample]
        assert found.token_ids == tuple(expected)
        assert found.slid_at == tuple(slid_at)


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_a_batch_gives_the_texts_of_one_at_a_time(settings):
    model = random_model(11)
    together = generate(model, BYTES, PROMPTS, settings, n=2)
    alone = [text for prompt in PROMPTS for text in generate(model, BYTES, [prompt], settings, n=2)]
    assert together == alone
    if settings.temperature:
        assert len({row.text for row in together}) > 9


def test_in_float32_a_text_is_the_same_whatever_prompts_are_beside_it():
    packed, settings = PackedModel(random_model(4, context=24)), replace(SAMPLED, max_new_tokens=100)
    alone = generate(packed, BYTES, ["fifteen letters"], settings)
    for others in (["", "x" * 90], ["a"] * 7, ["The quick brown fox", "z"]):
        beside = generate(packed, BYTES, [*others, "fifteen letters"], settings)
        assert beside[-1:] == alone
    assert alone[0].slides > 1


def test_more_prompts_than_fit_at_once_keep_their_order():
    model = random_model(2)
    settings = replace(SAMPLED, max_new_tokens=3)
    prompts = [f"number {i}" for i in range(70)]
    texts = generate(model, BYTES, prompts, settings)
    assert texts[69] == generate(model, BYTES, prompts[69:], settings)[0]
    assert texts[33] == generate(model, BYTES, prompts[33:34], settings)[0]


def test_the_end_of_text_token_begins_and_ends_a_text():
    done = generate(reciting_model(b"helo wrd!"), BYTES, [""], GREEDY)[0]
    assert (done.text, done.finish_reason, done.prompt_tokens) == ("helo wrd!", "eos", 0)
    assert BYTES.eos_id not in done.token_ids
    assert BYTES.decode(done.token_ids) == done.text
    assert done.slides == 0


def test_texts_end_at_their_own_time():
    model = reciting_model(b"abcdefgh")
    done = generate(model, BYTES, ["g", "a", "e"], replace(GREEDY, max_new_tokens=5))
    assert [(d.text, d.finish_reason) for d in done] == [("h", "eos"), ("bcdef", "length"), ("fgh", "eos")]


def test_stop_strings_cut_and_count():
    model = reciting_model(b"abcdefgh")
    pieces: list[str] = []
    settings = replace(GREEDY, stop=("def", "h"))
    done = generate(model, BYTES, ["a"], settings, on_text=lambda _, piece: pieces.append(piece))[0]
    assert (done.text, done.finish_reason) == ("bc", "stop")
    assert BYTES.decode(done.token_ids) == "bcdef"
    assert pieces == ["b", "c"]


def test_streaming_never_splits_a_character():
    text = "aé€"
    pieces: list[tuple[int, str]] = []
    generate(reciting_model(text.encode()), BYTES, [""], GREEDY, on_text=lambda *piece: pieces.append(piece))
    assert pieces == [(0, "a"), (0, "é"), (0, "€")]
    cut = generate(reciting_model(text.encode()), BYTES, [""], replace(GREEDY, max_new_tokens=5))[0]
    assert (cut.text, cut.finish_reason, len(cut.token_ids)) == ("aé", "length", 5)


def test_streamed_pieces_make_up_each_text():
    shown = dict.fromkeys(range(12), "")

    def show(index: int, piece: str) -> None:
        shown[index] += piece

    done = generate(random_model(1), BYTES, PROMPTS, replace(SAMPLED, stop=("e", "\x01")), n=2, on_text=show)
    assert [shown[i] for i in range(12)] == [d.text for d in done]
    assert {"stop", "length"} <= {d.finish_reason for d in done}


def test_longer_tokens_than_bytes_work_too():
    tokenizer = Tokenizer.train(["the cat sat on the mat, the dog on the log. " * 40], 290)
    model = random_model(4, vocab_size=tokenizer.vocab_size)
    for settings in (GREEDY, SAMPLED):
        done = generate(model, tokenizer, ["the cat", "the"], settings)
        assert done == generate(model, tokenizer, ["the cat", "the"], settings, use_cache=False)
        assert done[0].prompt_tokens == len(tokenizer.encode("the cat")) < 7


def test_repetition_penalty_sees_prompt_and_text():
    model = reciting_model(b"abcdefgh")
    plain = generate(model, BYTES, ["a"], replace(GREEDY, max_new_tokens=1))[0]
    assert plain.text == "b"
    # every logit but that of the successor is zero, so a strong penalty cannot change which is largest...
    settings = replace(GREEDY, max_new_tokens=1, repetition_penalty=1e9, temperature=1.0, top_k=1)
    assert generate(model, BYTES, ["a"], settings)[0].text == "b"
    # ...but a draw among all makes the seen successor no likelier than any other
    seen = generate(model, BYTES, ["ba"], replace(settings, top_k=0), n=30)
    assert sum(text.text == "b" for text in seen) < 3
    assert (
        sum(t.text == "b" for t in generate(model, BYTES, ["ba"], replace(settings, repetition_penalty=1.0), n=30))
        == 30
    )


def test_rows_that_pad_the_vocabulary_are_never_drawn():
    model = reciting_model(b"ab")
    wide = type(model)(replace(model.shape, vocab_size=320))
    weights = model.state_dict()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = torch.cat([weights[name], torch.full((320 - 257, 257), 9.0)])
    wide.load_state_dict(weights)
    assert generate(wide, BYTES, [""], GREEDY)[0].text == "ab"


def test_special_spellings_and_broken_surrogates_in_a_prompt_are_text():
    model = reciting_model(b"abc")
    done = generate(model, BYTES, ["<|endoftext|>a", "\udcffa", "\ud83d\ude00a"], GREEDY)
    assert [d.text for d in done] == ["bc"] * 3
    assert [d.prompt_tokens for d in done] == [14, 4, 5]


def test_the_mode_of_the_model_is_restored():
    model = random_model(0).train()
    generate(model, BYTES, ["a"], replace(GREEDY, max_new_tokens=1))
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


def test_what_does_not_fit_together_is_the_users_error():
    with pytest.raises(UserError, match="tokenizer has 257"):
        generate(random_model(0, vocab_size=100), BYTES, ["a"], GREEDY)
    with pytest.raises(UserError, match="n: is 0"):
        generate(random_model(0), BYTES, ["a"], GREEDY, n=0)
    broken = random_model(0)
    broken.lm_head.weight.data[byte_id(97)] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        generate(broken, BYTES, ["a"], GREEDY)
    assert generate(random_model(0), BYTES, [], GREEDY) == []
