"""What a text shares with the training documents: quoted, attributed to its page, and beside held-out text."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.config import Config
from groundup.corpus import read_clean
from groundup.documents import Document
from groundup.inference import SamplingSettings
from groundup.insight.explanations.memory import explain_memory
from groundup.insight.subject import Subject
from groundup.runs import Run

GUIDE = Path(__file__).parents[3] / "examples" / "library" / "guide.pdf"


def inside(result: dict[str, Any], documents: list[str], least: int) -> float:
    """The share of the sample's characters that some stretch of `least` characters of the documents covers."""
    text, covered = result["sample"], set()
    for start in range(len(text) - least + 1):
        if any(text[start : start + least] in document for document in documents):
            covered |= set(range(start, start + least))
    return len(covered) / len(text)


def test_a_sample_is_what_generate_writes_and_its_coverage_is_exact(finished: Path) -> None:
    subject = Subject.open(finished)
    found = explain_memory(subject, seed=3)
    (written,) = verbs.generate(finished, "", dataclasses.replace(SamplingSettings(), seed=3))
    assert found["sample"] == written.text and found["seed"] == 3
    stream = subject.corpus.train
    documents = [subject.tokenizer.decode(stream.document(n).tolist()) for n in range(len(stream.document_ends))]
    for row in found["covered"]:
        assert row["share"] == pytest.approx(inside(found, documents, row["characters"]), abs=1e-12)
    held_out = found["control"]
    assert held_out["characters"] <= found["characters"]
    assert held_out["longest"] > 8  # the texts follow one grammar: they share phrases


def test_quoted_text_is_found_whole_and_in_its_document(finished: Path) -> None:
    subject = Subject.open(finished)
    document = subject.tokenizer.decode(subject.corpus.train.document(2).tolist())
    quoted = document[30:180]
    found = explain_memory(subject, text=f"<<{quoted}>>")
    first = found["spans"][0]
    assert (first["text"], first["start"], first["times"], first["verified"]) == (quoted, 2, 1, True)
    assert first["tokens"] == len(subject.tokenizer.encode(quoted))
    source = Path(first["source"]).read_text(encoding="utf-8")
    assert source[first["character"] :].startswith(quoted)
    assert found["marked"][0] == [2, 2 + len(quoted)] and found["control"] is None
    assert found["covered"][-1]["share"] == pytest.approx(len(quoted) / (len(quoted) + 4))


def test_the_page_of_a_document_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    verbs.prepare(GUIDE, out=tmp_path / "run" / "corpus", settings={"data.validation": 0})
    run = Run(tmp_path / "run")
    run.update()
    (document,) = [item for item in read_clean([GUIDE], Config()) if isinstance(item, Document)]
    for page in (2, 5):
        start = document.pages[page - 1] + 300
        quoted = document.text[start : start + 120]
        (span,) = explain_memory(Subject.open(run.path), text=quoted)["spans"]
        assert span["text"] == quoted and span["page"] == page and span["source"] == str(GUIDE)
        assert document.text[span["character"] :].startswith(quoted)
