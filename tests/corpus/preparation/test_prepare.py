import hashlib
import json
import os
import random
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from groundup.config import Config, load_config
from groundup.corpus import Corpus, is_corpus, prepare_corpus, read_clean
from groundup.documents import Document, FileRecord, read_documents
from groundup.errors import Stopped, UserError
from groundup.events import Event, Notice, Phase, Progress

WORDS = [
    "river",
    "stone",
    "Köln",
    "light",
    "the",
    "of",
    "carries",
    "slowly,",
    "東京",
    "answer.",
    "never",
    "again",
    "🙂",
]


def prose(seed: int, paragraphs: int, width: int = 40) -> str:
    draw = random.Random(seed)
    return "\n\n".join(" ".join(draw.choices(WORDS, k=width)) for _ in range(paragraphs)) + "\n"


def write_many(folder: Path, count: int = 30, paragraphs: int = 12) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:02d}.txt").write_text(prose(number, paragraphs), encoding="utf-8")
    return folder


def texts_of(paths: Iterable[Path]) -> dict[str, str]:
    return {item.source: item.text for item in read_clean([*paths], Config()) if isinstance(item, Document)}


def rows_of(corpus: Corpus) -> list[dict]:
    return [json.loads(line) for line in (corpus.path / "documents.jsonl").read_text().splitlines()]


