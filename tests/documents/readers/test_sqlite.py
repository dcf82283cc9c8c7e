"""SQLite files: rows as documents, and files that are damaged, locked or made to do harm."""

import hashlib
import sqlite3
import struct
import time
import zipfile
from pathlib import Path

import pytest

from groundup.documents import Limits, Options


@pytest.fixture
def make(tmp_path):
    def made(script: str, name: str = "notes.db") -> Path:
        path = tmp_path / name
        connection = sqlite3.connect(path)
        connection.executescript(script)
        connection.close()
        return path

    return made


POSTS = "CREATE TABLE posts(id, body TEXT); INSERT INTO posts VALUES (1,'Hello'), (2,NULL), (3,'a\r\nb'), (4,x'00ff');"


def names(documents) -> list[str]:
    return [Path(document.source).name for document in documents]


def test_a_database_is_known_by_its_content_and_rows_are_documents(make, read):
    path = make(POSTS, "notes.txt")
    documents, (record,) = read(path)
    assert [(d.text, Path(d.source).name) for d in documents] == [
        ("Hello", "notes.txt#posts:1"),
        ("a\nb", "notes.txt#posts:3"),
    ]
    assert (record.status, record.reader, record.media_type) == ("read", "sqlite", "application/vnd.sqlite3")
    assert record.reason == "2 rows of posts had no text"


def test_a_table_without_a_text_column_is_one_document_of_its_values_but_the_binary_ones(make, read):
    path = make(
        "CREATE TABLE kv(k, v, b); INSERT INTO kv VALUES ('a', 1.5, x'00'), (NULL, 2, NULL), (NULL, ' ', x'41')"
    )
    documents, _ = read(path)
    assert [(d.text, Path(d.source).name) for d in documents] == [("k: a\nv: 1.5\n\nv: 2\n\n", "notes.db#kv")]


def test_a_template_takes_the_tables_that_have_its_columns(make, read):
    path = make(POSTS + "CREATE TABLE users(name, mail); INSERT INTO users VALUES ('n', 'm')")
    documents, (record,) = read(path, options=Options(text="{id}: {body}"))
    assert [d.text for d in documents] == ["1: Hello", "2: ", "3: a\nb", "4: "]
    assert record.reason == "1 table without the columns of data.text left out"
    documents, (record,) = read(path, options=Options(text="nothing"))
    assert not documents and record.status == "failed"
    assert "'nothing'" in record.reason and "'body'" in record.reason and "'mail'" in record.reason


def test_the_rows_of_a_query_are_read_instead_of_the_tables(make, read):
    path = make(POSTS + "CREATE VIEW shout AS SELECT id, upper(body) AS body FROM posts")
    documents, _ = read(path, options=Options(query="SELECT id, body FROM shout WHERE id < 4 -- comment"))
    assert [(d.text, Path(d.source).name) for d in documents] == [("HELLO", "notes.db#1"), ("A\nB", "notes.db#3")]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT absent FROM posts", "no such column: absent"),
        ("DELETE FROM posts", "readonly"),
        ("SELECT 1; DELETE FROM posts", "one statement"),
        ("ATTACH 'other.db' AS other", "too many attached databases"),
        ("PRAGMA journal_mode = WAL", ""),
    ],
)
def test_a_query_that_fails_says_why_and_nothing_is_ever_written(make, read, query, reason):
    path = make(POSTS)
    before = hashlib.sha256(path.read_bytes()).digest()
    documents, (record,) = read(path, options=Options(query=query))
    if reason:
        assert not documents and record.status == "failed" and reason in record.reason
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert [file.name for file in path.parent.iterdir()] == ["notes.db"]


def test_a_silent_query_is_stopped(make, read):
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    _, (record,) = read(make(POSTS), options=Options(query=query), limits=Limits(seconds=1))
    assert (record.status, record.reason) == ("failed", "took longer than 1 s")


def test_of_a_schema_only_real_tables_are_read(make, read):
    path = make(
        POSTS
        + """
        CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS body FROM n;
        CREATE TRIGGER hurt BEFORE INSERT ON posts BEGIN DELETE FROM posts; END;
        CREATE TABLE big(id, made TEXT AS (hex(zeroblob(100000000))));
        INSERT INTO big(id) VALUES (7);
        CREATE INDEX made_of ON posts(replace(body, 'Hello', 'Bye'), body);
        CREATE VIRTUAL TABLE found USING fts5(title, text);
        INSERT INTO found VALUES ('T', 'full text');
        CREATE TABLE plain(id INTEGER PRIMARY KEY AUTOINCREMENT, content TEXT) ;
        INSERT INTO plain(content) VALUES ('row');
        CREATE TABLE keyed(key TEXT PRIMARY KEY, text) WITHOUT ROWID; INSERT INTO keyed VALUES ('k', 'value');
        CREATE TABLE "od""d [name]"(text); INSERT INTO "od""d [name]" VALUES ('odd');
        """
    )
    began = time.monotonic()
    documents, (record,) = read(path)
    assert time.monotonic() - began < 5
    texts = dict(zip(names(documents), (d.text for d in documents), strict=True))
    assert texts == {
        "notes.db#posts:1": "Hello",
        "notes.db#posts:3": "a\nb",
        "notes.db#big": "id: 7\n\n",
        "notes.db#found_content": "id: 1\nc0: T\nc1: full text\n\n",
        "notes.db#plain:1": "row",
        "notes.db#keyed:1": "value",
        'notes.db#od"d [name]:1': "odd",
    }
    assert record.status == "read"


