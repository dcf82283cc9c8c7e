"""A part of a corpus: its documents, what it holds out, and its counts."""

from pathlib import Path

import numpy as np

from groundup.corpus import Corpus, is_corpus
from groundup.corpus.subset import write_subset
from groundup.runs import read_journal


def test_a_part_has_the_documents_asked_for_and_everything_that_is_held_out(corpus_dir: Path, tmp_path: Path) -> None:
    whole = Corpus(corpus_dir)
    chosen = [0, 3, 7]
    part = write_subset(whole, chosen, tmp_path / "part")
    assert is_corpus(part.path)
    assert len(part.train.document_ends) == 3
    for number, document in enumerate(chosen):
        assert np.array_equal(part.train.document(number), whole.train.document(document))
    ours, theirs = part.validation_documents(), whole.validation_documents()
    assert len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))
    assert (part.path / "tokenizer.json").read_bytes() == (corpus_dir / "tokenizer.json").read_bytes()
    assert part.manifest["fingerprint"] != whole.manifest["fingerprint"]
    text = part.tokenizer.decode_bytes(np.concatenate([part.train.document(n) for n in range(3)]).tolist())
    assert part.manifest["train_bytes"] == len(text)
    rows = [row for row in read_journal(part.path / "documents.jsonl") if row["split"] == "train"]
    assert [row["tokens"] for row in rows] == np.diff(part.train.document_ends, prepend=0).tolist() or [
        row["tokens"] + 1 for row in rows
    ] == np.diff(part.train.document_ends, prepend=0).tolist()
    assert part.manifest["train_tokens"] == sum(row["tokens"] for row in rows)


def test_all_documents_have_the_counts_of_the_whole(corpus_dir: Path, tmp_path: Path) -> None:
    whole = Corpus(corpus_dir)
    part = write_subset(whole, range(len(whole.train.document_ends)), tmp_path / "part")
    for key in ("train_tokens", "train_bytes", "validation_tokens", "validation_bytes", "vocab_size"):
        assert part.manifest[key] == whole.manifest[key]
    assert np.array_equal(part.train.read(0, len(part.train)), whole.train.read(0, len(whole.train)))


def test_a_part_that_is_there_is_not_made_again(corpus_dir: Path, tmp_path: Path) -> None:
    first = write_subset(Corpus(corpus_dir), [1], tmp_path / "part")
    made = (first.path / "manifest.json").stat().st_mtime_ns
    assert write_subset(Corpus(corpus_dir), [1], tmp_path / "part").path == first.path
    assert (first.path / "manifest.json").stat().st_mtime_ns == made