def decoded(corpus: Corpus) -> list[tuple[dict, str]]:
    """Each row of documents.jsonl with the text of the document in the shards that it stands for."""
    streams = {"train": corpus.train, "validation": corpus.validation}
    at = dict.fromkeys(streams, 0)
    pairs = []
    for row in rows_of(corpus):
        tokens = streams[row["split"]].document(at[row["split"]])
        at[row["split"]] += 1
        assert len(tokens) == row["tokens"]
        pairs.append((row, corpus.tokenizer.decode(tokens.tolist())))
    assert at == {split: len(stream.document_ends) for split, stream in streams.items()}
    return pairs


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    folder = write_many(tmp_path_factory.mktemp("mixed") / "docs", count=40, paragraphs=10)
    (folder / "notes.md").write_text("# Title\n\n" + prose(100, 10))
    (folder / "code.py").write_text("def f(x):\n\treturn x\n\n\n" * 40)
    (folder / "page.html").write_text(
        f"<html><head><title>T</title></head><body><article><h1>H</h1><p>{prose(101, 3)}</p></article></body></html>"
    )
    rows = [json.dumps({"text": prose(200 + n, 4)}) for n in range(20)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\nthis is no JSON\n")
    (folder / "special.txt").write_text("It ends with <|endoftext|> as text.\n" * 20)
    (folder / "copies").mkdir()
    for number in range(10):
        # the same texts once more, under other names, with other outer blanks
        text = (folder / f"{number:02d}.txt").read_text()
        (folder / "copies" / f"copy-{number}.md").write_text(f"\n\n{text}\n \n")
    (folder / "picture.bin").write_bytes(bytes(range(256)) * 50)
    (folder / "empty.txt").touch()
    (folder / ".hidden.txt").write_text("not to be read")
    (folder / "latin1.txt").write_bytes(("Ünïcödé façade déjà vu. " * 20).encode("latin-1"))
    with open(os.fsencode(folder) + b"/caf\xe9.txt", "w") as file:  # noqa: PTH123 (a name that is not UTF-8)
        file.write(prose(300, 2))
    return folder


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def corpus(mixed, events, tmp_path_factory) -> Corpus:
    return prepare_corpus([mixed], tmp_path_factory.mktemp("out") / "corpus", Config(), listen=events.append)


def test_the_shards_hold_the_texts_of_the_documents_token_by_token(corpus, mixed):
    texts = texts_of([mixed])
    pairs = decoded(corpus)
    assert len(pairs) > 60
    for row, text in pairs:
        assert text == texts[row["source"]]
        assert corpus.tokenizer.encode(text) == corpus.tokenizer.encode_batch([text])[0].tolist()
    assert {row["media_type"] for row, _ in pairs} >= {"text/plain", "text/x-python", "text/html"}


def test_duplicates_are_dropped_and_never_on_both_sides(corpus, mixed):
    assert corpus.manifest["duplicates"] == 10
    texts = [text.strip() for _, text in decoded(corpus)]
    assert len(texts) == len(set(texts)) == corpus.manifest["documents"]
    assert len(texts_of([mixed])) == len(texts) + 10


def test_about_the_share_asked_for_is_held_out(corpus):
    manifest = corpus.manifest
    assert 0.09 < manifest["validation_bytes"] / (manifest["train_bytes"] + manifest["validation_bytes"]) < 0.11
    assert not manifest["notes"]


def test_the_manifest_counts_what_is_there(corpus):
    manifest = json.loads((corpus.path / "manifest.json").read_text())
    for split, stream in (("train", corpus.train), ("validation", corpus.validation)):
        texts = [text for row, text in decoded(corpus) if row["split"] == split]
        assert manifest[f"{split}_bytes"] == sum(len(text.encode()) for text in texts)
        assert manifest[f"{split}_tokens"] == len(stream) - len(texts)
    for path in corpus.path.glob("*.ds"):
        content, index = path.read_bytes(), path.with_suffix(".index").read_bytes()
        facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert manifest["shards"].pop(path.name) == facts | {"index_sha256": hashlib.sha256(index).hexdigest()}
    assert not manifest["shards"]
    assert manifest["settings"]["data.tokenizer"] == "bpe"
    assert manifest["vocab_size"] == corpus.tokenizer.vocab_size


def test_every_file_has_a_row_in_the_ledger(corpus, mixed):
    expected = [record for record in read_documents([mixed]) if isinstance(record, FileRecord)]
    rows = list(corpus.ledger())
    again = "1 of 1 documents repeat earlier ones and were left out"
    assert [(row["path"], row["status"], row["reason"].replace(again, "")) for row in rows] == [
        (record.path, record.status, record.reason) for record in expected
    ]
    assert sum(row["reason"] == again for row in rows) == corpus.manifest["duplicates"] > 0
    statuses = {Path(row["path"]).name: row["status"] for row in rows}
    assert statuses["notes.md"] == "read"
    assert statuses["picture.bin"] == statuses["empty.txt"] == statuses[".hidden.txt"] == "skipped"
    assert any("JSON" in row["reason"] for row in rows if row["path"].endswith("rows.jsonl"))
    counts = corpus.manifest["files"]
    assert counts == {status: sum(row["status"] == status for row in rows) for status in ("read", "skipped", "failed")}


def test_nothing_but_the_corpus_is_left(corpus):
    assert is_corpus(corpus.path)
    assert [path.name for path in corpus.path.parent.iterdir()] == ["corpus"]
    assert not [path for path in corpus.path.rglob("*") if "spool" in path.name or path.name.startswith(".")]


def test_progress_grows_and_never_passes_its_total(corpus, events):
    total, done, phases = None, 0, []
    for event in events:
        if isinstance(event, Phase):
            total, done = event.total, 0
            phases.append(event.name)
        elif isinstance(event, Progress):
            assert event.done >= done and total is not None and event.done <= total, event
            done = event.done
    assert phases == ["reading", "cleaning", "learning the tokenizer", "tokenizing"]


def test_the_decisions_are_noted_with_their_reason(mixed, tmp_path):
    config = Config()
    prepare_corpus([mixed], tmp_path / "corpus", config)
    assert config.data.tokenizer == "bpe" and config.data.vocab_size == 512
    assert "square root" in config.origins["data.vocab_size"]


def test_held_out_texts_come_from_the_validation_side(corpus):
    texts = [text for row, text in decoded(corpus) if row["split"] == "validation"]
    assert corpus.held_out_texts(2) == texts[:2]
    assert corpus.held_out_texts(10**6) == texts
    assert [corpus.tokenizer.decode(tokens.tolist()) for tokens in corpus.validation_documents()] == texts


def prepared(paths: list[Path], out: Path, **settings) -> Corpus:
    return prepare_corpus(paths, out, load_config(None, {key.replace("__", "."): v for key, v in settings.items()}))


def test_one_long_document_is_cut_at_paragraph_ends_with_a_notice(tmp_path):
    text = prose(1, 150)
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    seen: list[Event] = []
    corpus = prepare_corpus([tmp_path / "book.txt"], tmp_path / "corpus", Config(), listen=seen.append)
    notices = [event.text for event in seen if isinstance(event, Notice)]
    assert notices == corpus.manifest["notes"] and "1 of 1 were cut" in notices[0]
    pairs = decoded(corpus)
    (document,) = texts_of([tmp_path / "book.txt"]).values()
    assert "".join(document[slice(*row["characters"])] for row, _ in pairs) == document
    assert all(part == document[slice(*row["characters"])] for row, part in pairs)
    assert all(part.endswith("\n\n") for _, part in pairs[:-1])
    held_out = [len(part.encode()) for row, part in pairs if row["split"] == "validation"]
    assert len(held_out) >= 5  # from many places of the book
    assert 0.08 < sum(held_out) / len(document.encode()) < 0.12


def test_scripts_of_three_bytes_a_character_are_cut_into_as_many_blocks(tmp_path):
    (tmp_path / "book.txt").write_text("".join(f"第{n}段落の文章です。\n\n" for n in range(1500)), encoding="utf-8")
    corpus = prepared([tmp_path / "book.txt"], tmp_path / "corpus")
    assert sum(row["split"] == "validation" for row in rows_of(corpus)) >= 7
    assert 0.08 < corpus.manifest["validation_bytes"] / (11 * 3 * 1500) < 0.13


def test_blocks_that_repeat_are_not_on_both_sides(tmp_path):
    (tmp_path / "log.txt").write_text(prose(1, 20) + "\n" + (prose(2, 1, 400) + "\n\n") * 60)
    corpus = prepared([tmp_path / "log.txt"], tmp_path / "corpus")
    sides = {"train": set(), "validation": set()}
    for row, text in decoded(corpus):
        sides[row["split"]].add(text.strip())
    assert not sides["train"] & sides["validation"]


def test_a_folder_of_two_kilobytes_works(tmp_path):
    folder = write_many(tmp_path / "docs", count=2, paragraphs=4)
    corpus = prepared([folder], tmp_path / "corpus")
    assert len(corpus.train) > 100 and len(corpus.validation) > 20
    assert corpus.tokenizer.vocab_size == 257
    assert all(text in (folder / Path(row["source"]).name).read_text() for row, text in decoded(corpus))


def test_a_text_too_short_to_hold_any_out_says_so(tmp_path):
    (tmp_path / "note.txt").write_text("Only one short line of text.")
    corpus = prepared([tmp_path / "note.txt"], tmp_path / "corpus")
    assert len(corpus.validation) == 0 and corpus.validation_documents() == []
    assert "no validation" in corpus.manifest["notes"][-1]
    assert corpus.held_out_texts(3) == ["Only one short line of text."]


def test_nothing_is_held_out_where_none_is_asked_for(tmp_path):
    folder = write_many(tmp_path / "docs", count=3)
    corpus = prepared([folder], tmp_path / "corpus", data__validation=0)
    assert len(corpus.validation) == 0 and not corpus.manifest["notes"]
    assert len(corpus.train.document_ends) == 3


def test_an_empty_folder_and_one_without_text_are_the_users_error(tmp_path):
    (tmp_path / "docs").mkdir()
    for _ in range(2):
        with pytest.raises(UserError, match="no text could be read") as caught:
            prepared([tmp_path / "docs"], tmp_path / "out" / "corpus")
        assert str(tmp_path / "docs") in caught.value.where
        assert list((tmp_path / "out").iterdir()) == []
        (tmp_path / "docs" / "picture.bin").write_bytes(bytes(range(256)) * 50)
    assert "picture.bin" in str(caught.value)


def test_documents_that_cleaning_leaves_blank_are_not_counted_as_filtered(tmp_path):
    (tmp_path / "notice.txt").write_text("\n\nAll rights reserved.\n\n\nPage 3 of 10\n\n")
    (tmp_path / "text.txt").write_text("Some words.\n" * 90)
    corpus = prepare_corpus([tmp_path / "notice.txt", tmp_path / "text.txt"], tmp_path / "corpus", Config())
    assert (corpus.manifest["filtered"], corpus.manifest["documents"]) == (0, 1)


def test_a_filter_that_drops_everything_leaves_the_old_corpus(tmp_path):
    (tmp_path / "text.txt").write_text("Some words.\n" * 90)
    before = prepare_corpus([tmp_path / "text.txt"], tmp_path / "corpus", Config()).manifest
    with pytest.raises(UserError, match="no text is left"):
        prepare_corpus([tmp_path / "text.txt"], tmp_path / "corpus", load_config(None, {"data.filter": "web"}))
    assert Corpus(tmp_path / "corpus").manifest == before


def test_a_missing_path_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        prepared([tmp_path / "none"], tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.parametrize("phase", ["reading", "cleaning", "learning the tokenizer", "tokenizing"])
def test_an_interrupted_preparation_leaves_no_process_and_no_half_corpus(tmp_path, phase):
    folder = write_many(tmp_path / "docs", count=30)
    before, phases = children(), []

    def listen(event: Event) -> None:
        if isinstance(event, Phase):
            phases.append(event.name)

    def poll() -> None:
        if phases[-1] == phase:
            raise Stopped("now")

    with pytest.raises(Stopped) as caught:
        prepare_corpus([folder], tmp_path / "out" / "corpus", Config(), listen=listen, poll=poll)
    assert caught.value is not None  # an exception that is kept must not keep the reader processes
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".corpus.preparing"]
    deadline = time.monotonic() + 5
    while children() - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not children() - before


def test_half_done_work_of_an_earlier_try_is_replaced(tmp_path):
    folder = write_many(tmp_path / "docs", count=2, paragraphs=4)
    (tmp_path / ".corpus.preparing").mkdir()
    (tmp_path / ".corpus.preparing" / "train-00000.ds").write_bytes(b"half")
    assert len(decoded(prepared([folder], tmp_path / "corpus"))) > 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "docs"]