def test_binary_values_are_not_loaded_and_too_long_texts_are_left_out(make, read):
    path = make("CREATE TABLE t(b, body); INSERT INTO t VALUES (zeroblob(60000000), 'kept')")
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO t VALUES (NULL, ?), (NULL, 'last')", ("x" * 2_000_000,))
    connection.commit()
    connection.close()
    documents, (record,) = read(path, limits=Limits(memory_bytes=300 << 20, piece_bytes=1_000_000))
    assert [d.text for d in documents] == ["kept", "last"]
    assert record.reason == "1 row of t was longer than 977 kB"


def test_a_database_that_is_being_written_is_read_without_waiting_and_what_is_lost_is_said(make, read):
    path = make("PRAGMA journal_mode = WAL;" + POSTS)
    writer = sqlite3.connect(path)
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("INSERT INTO posts VALUES (9, 'new')")
    writer.commit()
    writer.execute("BEGIN EXCLUSIVE")
    documents, (record,) = read(path)
    writer.close()
    assert [d.text for d in documents] == ["Hello", "a\nb"]
    assert "-wal file" in record.reason and "close the program" in record.reason


def test_a_database_in_an_archive_is_read(make, read, tmp_path):
    path = make("PRAGMA journal_mode = WAL;" + POSTS)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "in/notes.db")
    documents, records = read(tmp_path / "a.zip")
    assert names(documents) == ["notes.db#posts:1", "notes.db#posts:3"] and documents[0].text == "Hello"
    assert records[0].status == "read" and records[0].bytes == path.stat().st_size


def test_a_damaged_file_gives_what_is_whole_and_says_what_is_not(make, read):
    rows = ",".join(f"('{'word ' * 100}{n}')" for n in range(2000))
    path = make(f"CREATE TABLE a(text); INSERT INTO a VALUES {rows}; CREATE TABLE b(text); INSERT INTO b VALUES ('b')")
    data = bytearray(path.read_bytes())
    data[200 * 4096 : 240 * 4096] = b"\xee" * 40 * 4096
    path.write_bytes(data)
    documents, (record,) = read(path)
    assert 500 < len(documents) < 2001 and documents[-1].text == "b"
    assert record.status == "read" and "table a after" in record.reason and "malformed" in record.reason


@pytest.mark.parametrize("cut", [20, 100, 3000, 5000])
def test_a_file_cut_short_is_a_failure_with_a_reason(make, read, cut):
    path = make(POSTS)
    path.write_bytes(path.read_bytes()[:cut])
    documents, (record,) = read(path)
    assert not documents and record.status == "failed" and record.reason


def test_pages_that_point_at_one_page_do_not_make_a_bomb(make, read):
    path = make("PRAGMA page_size = 4096; CREATE TABLE t(text)")
    pages = [path.read_bytes()[:4096]]  # the schema, which says that the table begins at page 2
    for child in (3, 4, 5):  # pages 2, 3 and 4, each with 400 times the same child
        cell = struct.pack(">LB", child, 1)
        at = 4096 - 400 * len(cell)
        places = [at + n * len(cell) for n in range(400)]
        page = struct.pack(">BHHHBL400H", 5, 0, 400, at, 0, child, *places)
        pages.append(page + bytes(at - len(page)) + cell * 400)
    cell = b"\x87\x07\x01\x03\x8e\x15" + b"x" * 900  # size of the record, rowid, header: its size, the text's type
    page = struct.pack(">BHHHBH", 13, 0, 1, 4096 - len(cell), 0, 4096 - len(cell))
    pages.append(page + bytes(4096 - len(page) - len(cell)) + cell)
    path.write_bytes(pages[0][:28] + struct.pack(">L", 5) + pages[0][32:] + b"".join(pages[1:]))
    began = time.monotonic()
    documents, (record,) = read(path)
    assert time.monotonic() - began < 10
    assert record.status == "failed" and "times its size" in record.reason and documents
    assert sum(len(d.text) for d in documents) < 20 << 20
