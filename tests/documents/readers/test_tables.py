import csv
import json

from groundup.documents import Limits


def test_bad_json_lines_are_counted_and_the_good_kept(tmp_path, read):
    lines = [
        '{"text": "ok 1"}',
        '{"text": "no end',
        '{"title": "t", "body": "from the body"}',
        '{"text": 123}',
        '{"text": "lone \\ud800 surrogate"}',
        "not json",
        "",
        '{"question": "q", "nested": {"answer": ["a", 1, "b"]}}',
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    documents, (record,) = read(tmp_path)
    assert [document.text for document in documents] == [
        "ok 1",
        "from the body",
        "text: 123",
        "lone \ufffd surrogate",
        "question: q\nnested.answer: a\nnested.answer: 1\nnested.answer: b",
    ]
    assert [document.source.rpartition("#")[2] for document in documents] == ["1", "3", "4", "5", "8"]
    assert record.status == "read" and record.documents == 5
    assert record.reason == "2 of 8 lines were not JSON"


def test_no_json_at_all_is_a_failure(tmp_path, read):
    (tmp_path / "rows.jsonl").write_text("a\nb\n")
    documents, (record,) = read(tmp_path)
    assert documents == [] and record.status == "failed" and "JSON" in record.reason


def test_a_line_beyond_the_limit_is_left_out(tmp_path, read):
    rows = [{"text": "short"}, {"text": "x" * 5000}, {"text": "after"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    documents, (record,) = read(tmp_path, limits=Limits(piece_bytes=1000))
    assert [document.text for document in documents] == ["short", "after"]
    assert "1 of 3 lines were longer" in record.reason


def test_many_records_arrive_complete_and_in_order(tmp_path, read):
    rows = [f"record {n} " + "é" * (n % 50) for n in range(3000)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows))
    documents, _ = read(tmp_path)
    assert [document.text for document in documents] == rows


def test_json_lists_of_objects_are_records(tmp_path, read):
    (tmp_path / "a.json").write_text(json.dumps([{"content": "one"}, {"id": None}, {"content": "two"}, {"id": 5}]))
    documents, (record,) = read(tmp_path)
    assert [(d.text, d.source[-2:]) for d in documents] == [("one", "#1"), ("two", "#3"), ("id: 5", "#4")]
    assert record.reason == "1 of 4 records had no text"


def test_other_json_gives_its_names_and_values(tmp_path, read):
    (tmp_path / "a.json").write_text('{"name": "x", "deep": {"on": true, "list": [{"y": "z"}, 4.5, null, "", []]}}')
    (tmp_path / "b.json").write_text('["one", "two"]')
    texts = [document.text for document in read(tmp_path)[0]]
    assert texts == ["name: x\ndeep.on: true\ndeep.list.y: z\ndeep.list: 4.5", "one\ntwo"]


def test_json_lines_named_json_are_read(tmp_path, read):
    (tmp_path / "a.json").write_text('{"text": "one"}\n{"text": "two"}\n')
    documents, (record,) = read(tmp_path)
    assert [document.text for document in documents] == ["one", "two"] and record.reader == "jsonl"


def test_deeply_nested_json_costs_only_itself(tmp_path, read):
    (tmp_path / "a.json").write_text("[" * 200_000)
    (tmp_path / "b.json").write_text('"fine"')
    documents, (first, _) = read(tmp_path)
    assert first.status == "failed" and [document.text for document in documents] == ["fine"]


def test_a_text_column_gives_a_document_a_row(tmp_path, read):
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "Text"], ["1", 'a, "b"\nc'], ["2", ""], ["3", "d" * 200_000]])
    documents, (record,) = read(tmp_path)
    assert [document.text for document in documents] == ['a, "b"\nc', "d" * 200_000]
    assert record.reason == "1 row had no Text"


def test_other_tables_name_every_value(tmp_path, read):
    (tmp_path / "t.csv").write_bytes("名前;年齢\n佐藤;30\n髙橋;35;x\n".encode("cp932"))
    (document,), (record,) = read(tmp_path)
    assert document.text == "名前: 佐藤\n年齢: 30\n\n名前: 髙橋\n年齢: 35\ncolumn 3: x\n\n"
    assert record.reader == "csv"


def test_a_table_without_names_keeps_its_first_row(tmp_path, read):
    (tmp_path / "t.tsv").write_text("1\tone\n2\ttwo\n")
    assert read(tmp_path)[0][0].text == "1, one\n2, two\n"


def test_notebooks_give_their_cells_and_no_outputs(tmp_path, read):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": "if x:\n    print(1)\n", "outputs": [{"text": ["hidden"]}]},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    (document,), _ = read(tmp_path)
    assert document.text == "# Title\nwords\n\nif x:\n    print(1)\n"
