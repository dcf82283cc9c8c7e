import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundup.corpus import END_OF_TEXT, Tokenizer
from groundup.corpus.tokenizer import BOUNDARY, PIECE, vocabulary_rule
from groundup.errors import UserError

TEXT = (
    "The quick brown fox isn't jumping over 1,234 lazy dogs.\n\nIl était une fois, à Köln: «naïve» façade.\n"
    "def f(x):\n    return x ** 2\n\n東京で会いましょう。 Это не тест. 🙂🙂\t\tend  \n"
) * 30
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TOKENIZERS = {"bpe": Tokenizer.train([TEXT], 400), "bytes": Tokenizer.of_bytes()}


@pytest.fixture(params=["bpe", "bytes"])
def tokenizer(request) -> Tokenizer:
    return TOKENIZERS[request.param]


@settings(max_examples=300)
@given(ANY_TEXT)
@example(f"before {END_OF_TEXT} after{END_OF_TEXT}")
@example("\x00\x01\x1b\x7f\x85\u2028\ufeff\r\n\r\n \t")
@example("e\u0301 é 가 한 ﬁ ①  \U0010ffff")
@example("  a   b\n\n\n   c  ")
def test_every_text_comes_back_exactly(text):
    for tokenizer in TOKENIZERS.values():
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode_bytes(ids) == text.encode()
        assert tokenizer.eos_id not in ids
        assert all(0 <= index < tokenizer.vocab_size for index in ids)
        assert tokenizer.byte_lengths(tokenizer.vocab_size)[ids].sum() == len(text.encode())


@given(st.lists(ANY_TEXT | st.sampled_from([BOUNDARY, BOUNDARY[:9], BOUNDARY * 2, END_OF_TEXT]), max_size=5))
@example(["", "", "a", ""])
@example(["x" + BOUNDARY[:-1], BOUNDARY[1:]])
@example(["a " + BOUNDARY + "b", "c"])
def test_a_batch_is_encoded_like_each_of_its_texts(texts):
    for tokenizer in TOKENIZERS.values():
        encoded = tokenizer.encode_batch(texts)
        assert [tokens.tolist() for tokens in encoded] == [tokenizer.encode(text) for text in texts]
        assert all(tokens.dtype == tokenizer.dtype and tokens.ndim == 1 for tokens in encoded)


@pytest.mark.parametrize("length", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5])
@pytest.mark.parametrize("unit", ["é", "ab cd\n", "line without end "])
def test_texts_longer_than_a_piece_come_back_exactly(tokenizer, unit, length):
    text = (unit * length)[:length]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert [tokens.tolist() for tokens in tokenizer.encode_batch(["x", text])] == [tokenizer.encode("x"), ids]


def test_the_mark_between_texts_of_one_call_cannot_overlap_itself():
    assert BOUNDARY.count(BOUNDARY[0]) == 1


def test_a_text_that_the_fast_way_gives_up_on_is_encoded_all_the_same(monkeypatch):
    monkeypatch.setattr("groundup.corpus.tokenizer.PIECE", 2_000_000)
    tokenizer = Tokenizer.train([TEXT], 400)
    stubborn = " " * 1_000_000 + "x"
    assert tokenizer._fast is not None
    with pytest.raises(BaseException, match=r"(?i)stack"):
        tokenizer._fast.encode_to_numpy(stubborn)
    encoded = tokenizer.encode_batch(["before", stubborn, "after"])
    assert tokenizer.decode(encoded[1].tolist()) == stubborn
    assert [encoded[0].tolist(), encoded[2].tolist()] == [tokenizer.encode("before"), tokenizer.encode("after")]


@given(st.lists(st.text("abc .", min_size=1, max_size=200), min_size=1, max_size=8), ANY_TEXT, st.integers(258, 400))
@settings(max_examples=40)
def test_every_trained_tokenizer_has_the_fast_way_and_it_agrees(texts, other, size):
    tokenizer = Tokenizer.train(texts, size)
    assert tokenizer._fast is not None
    for text in (*texts, "".join(texts), other):
        assert tokenizer.encode_batch([text])[0].tolist() == tokenizer.encode(text)


def changed(tokenizer: Tokenizer, tmp_path, change) -> Tokenizer:
    content = json.loads(tokenizer.to_json())
    change(content)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return Tokenizer.load(path)


@pytest.mark.parametrize(
    ("entries", "merges"),
    [
        ({"bc": 257, "ab": 258, "abc": 259}, [["b", "c"], ["a", "b"], ["ab", "c"]]),
        ({"ab": 257, "bc": 258}, [["b", "c"], ["a", "b"]]),
    ],
    ids=["an entry that no text gives", "ids in another order"],
)
def test_merges_that_the_fast_way_would_do_otherwise_are_done_as_the_file_says(tmp_path, entries, merges):
    def merge(content):
        content["model"]["vocab"].update(entries)
        content["model"]["merges"] = merges

    tokenizer = changed(Tokenizer.of_bytes(), tmp_path, merge)
    ids = tokenizer.encode("abc")
    assert [tokenizer.decode_bytes([index]) for index in ids] == [b"a", b"bc"]
    assert tokenizer.encode_batch(["abc"])[0].tolist() == ids


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(normalizer={"type": "NFC"}),
        lambda content: content["model"].update(merges=content["model"]["merges"][::-1]),
        lambda content: content["added_tokens"].append({**content["added_tokens"][0], "id": 400, "content": "<x>"}),
        lambda content: content["model"].update(ignore_merges=True),
    ],
    ids=["a normalizer", "another order of merges", "another special token", "words that skip the merges"],
)
def test_a_tokenizer_unlike_ours_is_followed_all_the_same(tmp_path, change):
    tokenizer = changed(Tokenizer.train([TEXT], 400), tmp_path, change)
    for text in (TEXT, "e\u0301 <x> \u212b", "  jumping"):
        assert tokenizer.encode_batch([text])[0].tolist() == tokenizer.encode(text)