def contents(corpus: Corpus) -> dict[str, bytes]:
    kept = ("*.ds", "*.index", "tokenizer.json", "manifest.json")
    return {path.name: path.read_bytes() for pattern in kept for path in corpus.path.glob(pattern)}


def test_equal_input_gives_equal_files_wherever_it_lies(tmp_path):
    first = prepared([write_many(tmp_path / "a" / "docs")], tmp_path / "a" / "corpus")
    second = prepared([write_many(tmp_path / "b" / "docs")], tmp_path / "b" / "corpus")
    assert contents(first) == contents(second)
    assert first.manifest["fingerprint"] == second.manifest["fingerprint"]


def test_the_fingerprint_tells_inputs_and_splits_apart(tmp_path):
    folder = write_many(tmp_path / "docs", count=12, paragraphs=4)
    prints = [prepared([folder], tmp_path / "1", data__tokenizer="bytes").manifest["fingerprint"]]
    for name, settings in (
        ("2", {"training__seed": 1}),
        ("3", {"data__validation": 0.3}),
        ("4", {"data__vocab_size": 300}),
    ):
        settings = {"data__tokenizer": "bytes", **settings} if name != "4" else settings
        prints.append(prepared([folder], tmp_path / name, **settings).manifest["fingerprint"])
    with (folder / "03.txt").open("a") as file:
        file.write("x")
    prints.append(prepared([folder], tmp_path / "5", data__tokenizer="bytes").manifest["fingerprint"])
    assert len(set(prints)) == len(prints)


