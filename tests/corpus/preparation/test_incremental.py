"""Preparing again: only what changed is read, and the result is that of a fresh run."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from groundup.config import Config, load_config
from groundup.corpus import Corpus, prepare_corpus
from groundup.corpus.preparation import reading as reading_module
from groundup.corpus.preparation.reading import read_texts
from groundup.corpus.preparation.settings import reading_options
from groundup.corpus.preparation.store import kept_files
from groundup.documents.read import read_found
from groundup.errors import Stopped, UserError
from groundup.events import Event, Phase, Progress, nobody

TEXT = "The {n}th note is about {word}, which the {n}th person saw on the {m}th day of the year. "


def note(n: int, lines: int = 30) -> str:
    return "".join(TEXT.format(n=n * lines + m, m=m * 7 + n, word=f"{n:x}{m:x}" * 3) for m in range(lines)) + "\n"


def write_folder(folder: Path, count: int = 20) -> Path:
    (folder / "more").mkdir(parents=True)
    for n in range(count):
        (folder / ("more" if n % 3 else "") / f"{n:02d}.txt").write_text(note(n))
    with zipfile.ZipFile(folder / "pack.zip", "w") as archive:
        for n in range(3):
            archive.writestr(f"inner-{n}.md", "# Packed\n\n" + note(500 + n))
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": note(600 + n)}) + "\n" for n in range(4)))
    return folder


def contents(corpus: Corpus) -> dict[str, Any]:
    found: dict[str, Any] = {
        path.name: path.read_bytes() for path in corpus.path.iterdir() if path.suffix in (".ds", ".index")
    }
    for name in ("tokenizer.json", "manifest.json", "documents.jsonl", "duplicates.jsonl"):
        found[name] = (corpus.path / name).read_text()
    found["ledger"] = [{**row, "seconds": 0} for row in corpus.ledger()]
    return found


@pytest.fixture
def read_again(monkeypatch) -> list[str]:
    """The files that reader processes were given."""
    given: list[str] = []

    def watched(found: Iterator, **settings):
        def note_each() -> Iterator:
            for item in found:
                if isinstance(item, Path):
                    given.append(item.name)
                yield item

        return read_found(note_each(), **settings)

    monkeypatch.setattr(reading_module, "read_found", watched)
    return given


def prepare(folder: Path, out: Path, **settings) -> Corpus:
    given = {key.replace("__", "."): value for key, value in settings.items()}
    return prepare_corpus([folder], out, load_config(None, given), keep_texts=True)


def test_only_what_was_added_or_changed_is_read_and_the_result_is_that_of_a_fresh_run(tmp_path, read_again):
    folder = write_folder(tmp_path / "docs")
    first = contents(prepare(folder, tmp_path / "corpus"))
    assert len(read_again) == 22
    read_again.clear()
    assert contents(prepare(folder, tmp_path / "corpus")) == first
    assert read_again == []
    (folder / "00.txt").write_text(note(900))
    (folder / "03.txt").unlink()
    (folder / "more" / "new.txt").write_text(note(901))
    again = contents(prepare(folder, tmp_path / "corpus"))
    assert sorted(read_again) == ["00.txt", "new.txt"]
    assert again == contents(prepare(folder, tmp_path / "fresh"))
    assert again != first
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["corpus", "docs", "fresh"]


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path, read_again):
    folder = write_folder(tmp_path / "docs")
    path = folder / "00.txt"
    before = path.stat()
    prepare(folder, tmp_path / "corpus")
    read_again.clear()
    path.write_text(path.read_text().replace("note", "tone"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    corpus = prepare(folder, tmp_path / "corpus")
    assert read_again == ["00.txt"]
    assert contents(corpus) == contents(prepare(folder, tmp_path / "fresh"))


def test_a_file_that_was_only_touched_is_not_read_again(tmp_path, read_again):
    folder = write_folder(tmp_path / "docs")
    prepare(folder, tmp_path / "corpus")
    read_again.clear()
    (folder / "00.txt").touch()
    prepare(folder, tmp_path / "corpus")
    assert read_again == []


def test_everything_is_read_again_when_it_is_to_be_read_in_another_way(tmp_path, read_again):
    folder = write_folder(tmp_path / "docs")
    prepare(folder, tmp_path / "corpus")
    read_again.clear()
    prepare(folder, tmp_path / "corpus", data__ocr=False)
    assert len(read_again) == 22
    read_again.clear()
    cleaned = prepare(folder, tmp_path / "corpus", data__ocr=False, data__mask=("emails",), data__vocab_size=300)
    assert read_again == [] and cleaned.tokenizer.vocab_size == 300


def test_a_file_that_failed_is_tried_again(tmp_path, read_again):
    folder = write_folder(tmp_path / "docs")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing more")
    corpus = prepare(folder, tmp_path / "corpus")
    assert corpus.manifest["files"]["failed"] == 1
    read_again.clear()
    prepare(folder, tmp_path / "corpus")
    assert read_again == ["broken.pdf"]


def test_what_was_read_before_a_stop_is_not_read_again(tmp_path, read_again):
    folder = write_folder(tmp_path / "docs")
    done = 0

    def listen(event: Event) -> None:
        nonlocal done
        done = event.done if isinstance(event, Progress) else done

    def poll() -> None:
        if done >= 9:
            raise Stopped("now")

    with pytest.raises(Stopped):
        prepare_corpus([folder], tmp_path / "corpus", Config(), keep_texts=True, listen=listen, poll=poll)
    read_again.clear()
    corpus = prepare(folder, tmp_path / "corpus")
    assert 10 <= len(read_again) <= 14  # what was being read at the moment may have to be read once more
    assert contents(corpus) == contents(prepare(folder, tmp_path / "fresh"))


SCRIPT = """
import sys
from pathlib import Path
from groundup.config import Config
from groundup.corpus import prepare_corpus
from groundup.events import Phase, Progress

