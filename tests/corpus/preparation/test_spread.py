"""What tasks share: inputs divided alike every time, copies found over all parts, an end that can be repeated."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("datatrove")

from groundup import verbs
from groundup.config import load_config
from groundup.corpus.copies.minhash import BANDS, similar
from groundup.corpus.preparation import spread
from groundup.corpus.preparation.work import Work
from groundup.documents import pieces
from groundup.events import Progress


def begin(path: Path, **settings) -> Work:
    path.mkdir(exist_ok=True)
    return Work.begin(path, load_config(None, {key.replace("__", "."): value for key, value in settings.items()}))


def parts_of(work: Work) -> list[list[dict]]:
    return [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted((work.path / "inputs").glob("*.jsonl"))
    ]


def test_inputs_stay_in_order_and_parts_are_of_about_equal_size(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    sizes = [(n * 37) % 101 for n in range(200)]
    for n, size in enumerate(sizes):
        (docs / f"{n:03d}.txt").write_text("x" * size)
    rows = spread.list_inputs([docs])
    for count in (1, 3, 8):
        work = begin(tmp_path / f"work-{count}")
        spread.divide_inputs(work, rows, count)
        parts = parts_of(work)
        assert len(parts) == count
        assert [json.dumps(row) for part in parts for row in part] == rows
        held = [sum(row["bytes"] for row in part) for part in parts]
        assert sum(held) == sum(sizes) and max(held) - sum(sizes) / count <= 101


def test_more_parts_than_files_and_files_without_bytes(tmp_path):
    (tmp_path / "one.txt").write_text("")
    work = begin(tmp_path / "work")
    spread.divide_inputs(work, spread.list_inputs([tmp_path / "one.txt"]), 4)
    assert sorted(len(part) for part in parts_of(work)) == [0, 0, 0, 1]


def test_a_big_file_of_records_is_divided_and_what_is_left_out_has_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 100)
    (tmp_path / "rows.jsonl").write_text('{"text": "word"}\n' * 20)
    (tmp_path / ".hidden").write_text("no")
    rows = [json.loads(row) for row in spread.list_inputs([tmp_path])]
    assert [row.get("piece") for row in rows] == [None, [0, 100], [100, 200], [200, 300], [300, 340]]
    assert rows[0]["record"]["reason"] == "hidden"


@pytest.mark.parametrize("parts", [1, 4])
def test_copies_are_those_that_one_process_finds(tmp_path, parts):
    draw = np.random.default_rng(parts)
    work = begin(tmp_path / "work", data__dedup="paragraphs")
    work.note("parts", parts)
    # few values, so that chains of rows go through many parts; zeros are no keys
    documents = draw.integers(0, 400, (300, BANDS)).astype(np.uint64) * np.uint64(0x1234567890ABCD)
    paragraphs = draw.integers(0, 20000, (2000, BANDS)).astype(np.uint64) * np.uint64(0x9876543210FED)
    names = draw.integers(1, 9000, 2000).astype(np.uint64) * np.uint64(0xABCDEF0123457)
    paragraphs[::7] = 0
    for part in range(parts):
        ours = slice(part, None, parts)
        rows = {"documents": documents[ours], "paragraphs": paragraphs[ours], "names": names[ours]}
        work.save("facts", part, sizes=np.ones(len(documents[ours])), **rows)
        spread._write_keys(work, part)
    for bucket in range(2 * spread.BUCKETS):
        spread.match(work, bucket)
    order = np.concatenate([np.arange(part, 300, parts) for part in range(parts)])
    spread.join_matches(work, 0)
    assert np.array_equal(work.load("documents-groups", 0)["first"], similar(documents[order]))
    order = np.concatenate([np.arange(part, 2000, parts) for part in range(parts)])
    spread.join_matches(work, 1)
    found = work.load("paragraphs-groups", 0)["first"]
    assert np.array_equal(found, similar(paragraphs[order], names[order]))
    assert 100 < len(np.unique(found)) < 1900


def test_the_last_step_can_be_repeated_wherever_it_was_stopped(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    for n in range(12):
        (docs / f"{n}.txt").write_text(
            "".join(f"In {n:x}{m:x} they saw the {n * 31 + m}th of them. " for m in range(40))
        )
    place, out = tmp_path / ".corpus.preparing", tmp_path / "corpus"

    def stop(event) -> None:
        if isinstance(event, Progress) and event.note == "encode":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verbs.prepare([docs], out=out, executor="local", tasks=2, settings={"data.dedup": "exact"}, listen=stop)
    work = Work(place)
    (place / "corpus").mkdir()
    (place / "corpus" / "train-00000.ds").write_text("half")
    spread.put_together(work, 0)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert json.loads(first["manifest.json"])["documents"] == 12
    assert [path.name for path in place.iterdir() if path.is_dir()] == ["logs"]
    spread.put_together(work, 0)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
