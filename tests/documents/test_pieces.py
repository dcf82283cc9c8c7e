"""Big files of records read in pieces: every record once, by whatever pieces, with the same names."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from groundup.documents import pieces, read_documents
from groundup.documents.document import Document


def split_at(monkeypatch, size: int) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", size)


def jsonl(path, lines: list[bytes]) -> list[int]:
    path.write_bytes(b"".join(lines))
    return [sum(map(len, lines[:n])) for n in range(len(lines))]


def test_every_line_is_read_once_wherever_the_pieces_end(tmp_path, read, monkeypatch):
    lines = [json.dumps({"text": f"line {n} " + "é" * (n % 7)}, ensure_ascii=False).encode() + b"\n" for n in range(12)]
    lines[3] = b"\n"
    lines[5] = lines[5][:-1] + b"\r\n"
    lines[-1] = lines[-1][:-1]
    at = jsonl(tmp_path / "rows.jsonl", lines)
    texts = [json.loads(line)["text"] for line in lines if line.strip()]
    names = [f"{tmp_path}/rows.jsonl#@{offset}" for offset, line in zip(at, lines, strict=True) if line.strip()]
    for size in (*range(83, 91), 150):
        split_at(monkeypatch, size)
        documents, records = read(tmp_path)
        assert [document.text for document in documents] == texts, size
        assert [document.source for document in documents] == names, size
        assert sum(record.bytes for record in records) == sum(map(len, lines))
        assert [record.path for record in records] == [
            f"{tmp_path}/rows.jsonl#@{start}" for start in range(0, sum(map(len, lines)), size)
        ]
        assert {record.status for record in records} <= {"read", "skipped"}


def test_a_line_longer_than_several_pieces_is_read_once(tmp_path, read, monkeypatch):
    long = json.dumps({"text": "x" * 5000}).encode() + b"\n"
    jsonl(tmp_path / "rows.jsonl", [b'{"text": "first"}\n', long, b'{"text": "last"}\n'])
    split_at(monkeypatch, 1000)
    documents, records = read(tmp_path)
    assert [len(document.text) for document in documents] == [5, 5000, 4]
    assert [record.documents for record in records] == [2, 0, 0, 0, 0, 1]
    assert records[2].status == "skipped" and records[2].reason == "no line begins in it"


def test_bad_lines_are_counted_in_their_piece(tmp_path, read, monkeypatch):
    good = b'{"text": "good, good, good"}\n'
    jsonl(tmp_path / "rows.jsonl", [good, b"no json\n", good, good, b'{"text": ""}\n', good])
    split_at(monkeypatch, 60)
    documents, records = read(tmp_path)
    assert len(documents) == 4
    assert [record.reason for record in records] == [
        "1 of 3 lines were not JSON",
        "1 of 3 lines had no text",
        "no line begins in it",
    ]


def test_a_byte_order_mark_belongs_to_no_line(tmp_path, read, monkeypatch):
    jsonl(tmp_path / "rows.jsonl", [b'\xef\xbb\xbf{"text": "one"}\n', b'{"text": "two"}\n'])
    split_at(monkeypatch, 10)
    assert [document.text for document in read(tmp_path)[0]] == ["one", "two"]


def test_small_and_utf16_and_other_files_stay_whole(tmp_path, read, monkeypatch):
    row = '{"text": "some words"}\n'
    (tmp_path / "wide.jsonl").write_bytes((row * 10).encode("utf-16"))
    (tmp_path / "words.txt").write_text("words " * 100)
    (tmp_path / "small.jsonl").write_text(row)
    split_at(monkeypatch, 100)
    documents, records = read(tmp_path)
    assert [record.path.rpartition("/")[2] for record in records] == ["small.jsonl", "wide.jsonl", "words.txt"]
    assert len(documents) == 12 and documents[-2].source.endswith("wide.jsonl#10")


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_rows_of_parquet_are_read_once_and_keep_their_numbers(tmp_path, read, monkeypatch, rows):
    table = pyarrow.table({"id": range(60), "text": [f"row {n} " + chr(97 + n % 26) * 50 for n in range(60)]})
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=rows, compression="none")
    whole, _ = read(tmp_path)
    for size in (300, 2000):
        split_at(monkeypatch, size)
        documents, records = read(tmp_path)
        assert documents == whole, size
        assert sum(record.documents for record in records) == 60
        assert len(records) == -(-(tmp_path / "rows.parquet").stat().st_size // size)
    assert whole[11].source == f"{tmp_path}/rows.parquet#12"


def test_a_damaged_parquet_file_fails_in_every_piece(tmp_path, read, monkeypatch):
    table = pyarrow.table({"text": [f"row {n}" for n in range(60)]})
    parquet.write_table(table, tmp_path / "rows.parquet")
    data = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(data[: len(data) - 200] + b"PAR1")
    split_at(monkeypatch, 200)
    documents, records = read(tmp_path)
    assert documents == [] and {record.status for record in records} == {"failed"}


def test_the_number_of_processes_changes_nothing(tmp_path, monkeypatch):
    jsonl(tmp_path / "rows.jsonl", [json.dumps({"text": f"line {n}"}).encode() + b"\n" for n in range(200)])
    split_at(monkeypatch, 500)
    found = [[item for item in read_documents([tmp_path], workers=n) if isinstance(item, Document)] for n in (1, 3)]
    assert found[0] == found[1] and len(found[0]) == 200


def test_a_file_that_is_another_when_it_is_read_fails_once_a_piece(tmp_path, read, monkeypatch):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "some words"}\n' * 10)
    split_at(monkeypatch, 100)
    found = list(pieces.in_pieces([path]))
    path.write_bytes(b"%PDF-1.4 " + b"x" * 300)
    monkeypatch.setattr("groundup.documents.read.in_pieces", lambda files: iter(found))
    documents, records = read(tmp_path)
    assert documents == [] and [record.status for record in records] == ["failed"] * 3
