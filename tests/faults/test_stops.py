"""Rows 37 and 38: preparation that was killed or stopped goes on as if it had not been; dead helpers are seen."""

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import groundup
from groundup.corpus import Corpus

TEXT = "The {n}th note is about {word}, which the {n}th person saw on the {m}th day of the year. "
SETTINGS = {"data.vocab_size": 400}
SETS = ("--set", "data.vocab_size=400")
PHASES = ["reading", "cleaning", "learning the tokenizer", "tokenizing"]


def note(n: int, lines: int) -> str:
    return "".join(TEXT.format(n=n * lines + m, m=m * 7 + n, word=f"{n:x}{m:x}" * 3) for m in range(lines)) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """About 4.4 MB, two parts of a corpus: the stages run in processes of their own."""
    folder = tmp_path_factory.mktemp("stops") / "docs"
    folder.mkdir()
    for n in range(16):
        (folder / f"{n:02d}.txt").write_text("\n".join(note(1000 * n + k, 30) for k in range(88)))
    (folder / "blank.txt").write_text("\n")
    return folder


def contents(path: Path) -> dict[str, Any]:
    corpus = Corpus(path)
    found: dict[str, Any] = {
        file.name: file.read_bytes() for file in path.iterdir() if file.suffix in (".ds", ".index")
    }
    for name in ("tokenizer.json", "manifest.json", "documents.jsonl", "duplicates.jsonl"):
        found[name] = (path / name).read_text()
    return found | {"ledger": [{**row, "seconds": 0} for row in corpus.ledger()]}


@pytest.fixture(scope="module")
def fresh(folder) -> dict[str, Any]:
    """What one run that nothing disturbs makes of `folder`."""
    return contents(groundup.prepare([folder], out=folder.parent / "fresh", settings=SETTINGS).path)


@pytest.mark.parametrize(
    ("moment", "group"),
    [
        ("reading", True),
        ("tokenizing", False),
        *(pytest.param(phase, group, marks=pytest.mark.slow) for phase in PHASES for group in (True, False)),
    ],
)
def test_row_37_ingestion_killed_half_way_equals_one_run(tmp_path, start, cli, folder, fresh, moment, group):
    running = start("prepare", folder, "--out", tmp_path / "corpus", *SETS)
    running.wait_for_phase(moment)
    if moment == "reading":
        running.wait_for(lambda: running.children("documents.worker"))
    running.kill(group)
    code, _ = running.end()
    assert code == -signal.SIGKILL
    assert not (tmp_path / "corpus").exists()
    done = cli("prepare", folder, "--out", tmp_path / "corpus", *SETS)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "corpus") == fresh
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "reading"),
        (signal.SIGINT, "cleaning"),
        pytest.param(signal.SIGTERM, "tokenizing", marks=pytest.mark.slow),
    ],
)
def test_row_37_a_stop_asked_for_exits_75_and_says_how_to_go_on(tmp_path, start, cli, folder, fresh, number, moment):
    running = start("prepare", folder, "--out", tmp_path / "corpus", *SETS)
    running.wait_for_phase(moment)
    began = time.monotonic()
    os.killpg(running.process.pid, number)  # as a terminal or a scheduler does
    code, output = running.end()
    assert time.monotonic() - began < 10
    assert code == 75 and "Traceback" not in output, output
    assert f"stopped by {number.name}" in output and "run the same command again" in output, output
    assert not (tmp_path / "corpus").exists()
    done = cli("prepare", folder, "--out", tmp_path / "corpus", *SETS)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "corpus") == fresh


def long_file(path: Path) -> None:
    """A table whose reading takes some seconds."""
    draw = random.Random(3)
    with path.open("w") as file:
        for n in range(300_000):
            file.write(json.dumps({"text": f"Row {n} says {draw.random()}."}) + "\n")


def test_row_38_a_reader_process_that_dies_costs_the_file_it_had(tmp_path, start, rows):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text(note(1, 5))
    long_file(folder / "b.jsonl")
    (folder / "c.txt").write_text(note(2, 5))
    running = start("prepare", folder, "--out", tmp_path / "corpus")
    (reader,) = running.wait_for(lambda: running.children("documents.worker"))
    running.wait_for(lambda: any("b.jsonl" in file.path for file in reader.open_files()))
    reader.kill()
    began = time.monotonic()
    code, output = running.end()
    assert time.monotonic() - began < 20
    assert code == 0, output
    found = rows(Corpus(tmp_path / "corpus"), folder)
    assert {name: row["status"] for name, row in found.items()} == {
        "a.txt": "read",
        "b.jsonl": "failed",
        "c.txt": "read",
    }
    assert "the reader process died (signal 9)" in found["b.jsonl"]["reason"]
    assert "b.jsonl: the reader process died" in output


@pytest.mark.parametrize("stage", [pytest.param("cleaning", marks=pytest.mark.slow), "tokenizing"])
def test_row_38_a_stage_process_that_dies_is_an_error_and_what_was_read_is_kept(
    tmp_path, start, cli, folder, fresh, stage
):
    running = start("prepare", folder, "--out", tmp_path / "corpus", *SETS)
    running.wait_for_phase(stage)
    (worker,) = running.wait_for(lambda: running.children("corpus.preparation.worker"))
    worker.kill()
    began = time.monotonic()
    code, output = running.end()
    assert time.monotonic() - began < 10
    assert code == 2 and "Traceback" not in output, output
    assert "a process was killed in stage" in output and "memory" in output
    assert not (tmp_path / "corpus").exists()
    done = cli("prepare", folder, "--out", tmp_path / "corpus", *SETS)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "corpus") == fresh
