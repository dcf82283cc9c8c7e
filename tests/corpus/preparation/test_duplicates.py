"""Copies: exact, near, paragraphs, and across the split."""

import random
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from groundup.config import load_config
from groundup.corpus import Corpus, find_pairs, prepare_corpus
from groundup.corpus.copies.minhash import sketch
from groundup.runs import read_journal

SYLLABLES = ("ba", "do", "ki", "lu", "men", "nar", "os", "pit", "ra", "sol", "tem", "vu", "wen", "ya", "zir")


def vocabulary(draw: random.Random, size: int = 3000) -> list[str]:
    return ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(size)]


WORDS = vocabulary(random.Random(1))


def paragraph(draw: random.Random, words: int = 60) -> str:
    return " ".join(draw.choices(WORDS, k=words)).capitalize() + "."


def document(seed: int, paragraphs: int = 6) -> list[str]:
    draw = random.Random(seed)
    return [paragraph(draw) for _ in range(paragraphs)]


def write(folder: Path, texts: dict[str, list[str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, paragraphs in texts.items():
        (folder / name).write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    return folder


def prepared(folder: Path, out: Path, **settings) -> Corpus:
    given = {key.replace("__", "."): value for key, value in settings.items()}
    return prepare_corpus([folder], out, load_config(None, given), keep_texts=True)


def sides(corpus: Corpus) -> dict[str, list[str]]:
    """The texts of each side of the split."""
    return {
        name: [corpus.tokenizer.decode(stream.document(n).tolist()) for n in range(len(stream.document_ends))]
        for name, stream in (("train", corpus.train), ("validation", corpus.validation))
    }


def paragraphs_of(texts: list[str]) -> set[str]:
    """Paragraphs of 200 characters and more, by their words alone."""
    found = {" ".join(re.findall(r"\w+", part.lower())) for text in texts for part in re.split(r"\n\s*\n", text)}
    return {part for part in found if len(part) >= 200}


def changed(text: str, draw: random.Random, every: int) -> str:
    words = text.split(" ")
    for at in range(draw.randrange(every), len(words), every):  # about one word in `every`
        words[at] = draw.choice(WORDS)
    return " ".join(words)


@pytest.mark.parametrize(("dedup", "left"), [("exact", 60), ("documents", 50), ("paragraphs", 50)])
def test_near_copies_of_documents_go_where_asked_for(tmp_path, dedup, left):
    texts = {f"{n:02d}.txt": document(n) for n in range(50)}
    draw = random.Random(8)
    for n in range(10):
        texts[f"copy-{n}.txt"] = [changed(text, draw, 100) for text in document(n)]
    texts["exact.txt"] = document(49)
    corpus = prepared(write(tmp_path / "docs", texts), tmp_path / "corpus", data__dedup=dedup)
    assert corpus.manifest["documents"] == left
    assert corpus.manifest["duplicates"] == 1
    assert corpus.manifest["near_duplicates"] == 60 - left
    kept = {row["source"] for row in read_journal(corpus.path / "documents.jsonl")}
    assert str(tmp_path / "docs" / "00.txt") in kept  # the first stays


@pytest.mark.parametrize("dedup", ["exact", "documents", "paragraphs"])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_no_long_paragraph_is_on_both_sides_and_the_training_copy_goes(tmp_path, dedup, share):
    shared = document(1000, 12)
    texts = {f"{n:02d}.txt": [*document(n, 4), shared[n % 12], *document(n + 100, 2)] for n in range(60)}
    corpus = prepared(write(tmp_path / "docs", texts), tmp_path / "corpus", data__dedup=dedup, data__validation=share)
    found = sides(corpus)
    train, validation = paragraphs_of(found["train"]), paragraphs_of(found["validation"])
    assert train and validation and not train & validation
    # nothing is lost but copies: every paragraph is still on one side
    assert train | validation == paragraphs_of(["\n\n".join(text) for text in texts.values()])
    assert corpus.manifest["paragraphs_across_the_split"]["paragraphs"] > 0
    again = [text for text in found["train"] if shared[3] in text]
    assert len(again) <= (1 if dedup == "paragraphs" else 60)


def test_a_line_of_a_long_block_counts_as_a_paragraph_and_wrapping_does_not_hide_a_copy(tmp_path):
    shared = document(1000, 8)
    texts: dict[str, list[str]] = {}
    for n in range(80):
        here = shared[n % 8]
        if n % 2:
            here = here.replace(" ", "\n", 40).upper()  # wrapped and shouted
        texts[f"{n:02d}.txt"] = ["\n".join(document(n, 3)), here]
    corpus = prepared(write(tmp_path / "docs", texts), tmp_path / "corpus", data__dedup="exact")
    found = sides(corpus)
    by_words = {side: [" ".join(re.findall(r"\w+", text.lower())) for text in texts] for side, texts in found.items()}
    for text in shared:
        words = " ".join(re.findall(r"\w+", text.lower()))
        assert not (
            any(words in other for other in by_words["train"])
            and any(words in other for other in by_words["validation"])
        )


def test_repeated_paragraphs_of_one_book_are_not_on_both_sides_of_its_cuts(tmp_path):
    refrain = paragraph(random.Random(5), 80)
    book = [part for n in range(150) for part in (*document(n, 1), refrain)]
    corpus = prepared(write(tmp_path / "docs", {"book.txt": book}), tmp_path / "corpus")
    assert "were cut" in corpus.manifest["notes"][0]
    found = sides(corpus)
    assert found["validation"] and not paragraphs_of(found["train"]) & paragraphs_of(found["validation"])
    assert sum(text.count(refrain) for text in found["train"] + found["validation"]) >= 1


def test_equal_paragraphs_are_copies_also_when_they_are_a_little_like_an_earlier_one(tmp_path):
    draw = random.Random(31)
    while True:  # a pair that shares one band: too little to be copies, enough for one group
        earlier = paragraph(draw, 80)
        other = " ".join([*earlier.rstrip(".").split(" ")[:62], *draw.choices(WORDS, k=18)]) + "."
        bands = sketch([earlier, other], [False, False]).documents
        if np.sum(bands[0] == bands[1]) == 1:
            break
    near = changed(other, random.Random(3), 200)
    texts = {"00.txt": [*document(0, 4), earlier]}
    for n in range(1, 30):
        texts[f"{n:02d}.txt"] = document(n, 4) + ([other] if n < 12 else [near] if n < 15 else [])
    corpus = prepared(write(tmp_path / "docs", texts), tmp_path / "corpus", data__validation=0.2)
    found = sides(corpus)
    holding = {side: sum(other in text or near in text for text in texts) for side, texts in found.items()}
    assert holding["validation"] > 0 and holding["train"] == 0
    assert sum(earlier in text for texts in found.values() for text in texts) == 1


@pytest.mark.parametrize("dedup", ["exact", "paragraphs"])
def test_a_paragraph_that_a_block_ends_in_has_no_copy_on_the_other_side(tmp_path, dedup):
    shared = [paragraph(random.Random(n), 300) for n in range(40)]
    books = {
        f"{name}.txt": [part for n in range(40) for part in (shared[n], *document(n + base, 1))]
        for name, base in (("a", 0), ("b", 100), ("c", 200))
    }
    corpus = prepared(write(tmp_path / "docs", books), tmp_path / "corpus", data__dedup=dedup, data__validation=0.3)
    found = sides(corpus)
    whole = [" ".join(re.findall(r"\w+", text.lower())) for text in shared]
    words = {side: [" ".join(re.findall(r"\w+", text.lower())) for text in texts] for side, texts in found.items()}
    held = [text for text in whole if any(text in other for other in words["validation"])]
    assert held and not any(text in other for text in held for other in words["train"])
    assert not paragraphs_of(found["train"]) & paragraphs_of(found["validation"])


def test_a_text_that_says_one_thing_often_is_not_taken_for_a_paragraph_that_says_it_once(tmp_path):
    said = paragraph(random.Random(1003), 80)
    texts = {f"{n:02d}.txt": document(n) for n in range(30)}
    texts["once.txt"] = [said, *document(100)]
    texts["often.txt"] = ["\n".join([textwrap.fill(said, 80)] * 20)]
    corpus = prepared(write(tmp_path / "docs", texts), tmp_path / "corpus")
    whole = [" ".join(text.split()) for texts in sides(corpus).values() for text in texts]
    assert sum(text.count(said) for text in whole) == 21


def test_a_document_of_nothing_but_repeated_paragraphs_says_so_in_the_ledger(tmp_path):
    texts = {f"{n:02d}.txt": document(n) for n in range(30)}
    texts["z-quotes.txt"] = [document(n)[0] for n in range(5)]
    corpus = prepared(write(tmp_path / "docs", texts), tmp_path / "corpus")
    row = next(row for row in corpus.ledger() if row["path"].endswith("z-quotes.txt"))
    assert row["tokens"] == 0 and "nothing but paragraphs that others have" in row["reason"]
    assert corpus.manifest["documents"] == 30 and corpus.manifest["repeated"] == 1


def test_code_keeps_its_repeated_paragraphs(tmp_path):
    licence = "\n".join(f"# {paragraph(random.Random(n), 12)}" for n in range(5))
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(40):
        names = " ".join(document(n, 6))
        (folder / f"{n:02d}.py").write_text(f"{licence}\n\nwords = '''{names}'''\n\n\ndef f{n}():\n    return {n}\n")
    corpus = prepared(folder, tmp_path / "corpus", data__tokenizer="bytes")
    assert corpus.manifest["documents"] == 40
    assert all(licence in text for texts in sides(corpus).values() for text in texts)


def test_the_pairs_can_be_seen(tmp_path):
    texts = {f"{n:02d}.txt": document(n) for n in range(40)}
    texts["a-copy.txt"] = document(3)
    draw = random.Random(2)
    texts["b-near.txt"] = [changed(text, draw, 50) for text in document(4, 12)]
    texts["04.txt"] = document(4, 12)
    texts["c-quotes.txt"] = [*document(500, 4), document(5)[2]]
    corpus = prepared(write(tmp_path / "docs", texts), tmp_path / "corpus")
    pairs = find_pairs(corpus, 10)
    by_kind: dict[str, list] = {}
    for pair in pairs:
        by_kind.setdefault(pair.kind, []).append(pair)
    (exact,) = by_kind["exact"]
    assert {Path(exact.removed).name, Path(exact.kept).name} == {"a-copy.txt", "03.txt"}
    (near,) = by_kind["near"]
    assert {Path(near.removed).name, Path(near.kept).name} == {"b-near.txt", "04.txt"}
    assert 0.7 < near.similarity < 1 and near.removed_text != near.kept_text
    (quoted,) = [*by_kind.get("paragraph", []), *by_kind.get("across the split", [])]
    assert quoted.removed_text == quoted.kept_text == document(5)[2][:300]
    rows = {Path(row["path"]).name: row for row in corpus.ledger()}
    assert sum(row["duplicates"] for row in rows.values()) == 1
    assert sum(row["near_duplicates"] for row in rows.values()) == 1
    assert sum(row["repeated_characters"] for row in rows.values()) == len(document(5)[2])