def test_what_the_user_asked_of_the_tokenizer_holds_on_small_texts(tmp_path):
    folder = write_many(tmp_path / "docs", count=4, paragraphs=6)
    assert prepared([folder], tmp_path / "1").manifest["settings"]["data.tokenizer"] == "bytes"
    assert prepared([folder], tmp_path / "2", data__tokenizer="bpe").tokenizer.vocab_size > 257
    asked = prepared([folder], tmp_path / "3", data__vocab_size=270)
    assert asked.tokenizer.vocab_size == 270 and asked.manifest["settings"]["data.tokenizer"] == "bpe"


def test_the_tokenizer_learns_from_every_text_of_a_large_corpus(tmp_path, monkeypatch):
    # stands for a corpus of a few texts far larger than the sample: one whole text would be more than all of it
    for module in ("stages", "vocabulary"):
        monkeypatch.setattr(f"groundup.corpus.preparation.{module}.SAMPLE_BYTES", 60_000)
    monkeypatch.setattr("groundup.corpus.preparation.stages.SAMPLE_PIECE", 2_000)
    for number, word in enumerate(("alphabetical ", "bumblebee ", "cryptography ")):
        lines = [f"{word}{n} " * 8 + "\n" for n in range(2500)]
        (tmp_path / f"{number}.txt").write_text("".join(lines))
    seen: list[Event] = []
    config = load_config(None, {"data.validation": 0, "data.vocab_size": 400})
    corpus = prepare_corpus([tmp_path / f"{n}.txt" for n in range(3)], tmp_path / "corpus", config, listen=seen.append)
    for word in (" alphabetical", " bumblebee", " cryptography"):
        assert len(corpus.tokenizer.encode(word)) == 1
    phase = next(index for index, event in enumerate(seen) if isinstance(event, Phase) and "tokenizer" in event.name)
    learned = [event.done for event in seen[phase + 1 :] if isinstance(event, Progress)]
    assert max(learned[:10]) <= 60_000


def test_a_damaged_corpus_is_named(tmp_path):
    folder = write_many(tmp_path / "docs", count=3)
    path = prepared([folder], tmp_path / "corpus").path
    (path / "train-00000.index").unlink()
    with pytest.raises(UserError, match="missing") as caught:
        _ = Corpus(path).train
    assert "train-00000" in caught.value.where
    (path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        _ = Corpus(path).tokenizer
    for content in ("{}", "[]", "", '{"version": 99}'):
        (path / "manifest.json").write_text(content)
        with pytest.raises(UserError, match=r"manifest\.json"):
            _ = Corpus(path).manifest
    with pytest.raises(UserError, match="missing"):
        _ = Corpus(tmp_path / "none").manifest
    assert not is_corpus(tmp_path) and not is_corpus(tmp_path / "none")
