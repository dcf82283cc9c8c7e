"""Rows 26, 27 and 34 to 36: too little text, the spelling of special tokens, copies on both sides, damaged shards."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

import groundup
from groundup.corpus import Corpus
from groundup.errors import UserError

# it loads in this process what the forked ones would each load again
pytestmark = pytest.mark.usefixtures("whole")
TINY = {
    "model.layers": 1,
    "model.width": 16,
    "training.tokens_per_update": 512,
    "training.log_every": 1,
    "device.precision": "float32",
}
WORDS = ["river", "lantern", "garden", "engine", "letter", "winter", "harbor", "window", "machine", "forest"]


def prose(seed: int, sentences: int = 12) -> str:
    draw = random.Random(seed)
    return " ".join(
        f"The {' '.join(draw.choices(WORDS, k=7))} number {draw.randrange(10**6)}." for _ in range(sentences)
    )


@pytest.mark.parametrize("content", ["empty", "blank", "nothing"])
def test_row_26_an_empty_corpus_and_one_of_blank_files_exit_2(tmp_path, cli, content):
    folder = tmp_path / "docs"
    folder.mkdir()
    if content != "nothing":
        for number in range(3):
            (folder / f"{number}.txt").write_text("" if content == "empty" else "\ufeff" + " \n\t\r\n\xa0" * number)
    for verb in ("prepare", "train"):
        done = cli(verb, folder, "--out", tmp_path / verb)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert f"{folder}: no text could be read" in done.stderr and "give a folder or files" in done.stderr
        assert content == "nothing" or f"{folder}/0.txt: empty" in done.stderr
    assert not (tmp_path / "prepare").exists() and not list(tmp_path.rglob("*.ds"))


@pytest.mark.parametrize(
    ("sentences", "settings", "notice"),
    [
        (1, {}, "note: the corpus is small: the context was shrunk"),
        (6, {"model.context": 32, "training.tokens_per_update": 8_192}, "warning: the text will be read"),
        (60, {"data.validation": 0}, "hold out a part of the documents: --set data.validation"),
    ],
    ids=["below the context", "below the batch", "no validation"],
)
def test_row_27_little_text_trains_with_a_notice(tmp_path, cli, sentences, settings, notice):
    (tmp_path / "a.txt").write_text(prose(1, sentences))
    sets = [argument for key, value in (TINY | settings).items() for argument in ("--set", f"{key}={value}")]
    done = cli("train", tmp_path / "a.txt", "--out", tmp_path / "run", "--steps", 8, *sets)
    assert done.returncode == 0, done.stderr
    assert notice in done.stderr + done.stdout
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 8


def test_row_27_less_text_than_asked_for_says_what_to_change(tmp_path, cli):
    (tmp_path / "a.txt").write_text("A short letter with few words, less than the context.")
    (tmp_path / "b.txt").write_text("b")
    for name, settings, fix in (
        ("a.txt", ["--set", "model.context=64"], "use --set model.context=8 or less"),
        ("b.txt", [], "more"),
    ):
        done = cli("train", tmp_path / name, "--out", tmp_path / "run" / name, "--steps", 2, *settings)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        assert fix in done.stderr, done.stderr


@pytest.mark.parametrize("tokenizer", [{"data__tokenizer": "bytes"}, {"data__vocab_size": 300}], ids=["bytes", "bpe"])
def test_row_34_the_spelling_of_a_special_token_stays_text(tmp_path, prepare, texts, tokenizer):
    folder = tmp_path / "docs"
    folder.mkdir()
    written = [f"{prose(n)} <|endoftext|> {prose(n + 50)}<|endoftext|><|endoftext|>" for n in range(6)]
    written.append("<|endoftext|>")
    for number, text in enumerate(written):
        (folder / f"{number}.txt").write_text(text)
    corpus = prepare(folder, data__validation=0, data__clean=(), data__dedup="exact", **tokenizer)
    assert sorted(text.strip() for text in texts(corpus)) == sorted(written)
    tokens = corpus.train.read(0, len(corpus.train))
    ends = np.flatnonzero(tokens == corpus.tokenizer.eos_id)
    assert ends.tolist() == (corpus.train.document_ends - 1).tolist() and len(ends) == len(written)


def test_row_35_duplicates_are_never_on_both_sides_of_the_split(tmp_path, prepare, rows):
    folder = tmp_path / "docs"
    for name in ("one", "two", "three"):
        (folder / name).mkdir(parents=True)
    shared = prose(10_000, 9)
    for number in range(40):
        paragraphs = [prose(100 * number + part, 8) for part in range(6)]
        text = "\n\n".join(paragraphs)
        (folder / "one" / f"{number:02d}.txt").write_text(text)
        if number % 2:
            (folder / "two" / f"{number:02d}.md").write_text(text + "\n\n")
        if number % 3 == 0:  # a near copy: one sentence more
            (folder / "three" / f"{number:02d}.txt").write_text(text + "\n\nThis was added to the copy later on.")
        if number % 5 == 0:  # a paragraph that many share
            (folder / "three" / f"shares-{number:02d}.txt").write_text(prose(7_000 + number, 20) + "\n\n" + shared)
    corpus = prepare(folder, data__validation=0.3)
    sides = [
        [corpus.tokenizer.decode(stream.document(n).tolist()) for n in range(len(stream.document_ends))]
        for stream in (corpus.train, corpus.validation)
    ]
    assert len(sides[0]) > 10 and len(sides[1]) > 5
    train, held_out = (
        {" ".join(p.split()) for text in side for p in text.split("\n\n") if p.strip()} for side in sides
    )
    assert not {p for p in train & held_out if len(p) > 100}
    sentences = [{s for p in side for s in p.split(".")} for side in (train, held_out)]
    assert not {s for s in sentences[0] & sentences[1] if len(s) > 40}
    assert corpus.manifest["duplicates"] == 20 and corpus.manifest["near_duplicates"] == 14
    found = rows(corpus, folder)
    assert all("repeat earlier ones" in row["reason"] for name, row in found.items() if name.startswith("two/"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    (folder / "docs").mkdir()
    for number in range(30):
        (folder / "docs" / f"{number}.txt").write_text(prose(number, 20))
    groundup.prepare([folder / "docs"], out=folder / "corpus")
    return folder / "corpus"


def flip(path: Path, offset: int, value: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= value
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["token", "truncated", "index", "index cut", "missing", "index missing"])
def test_row_36_a_damaged_shard_is_named(tmp_path, cli, pristine, damage):
    path = tmp_path / "corpus"
    shutil.copytree(pristine, path)
    shard, index = path / "train-00000.ds", path / "train-00000.index"
    assert len(Corpus(path).train)
    match damage:
        case "token":
            flip(shard, 100, 1)
        case "truncated":
            shard.write_bytes(shard.read_bytes()[:-400])
        case "index":
            flip(index, 8, 1)
        case "index cut":
            index.write_bytes(index.read_bytes()[:-3])
        case "missing":
            shard.unlink()
        case "index missing":
            index.unlink()
    with pytest.raises(UserError) as caught:
        _ = Corpus(path).train
    assert "train-00000" in caught.value.where and "prepare the corpus again" in caught.value.fix
    if damage in ("token", "index"):
        done = cli("train", path, "--out", tmp_path / "run", "--steps", 1)
        assert done.returncode == 2 and "train-00000" in done.stderr and "Traceback" not in done.stderr


def test_row_36_a_token_outside_the_vocabulary_is_named_with_its_shard(tmp_path, cli, pristine):
    path = tmp_path / "corpus"
    shutil.copytree(pristine, path)
    shard = path / "train-00000.ds"
    tokens = np.fromfile(shard, "<u2")
    tokens[::50] = 60_000
    tokens.tofile(shard)
    manifest = json.loads((path / "manifest.json").read_text())  # written so, not damaged since
    manifest["shards"][shard.name]["sha256"] = hashlib.sha256(shard.read_bytes()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    done = cli("train", path, "--out", tmp_path / "run", "--steps", 1)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"{shard.name}: holds token 60000, outside the vocabulary" in done.stderr
