"""`batch`: the texts of a batch are those that training had, and they are found in their documents."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.corpus import IGNORE, Corpus
from groundup.errors import UserError
from groundup.runs import Run, read_journal
from groundup.training import build_batches


@pytest.mark.parametrize("number", [0, 3, 40])
def test_the_texts_are_what_the_step_learned_and_come_from_the_documents_named(
    finished: Path, documents: Path, number: int
) -> None:
    run = Run.open(finished)
    corpus = Corpus(run.corpus)
    _, targets = build_batches(run.config(), corpus).at(number)
    rows = verbs.batch(finished, number)
    learned = [corpus.tokenizer.decode(row[row != IGNORE].tolist()) for row in targets]
    assert [row["text"] for row in rows] == learned
    for row in rows:
        texts = [" ".join(Path(source).read_text().split()) for source in row["sources"]]
        assert all(Path(source).parent == documents for source in row["sources"])
        words = row["text"].split()[1:-1]  # the first and the last may be parts of words
        threes = (" ".join(words[at : at + 3]) for at in range(len(words) - 2))
        missing = [three for three in threes if not any(three in text for text in texts)]
        assert len(missing) <= 4 * (len(texts) - 1), missing  # across the seams of documents


def test_every_training_document_is_found(finished: Path) -> None:
    run = Run.open(finished)
    batches = build_batches(run.config(), Corpus(run.corpus))
    steps = -(-batches.blocks // batches.batch)
    sources = {source for step in range(steps) for row in verbs.batch(finished, step) for source in row["sources"]}
    listed = read_journal(run.corpus / "documents.jsonl")
    assert sources == {row["source"] for row in listed if row["split"] == "train"}


def test_what_has_no_batch_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no batch -1"):
        verbs.batch(finished, -1)
    with pytest.raises(UserError, match="no such run"):
        verbs.batch(tmp_path / "none", 0)
    run = Path(shutil.copytree(finished, tmp_path / "run", symlinks=True))
    info = json.loads((run / "run.json").read_text())
    del info["horizon"]
    (run / "run.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match="not planned yet"):
        verbs.batch(run, 0)


def test_the_command_shows_texts_with_their_sources(
    finished: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    rows: list[dict[str, Any]] = verbs.batch(finished, 2)
    shown = command("batch", finished, 2)
    assert shown.returncode == 0, shown.stderr
    for row in rows:
        assert f"--- epoch {row['epoch']}, block {row['block']}: {', '.join(row['sources'])}" in shown.stdout
        assert row["text"].strip() in shown.stdout
    assert json.loads(command("batch", finished, 2, "--json").stdout) == rows