def test_the_spelling_of_the_special_token_is_text_also_after_loading(tokenizer, tmp_path):
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    spelled = f"a{END_OF_TEXT}b"
    assert loaded.eos_id not in loaded.encode(spelled)
    assert loaded.decode(loaded.encode(spelled)) == spelled
    # even where the corpus is full of it
    greedy = Tokenizer.train([spelled * 1000], 400)
    assert greedy.eos_id not in greedy.encode(spelled)
    assert greedy.decode(greedy.encode(spelled)) == spelled


def test_end_of_text_and_padding_rows_stand_for_no_text(tokenizer):
    ids = tokenizer.encode("hello")
    assert tokenizer.decode([tokenizer.eos_id, *ids, tokenizer.eos_id, tokenizer.vocab_size + 5]) == "hello"
    lengths = tokenizer.byte_lengths(tokenizer.vocab_size + 7)
    assert lengths.shape == (tokenizer.vocab_size + 7,)
    assert lengths[tokenizer.eos_id] == 0 and not lengths[tokenizer.vocab_size :].any()
    assert (np.delete(lengths[: tokenizer.vocab_size], tokenizer.eos_id) > 0).all()


def test_half_a_character_is_shown_as_the_replacement_character(tokenizer):
    ids = TOKENIZERS["bytes"].encode("é")
    assert len(ids) == 2
    assert TOKENIZERS["bytes"].decode(ids[:1]) == "\ufffd"


def test_training_twice_gives_the_same_file():
    assert Tokenizer.train([TEXT], 500).to_json() == Tokenizer.train([TEXT], 500).to_json()
    parts = [TEXT[:1000], TEXT[1000:]]
    assert Tokenizer.train(iter(parts), 500).to_json() == Tokenizer.train(parts, 500).to_json()


def test_the_vocabulary_is_as_large_as_asked_for_where_the_text_has_the_pairs():
    assert Tokenizer.train([TEXT], 300).vocab_size == 300
    assert Tokenizer.train(["ab" * 10], 5000).vocab_size < 300
    assert Tokenizer.train([], 5000).vocab_size == 257


def test_the_commonest_pair_is_merged_first():
    tokenizer = Tokenizer.train(["zq" * 50], 258)
    assert len(tokenizer.encode("zq")) == 1
    assert len(tokenizer.encode("qz")) == 2


def test_the_bytes_tokenizer_has_one_token_for_each_byte():
    tokenizer = Tokenizer.of_bytes()
    assert tokenizer.vocab_size == 257
    every = "".join(map(chr, range(0x80))) + "é東🙂\x80"
    assert len(tokenizer.encode(every)) == len(every.encode())
    one_each = {index: tokenizer.decode_bytes([index]) for index in range(257) if index != tokenizer.eos_id}
    assert sorted(one_each.values()) == [bytes([byte]) for byte in range(256)]
    assert tokenizer.to_json() == Tokenizer.of_bytes().to_json()


@pytest.mark.parametrize(("size", "dtype"), [(65_536, "<u2"), (65_537, "<u4")])
def test_ids_are_kept_in_the_smallest_integers_that_hold_them(size, dtype):
    tokenizer = Tokenizer.of_bytes()
    tokenizer.vocab_size = size
    assert tokenizer.dtype == np.dtype(dtype)


def test_loading_gives_the_same_tokenizer(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_json(), encoding="utf-8")
    loaded = Tokenizer.load(path)
    assert (loaded.eos_id, loaded.vocab_size) == (tokenizer.eos_id, tokenizer.vocab_size)
    assert loaded.encode(TEXT) == tokenizer.encode(TEXT)
    assert loaded.to_json() == tokenizer.to_json()


def test_a_missing_or_foreign_tokenizer_is_named(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match=str(path)):
        Tokenizer.load(path)
    content = json.loads(tokenizer.to_json())
    without_eos = {**content, "added_tokens": []}
    without_eos["model"] = {
        **content["model"],
        "vocab": {k: v for k, v in content["model"]["vocab"].items() if k != END_OF_TEXT},
    }
    foreign = {**content, "model": {**content["model"], "vocab": {**content["model"]["vocab"], "日本": 999}}}
    for bad in ("", "{}", "[" * 10_000, json.dumps(without_eos), json.dumps(foreign)):
        path.write_text(bad)
        with pytest.raises(UserError, match="not a byte-level tokenizer"):
            Tokenizer.load(path)


def test_the_vocabulary_rule_grows_with_the_text_and_stays_in_its_bounds():
    assert vocabulary_rule(0)[:2] == vocabulary_rule(65_535)[:2] == ("bytes", 257)
    assert vocabulary_rule(65_536)[:2] == ("bpe", 512)
    assert vocabulary_rule(1_000_000)[:2] == ("bpe", 1024)
    assert vocabulary_rule(100_000_000)[:2] == ("bpe", 8192)
    assert vocabulary_rule(10**15)[:2] == ("bpe", 32_768)
    sizes = [vocabulary_rule(2**power)[1] for power in range(10, 50)]
    assert sizes == sorted(sizes)
    assert all(reason for _, _, reason in map(vocabulary_rule, (1, 10**5, 10**9)))


def test_transformers_reads_the_file_and_agrees(tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    facts = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END_OF_TEXT}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(facts))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in (TEXT, "", " ", "\r\n\x00\x85🙂 e\u0301", "  x\n\n  y"):
        ids = tokenizer.encode(text)
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        assert theirs.decode(ids, clean_up_tokenization_spaces=False) == text
    assert theirs.eos_token_id == tokenizer.eos_id
