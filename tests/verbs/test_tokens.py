"""`tokenize`: a run, a checkpoint, a corpus or a file are tokenizers; texts, files or held-out text are cut."""

import json
import shutil
from pathlib import Path

import pytest

import groundup
from groundup import verbs
from groundup.corpus import Corpus, Tokenizer, tokenization
from groundup.errors import UserError
from groundup.events import Notice
from groundup.verbs.tokens import HELD_OUT_TOKENS

SOME = "The old teacher watches the river.\n"


@pytest.fixture(autouse=True)
def _without_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take a second to load, and are tested by themselves."""
    monkeypatch.setattr(tokenization, "reference_tokenizer", lambda name: None)


def test_a_run_its_checkpoints_its_corpus_and_their_file_are_the_same_tokenizer(finished: Path) -> None:
    expected = Tokenizer.load(finished / "corpus" / "tokenizer.json").encode(SOME)
    homes = (finished, finished / "best", finished / "corpus", finished / "corpus" / "tokenizer.json")
    for home in homes:
        found = groundup.tokenize(home, SOME)
        assert found.ids == expected and found.round_trip and found.source == "the text given"
        assert "".join(found.tokens) == SOME


def test_without_a_text_it_is_text_that_was_held_out(finished: Path) -> None:
    for home in (finished, finished / "best", finished / "corpus"):
        found = verbs.tokenize(home)
        assert found.source == "text held out of training"
        corpus = Corpus(finished / "corpus")
        held_out = [ids for document in corpus.validation_documents(HELD_OUT_TOKENS) for ids in document.tolist()]
        assert found.ids == held_out


def test_files_are_read_as_documents(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(f"<html><body><p>{SOME.strip()}</p></body></html>", encoding="utf-8")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    events = []
    found = verbs.tokenize(finished, files=[tmp_path], listen=events.append)
    assert "".join(found.tokens).strip() == SOME.strip() and found.source == str(tmp_path)
    assert any(isinstance(event, Notice) and "broken.pdf" in event.text for event in events)


def test_the_reason_of_the_size_is_the_runs_decision_or_the_rule(finished: Path, tmp_path: Path) -> None:
    decisions = json.loads((finished / "run.json").read_text())["plan"]["decisions"]
    (kind,) = [row for row in decisions if row["key"] == "data.tokenizer"]
    assert verbs.tokenize(finished, "x").vocabulary.reason == kind["reason"]
    shutil.copytree(finished / "corpus", tmp_path / "corpus")
    assert verbs.tokenize(tmp_path / "corpus", "x").vocabulary.reason == kind["reason"]
    manifest = json.loads((tmp_path / "corpus" / "manifest.json").read_text())
    manifest["settings"]["data.vocab_size"] = 300
    (tmp_path / "corpus" / "manifest.json").write_text(json.dumps(manifest))
    assert "300 was asked for" in verbs.tokenize(tmp_path / "corpus", "x").vocabulary.reason
    alone = shutil.copy(finished / "corpus" / "tokenizer.json", tmp_path)
    assert "not here" in verbs.tokenize(alone, "x").vocabulary.reason


def test_the_name_of_a_file_as_text_is_pointed_out(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(SOME)
    events = []
    assert "".join(verbs.tokenize(finished, str(file), listen=events.append).tokens) == str(file)
    assert [event for event in events if "--file" in event.text]
    for no_name in ("x" * 5000, "a\0b", SOME, "é" * 200):
        events.clear()
        verbs.tokenize(finished, no_name, listen=events.append)
        assert not events


def test_what_cannot_be_tokenized_is_refused(finished: Path, tmp_path: Path) -> None:
    file = shutil.copy(finished / "corpus" / "tokenizer.json", tmp_path / "ours.json")
    bad, blank = tmp_path / "bad.json", tmp_path / "blank.txt"
    bad.write_text("{}")
    blank.write_text(" \n")
    for arguments, message in (
        ((tmp_path / "nowhere", "x"), "no such run"),
        ((tmp_path, "x"), "not a run directory"),
        ((bad, "x"), "not a byte-level tokenizer"),
        ((file,), "no corpus with it"),
        ((finished, ""), "no text to tokenize"),
        ((finished, "\ud800"), "not Unicode"),
    ):
        with pytest.raises(UserError, match=message):
            verbs.tokenize(*arguments)
    with pytest.raises(UserError, match="either"):
        verbs.tokenize(finished, "x", files=[blank])
    with pytest.raises(UserError, match="no text to tokenize"):
        verbs.tokenize(finished, files=[blank])
