"""Verbatim stretches against a brute-force search of every document's text."""

import random
from pathlib import Path

import pytest

from groundup import verbs
from groundup.corpus import Corpus
from groundup.insight import counts
from groundup.insight.spans import SHORTEST, find_spans

Found = set[tuple[int, int, int]]


def texts_of(corpus: Corpus) -> list[str]:
    stream = corpus.train
    return [corpus.tokenizer.decode(stream.document(n).tolist()) for n in range(len(stream.document_ends))]


def brute(documents: list[str], text: str) -> Found:
    """(start, end, times) of every longest stretch, by looking for each one everywhere."""
    found, reach = set(), 0
    for start in range(len(text)):
        end = start
        while end < len(text) and any(text[start : end + 1] in document for document in documents):
            end += 1
        if end - start >= SHORTEST and end > reach:
            times = sum(
                document.startswith(text[start:end], at) for document in documents for at in range(len(document))
            )
            found.add((start, end, times))
        reach = max(reach, end)
    return found


def as_found(corpus: Corpus, text: str) -> Found:
    spans = find_spans(corpus, text)
    lengths = [span.end - span.start for span in spans]
    assert lengths == sorted(lengths, reverse=True)
    return {(span.start, span.end, span.times) for span in spans}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A corpus of bytes, so that characters of several bytes are several tokens."""
    folder = tmp_path_factory.mktemp("foreign")
    draw = random.Random(5)
    words = ["für", "Ελλάδα", "🎉🎉", "naïve", "снег", "ab", "  ", "日本語"]
    (folder / "in").mkdir()
    for number in range(12):
        text = "\n".join(" ".join(draw.choices(words, k=9)) for _ in range(6))
        (folder / "in" / f"{number}.txt").write_text(f"{number}: {text}\n", encoding="utf-8")
    verbs.prepare([folder / "in"], out=folder / "corpus", settings={"data.tokenizer": "bytes", "data.dedup": "exact"})
    return Corpus(folder / "corpus")


def patchwork(documents: list[str], seed: int, pieces: int) -> str:
    draw = random.Random(seed)
    cut = []
    for _ in range(pieces):
        document = draw.choice(documents)
        start = draw.randrange(len(document))
        cut.append(document[start : start + draw.randrange(3, 40)])
    return draw.choice(["", "~", " "]).join(cut)


@pytest.mark.parametrize("chunk", [2_000, 1_000_000])
def test_stretches_are_those_that_brute_force_finds(
    corpus_dir: Path, foreign: Corpus, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(counts, "CHUNK", chunk)  # stretches across the borders of what is read at once
    seen = 0
    for corpus in (Corpus(corpus_dir), foreign):
        documents = texts_of(corpus)
        for seed in range(2):
            text = patchwork(documents, seed, pieces=5)
            found = as_found(corpus, text)
            assert found == brute(documents, text), text
            seen += len(found)
    assert seen > 5


def test_a_stretch_names_the_place_where_it_first_stands(corpus_dir: Path) -> None:
    corpus = Corpus(corpus_dir)
    text = texts_of(corpus)[3][51:140]
    (span,) = find_spans(corpus, text)
    assert (span.start, span.end) == (0, len(text))
    following = corpus.train.read(span.token, 100).tolist()
    assert corpus.tokenizer.decode_bytes(following)[span.skip :].startswith(text.encode())


def test_no_stretch_goes_on_in_the_next_document(corpus_dir: Path) -> None:
    corpus = Corpus(corpus_dir)
    first, second = texts_of(corpus)[:2]
    spans = find_spans(corpus, first[-40:] + second[:40])
    found = {(span.start, span.end) for span in spans}
    assert {(0, 40), (40, 80)} <= found and (0, 80) not in found


@pytest.mark.parametrize("text", ["", "short", "xq" * 200, "\ud7ff\ue000" * 20])
def test_text_that_stands_nowhere_has_no_stretches(corpus_dir: Path, text: str) -> None:
    assert find_spans(Corpus(corpus_dir), text) == []