def listen(event):
    print(event.name if isinstance(event, Phase) else event.done if isinstance(event, Progress) else "", flush=True)

prepare_corpus([Path(sys.argv[1])], Path(sys.argv[2]), Config(), keep_texts=True, listen=listen)
"""


@pytest.mark.parametrize("moment", ["7", "cleaning", "tokenizing", "put together"])
def test_preparation_killed_half_way_then_run_again_equals_one_run(tmp_path, moment):  # faults, row 37
    folder = write_folder(tmp_path / "docs")
    (folder / "big.txt").write_text("".join(note(n, 300) for n in range(1000, 1250)))  # several parts
    fresh = contents(prepare(folder, tmp_path / "fresh"))
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(tmp_path / "corpus")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    if moment == "put together":
        while child.poll() is None and not list(tmp_path.glob(".corpus.preparing/work-*/corpus")):
            time.sleep(0.001)
    else:
        for line in child.stdout:
            if line.strip() == moment:
                break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert contents(prepare(folder, tmp_path / "corpus")) == fresh
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "docs", "fresh"]


def test_a_corpus_whose_replacement_was_interrupted_is_found_again(tmp_path):
    folder = write_folder(tmp_path / "docs")
    first = contents(prepare(folder, tmp_path / "corpus"))
    (tmp_path / "corpus").rename(tmp_path / ".corpus.replaced")
    assert contents(prepare(folder, tmp_path / "corpus")) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "docs"]


def test_a_failed_update_leaves_the_old_corpus(tmp_path):
    folder = write_folder(tmp_path / "docs")
    first = contents(prepare(folder, tmp_path / "corpus"))
    (folder / "00.txt").write_text(note(901))

    def listen(event: Event) -> None:
        if isinstance(event, Phase) and event.name == "tokenizing":
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        prepare_corpus([folder], tmp_path / "corpus", Config(), keep_texts=True, listen=listen)
    assert contents(Corpus(tmp_path / "corpus")) == first


def test_an_error_of_the_users_keeps_what_was_read_before(tmp_path, read_again):
    folder = write_folder(tmp_path / "docs")
    with pytest.raises(UserError, match="257 entries"):
        prepare(folder, tmp_path / "corpus", data__tokenizer="bytes", data__vocab_size=300)
    with pytest.raises(UserError, match="no such file"):
        prepare(tmp_path / "dosc", tmp_path / "corpus")
    read_again.clear()
    prepare(folder, tmp_path / "corpus")
    assert read_again == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "docs"]


def test_a_file_that_changes_after_it_was_found_unchanged_is_read_the_next_time(tmp_path):
    folder = write_folder(tmp_path / "docs")
    prepare(folder, tmp_path / "corpus")

    def change() -> None:  # before the first file is copied, when the third has been found
        (folder / "06.txt").write_text(note(700))

    options = reading_options(asdict(Config().data))
    read_texts([folder], tmp_path / "texts", options, [tmp_path / "corpus" / "texts"], listen=nobody, poll=change)
    reading = {"groundup": version("groundup"), **asdict(options)}
    before, after = (kept_files(tmp_path / place, reading) for place in ("corpus/texts", "texts"))
    assert before.keys() - after.keys() == {str(folder / "06.txt")}


@pytest.mark.parametrize("damage", ["cut", "zeroed", "missing"])
def test_damaged_texts_are_read_from_the_files_again(tmp_path, read_again, damage):
    folder = write_folder(tmp_path / "docs")
    first = contents(prepare(folder, tmp_path / "corpus"))
    part = tmp_path / "corpus" / "texts" / "00000.docs"
    half = part.stat().st_size // 2
    if damage == "cut":
        os.truncate(part, half)
    elif damage == "zeroed":
        part.write_bytes(part.read_bytes()[:half] + bytes(half))
    else:
        part.unlink()
    read_again.clear()
    assert contents(prepare(folder, tmp_path / "corpus")) == first
    assert len(read_again) == (22 if damage == "missing" else len(read_again)) > 5


def test_stopped_tries_do_not_pile_up(tmp_path):
    folder = write_folder(tmp_path / "docs")

    def stop_at(phase: str) -> None:
        def listen(event: Event) -> None:
            if isinstance(event, Phase) and event.name == phase:
                raise Stopped("now")

        with pytest.raises(Stopped):
            prepare_corpus([folder], tmp_path / "corpus", Config(), keep_texts=True, listen=listen)

    for _ in range(3):
        stop_at("tokenizing")
    assert len(list((tmp_path / ".corpus.preparing").glob("**/files.jsonl"))) <= 2
