import csv
import json

import pytest

from groundup.documents.document import Options
from groundup.documents.readers.records import Template
from groundup.documents.reading import Unreadable

ROWS = [
    {"id": 1, "title": "One", "body": "Words of one.", "meta": {"tags": ["a", "b"], "by": "Ann"}},
    {"id": 2, "title": "Two", "body": "", "meta": {"tags": [], "by": None}},
    {"id": 3, "title": None, "body": "Words of three."},
]


def test_a_template_puts_fields_together(tmp_path, read):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "b.json").write_text(json.dumps(ROWS))
    with (tmp_path / "c.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "title", "body"], *([r["id"], r["title"], r["body"]] for r in ROWS)])
    documents, records = read(tmp_path, options=Options(text="{{{title}}} no. {id}\\n\\n{body}"))
    expected = ["{One} no. 1\n\nWords of one.", "{Two} no. 2\n\n", "{} no. 3\n\nWords of three."]
    assert [document.text for document in documents] == expected * 3
    assert [record.reason for record in records] == ["", "", ""]
    numbers = [document.source.rpartition("#")[2] for document in documents]
    assert numbers == ["1", "2", "3", "1", "2", "3", "2", "3", "4"]


@pytest.mark.parametrize(
    ("option", "texts"),
    [
        ("body", ["Words of one.", "Words of three."]),
        ("meta.by", ["Ann"]),
        ("{meta.tags.1}", ["b"]),
        ("tags: {meta.tags}", ["tags: a\nb"]),
        ("{id}", ["1", "2", "3"]),
    ],
)
def test_a_column_or_what_is_nested_in_it(tmp_path, read, option, texts):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    assert [document.text for document in read(tmp_path, options=Options(text=option))[0]] == texts


def test_a_field_named_with_a_dot_comes_before_a_nested_one():
    assert Template("{a.b}").text({"a.b": "flat", "a": {"b": "nested"}}) == "flat"
    assert Template("{a.b}").text({"a": {"b": "nested"}}) == "nested"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv"])
def test_a_field_that_is_nowhere_is_an_error_with_the_names_there_are(tmp_path, read, name):
    rows = {"a.json": '[{"title": "t", "body": "b"}]', "a.jsonl": '{"title": "t"}\nbad\n{"body": "b"}\n'}
    (tmp_path / name).write_text(rows.get(name, "title,body\nt,b\n"))
    documents, (record,) = read(tmp_path, options=Options(text="{title}\n{bdoy}"))
    assert documents == [] and record.status == "failed"
    assert "'bdoy'" in record.reason and "there are 'title', 'body'" in record.reason


def test_a_wrong_field_stops_a_long_file_early(tmp_path, read):
    (tmp_path / "a.jsonl").write_text('{"title": "t"}\n' * 50_000)
    documents, (record,) = read(tmp_path, options=Options(text="{tilte}"))
    assert documents == [] and "none of the first 1,000 records" in record.reason


def test_a_field_that_only_later_records_have_loses_none_before_it(tmp_path, read):
    rows = [{"title": str(n), **({"body": "b"} if n > 500 else {})} for n in range(600)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    documents, _ = read(tmp_path, options=Options(text="{title}{body}"))
    assert [document.text for document in documents] == [f"{n}b" if n > 500 else str(n) for n in range(600)]


@pytest.mark.parametrize(
    "option", ["{0.__class__}", "{title.__class__}", "{title!r}", "{title:>9}", "{__import__('os')}", "{title[0]}"]
)
def test_a_template_runs_nothing(tmp_path, read, option):
    (tmp_path / "a.json").write_text('[{"title": "t"}]')
    documents, (record,) = read(tmp_path, options=Options(text=option + "{title}"))
    assert documents == [] and record.status == "failed" and "there are 'title'" in record.reason


def test_what_a_record_holds_is_not_a_template():
    assert Template("{a}").text({"a": "{b} {{ %s", "b": "no"}) == "{b} {{ %s"


def test_a_template_without_a_field_is_an_error():
    with pytest.raises(Unreadable, match="names no field"):
        Template("{{text}}")


def test_a_table_without_names_has_them_when_the_template_says_so(tmp_path, read):
    (tmp_path / "a.csv").write_text("1,2\nx,y\n")
    assert [document.text for document in read(tmp_path, options=Options(text="2"))[0]] == ["y"]
