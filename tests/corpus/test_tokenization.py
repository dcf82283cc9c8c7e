"""What a tokenizer makes of a text: tokens in order, exact round trip, densities that can be counted by hand."""

from dataclasses import asdict

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundup.corpus import END_OF_TEXT, Tokenizer, tokenization
from groundup.corpus.tokenization import Tokenization, describe_tokenization

TEXT = "the cat and the hat and the bat sat on the mat\n" * 40
BPE, BYTES = Tokenizer.train([TEXT], 280), Tokenizer.of_bytes()


@pytest.fixture(autouse=True)
def _without_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take a second to load, and are tested by themselves."""
    monkeypatch.setattr(tokenization, "reference_tokenizer", lambda name: None)


def rows(found: Tokenization) -> dict[str, tuple]:
    return {
        row.name: (row.vocab_size, row.tokens, row.characters_per_token, row.bytes_per_token) for row in found.densities
    }


def test_the_figures_are_those_counted_by_hand() -> None:
    found = describe_tokenization(BYTES, ["é b", " c\n"])
    assert (found.characters, found.bytes, len(found.ids)) == (6, 7, 7)
    assert found.tokens == ["\\xc3", "\\xa9", " ", "b", " ", "c", "\n"]
    assert rows(found) == {
        "this tokenizer": (257, 7, 6 / 7, 1.0),
        "bytes": (256, 7, 6 / 7, 1.0),
        "words between spaces": (None, 3, 2.0, 7 / 3),
    }
    vocabulary = found.vocabulary
    assert (vocabulary.kind, vocabulary.size, vocabulary.unused) == ("bytes", 257, 256 - 6)
    assert vocabulary.longest == []


def test_tokens_are_the_texts_of_the_ids_and_the_longest_entries_come_first() -> None:
    found = describe_tokenization(BPE, [TEXT], reason="because")
    assert found.ids == BPE.encode(TEXT)
    assert "".join(found.tokens) == TEXT and found.round_trip
    assert len(found.ids) < len(TEXT) / 2
    lengths = [len(entry.encode()) for entry in found.vocabulary.longest]
    assert lengths == sorted(lengths, reverse=True) and lengths[-1] > 1
    assert max(len(BPE.decode_bytes([n])) for n in range(BPE.vocab_size)) == lengths[0]
    assert found.vocabulary.unused == BPE.vocab_size - 1 - len(set(found.ids))
    assert (found.vocabulary.kind, found.vocabulary.reason) == ("bpe", "because")


def test_each_text_is_encoded_by_itself() -> None:
    found = describe_tokenization(BPE, ["th", "e"])
    assert found.ids == [*BPE.encode("th"), *BPE.encode("e")] != BPE.encode("the")
    assert found.round_trip


@settings(max_examples=150)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
@example([END_OF_TEXT, f"a{END_OF_TEXT}b"])
@example(["\x00\ufeff\u2028 \\xc3"])
@example([])
def test_any_text_comes_back(texts: list[str]) -> None:
    for tokenizer in (BPE, BYTES):
        found = describe_tokenization(tokenizer, texts)
        assert found.round_trip and tokenizer.eos_id not in found.ids
        assert found.bytes == sum(len(text.encode()) for text in texts)
        assert len(found.tokens) == len(found.ids) == found.densities[0].tokens
        assert asdict(found)["ids"] == found.ids


def test_a_tokenizer_that_changes_the_text_is_told(tmp_path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(BYTES.to_json().replace('"normalizer": null', '"normalizer": {"type": "Lowercase"}'))
    changing = Tokenizer.load(file)
    assert describe_tokenization(changing, ["abc"]).round_trip
    assert not describe_tokenization(changing, ["Abc"]).round_trip


def test_reference_tokenizers_stand_between_ours_and_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Halves:
        n_vocab = 5

        @staticmethod
        def encode_ordinary(text: str) -> list[int]:
            return [0] * -(-len(text) // 2)

    monkeypatch.setattr(tokenization, "reference_tokenizer", lambda name: Halves if name == "GPT-2" else None)
    found = describe_tokenization(BYTES, ["abcd", "é"])
    assert [row.name for row in found.densities] == ["this tokenizer", "GPT-2", "bytes", "words between spaces"]
    assert rows(found)["GPT-2"] == (5, 3, 5 / 3, 2.0)
