"""Queries to real PostgreSQL and MariaDB servers, started where their programs are installed."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import groundup
from groundup.documents import FileRecord, Limits, Options, read_documents
from groundup.documents.databases import find_server
from groundup.errors import UserError

PASSWORD = "s3cr-t%/@pw"
IN_URL = "s3cr-t%25%2F%40pw"


@contextmanager
def server(
    make: Callable[[Path], list[str]],
    command: Callable[[Path, int], list[str]],
    ready: Callable[[Path, int], object],
    end_by: signal.Signals,
) -> Iterator[tuple[Path, int]]:
    """A server of the database in a new folder, made by one command and run by another, with its port."""
    user = None
    if os.geteuid() == 0:  # neither server runs as root
        user = next(
            (name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}), ""
        )
        if not user:
            pytest.skip("no user to run a server as")
    folder = Path(tempfile.mkdtemp(prefix="groundup-db-", dir="/tmp"))  # short: a socket's path has 107 bytes
    process = None
    try:
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        run = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(make(folder), check=True, timeout=60, **run)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(command(folder, port), **run)
        end = time.monotonic() + 30
        while True:
            try:
                ready(folder, port)
                break
            except Exception:
                assert process.poll() is None and time.monotonic() < end, "the server does not start"
                time.sleep(0.1)
        yield folder, port
    finally:
        if process:
            process.send_signal(end_by)
            process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a server with the table posts, without user: ":PORT/postgres"."""
    psycopg = pytest.importorskip("psycopg")
    if not shutil.which("initdb") or not shutil.which("postgres"):
        pytest.skip("PostgreSQL is not installed")

    def fill(folder: Path, port: int) -> None:
        with psycopg.connect(
            host=str(folder), port=port, user="ann", password=PASSWORD, dbname="postgres", connect_timeout=5
        ) as connection:
            connection.execute("CREATE TABLE posts (id int, title text, body text, at date, raw bytea, more jsonb)")
            connection.execute(
                "INSERT INTO posts VALUES (1, 'One', E'First\\r\\nline', 'infinity', '\\x00ff', '{\"a\": 1}'),"
                " (2, 'Two', NULL, NULL, NULL, NULL), (3, 'Three', 'ünï ✓', '2020-01-02', NULL, NULL)"
            )

    with server(
        lambda folder: ["initdb", "-D", f"{folder}/data", "-U", "ann", "-A", "scram-sha-256", "-E", "UTF8",
                        "--locale=C", "--no-sync", f"--pwfile={folder}/password"],
        lambda folder, port: ["postgres", "-D", f"{folder}/data", "-k", str(folder), "-p", str(port),
                              "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
        fill,
        signal.SIGINT,  # which waits for no client
    ) as (_, port):  # fmt: skip
        yield f"127.0.0.1:{port}/postgres"


@pytest.fixture(scope="module")
def mysql() -> Iterator[str]:
    """The same of MariaDB, with the database blog."""
    pymysql = pytest.importorskip("pymysql")
    program = shutil.which("mariadbd", path=os.environ["PATH"] + ":/usr/sbin")
    if not shutil.which("mariadb-install-db") or not program:
        pytest.skip("MariaDB is not installed")

    def fill(folder: Path, port: int) -> None:
        connection = pymysql.connect(user="root", unix_socket=f"{folder}/socket", autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE blog CHARACTER SET utf8mb4")
            cursor.execute("CREATE USER ann@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
            cursor.execute("GRANT ALL ON blog.* TO ann@'127.0.0.1'")
            cursor.execute("CREATE TABLE blog.posts (id int, title text, body text, at date, raw blob)")
            cursor.execute(
                "INSERT INTO blog.posts VALUES (1, 'One', 'First\\r\\nline', '2020-01-02', x'00ff'),"
                " (2, 'Two', NULL, NULL, NULL), (3, 'Three', 'ünï ✓', NULL, NULL)"
            )

    with server(
        lambda folder: ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--skip-test-db",
                        "--auth-root-authentication-method=normal"],
        lambda folder, port: [program, "--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/socket",
                              f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
                              f"--pid-file={folder}/pid", "--innodb-flush-log-at-trx-commit=0"],
        fill,
        signal.SIGKILL,
    ) as (_, port):  # fmt: skip
        yield f"127.0.0.1:{port}/blog"


@pytest.fixture(params=["postgresql", "mysql"])
def url(request) -> str:
    """Of each kind of server in turn, with the user and the password."""
    return f"{request.param}://ann:{IN_URL}@{request.getfixturevalue(request.param)}"


def name_of(url: str) -> str:
    return str(find_server(url))


def test_rows_of_a_query_are_documents_and_the_password_is_nowhere(url, read):
    documents, (record,) = read(url, options=Options(query="SELECT id, title, body FROM posts ORDER BY id;"))
    assert [(d.text, d.source) for d in documents] == [
        ("First\nline", f"{name_of(url)}#1"),
        ("ünï ✓", f"{name_of(url)}#3"),
    ]
    assert (record.path, record.status, record.reason) == (name_of(url), "read", "1 row had no text")
    assert "s3cr" not in repr((documents, record))


def test_columns_of_every_type_are_shown_and_binary_ones_are_not(url, read):
    documents, _ = read(url, options=Options(query="SELECT id, title, at, raw FROM posts ORDER BY id"))
    dates = ("infinity", "2020-01-02") if url.startswith("postgresql") else ("2020-01-02", "")
    third = f"id: 3\ntitle: Three\nat: {dates[1]}" if dates[1] else "id: 3\ntitle: Three"
    assert [d.text for d in documents] == [f"id: 1\ntitle: One\nat: {dates[0]}\n\nid: 2\ntitle: Two\n\n{third}\n\n"]


def test_a_template_and_a_single_column_say_what_a_row_gives(url, read):
    options = Options(query="SELECT title, id FROM posts ORDER BY id", text="{id}. {title}")
    assert [d.text for d in read(url, options=options)[0]] == ["1. One", "2. Two", "3. Three"]
    options = Options(query="SELECT title FROM posts ORDER BY id")
    assert [d.text for d in read(url, options=options)[0]] == ["One", "Two", "Three"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nothing FROM posts", "nothing"),
        ("DELETE FROM posts", ""),
        ("SELECT 1; DELETE FROM posts", ""),
        ("SELECT id AS x, title AS y FROM posts", "'z'"),
    ],
)
def test_a_query_that_fails_stops_with_the_reason_and_changes_nothing(url, read, query, message):
    with pytest.raises(UserError) as error:
        read(url, options=Options(query=query, text="z" if "y" in query and "x" in query else ""))
    assert message in error.value.what and error.value.where == name_of(url) and "s3cr" not in str(error.value)
    assert len(read(url, options=Options(query="SELECT title FROM posts"))[0]) == 3


def test_a_wrong_password_or_address_is_a_clear_error(url, read):
    for wrong in (url.replace("s3cr-t", "wrong"), f"{url.split(':')[0]}://ann:{IN_URL}@127.0.0.1:1/x"):
        with pytest.raises(UserError) as error:
            read(wrong, options=Options(query="SELECT 1"))
        assert error.value.where == name_of(wrong)
        assert "s3cr" not in str(error.value) and "wrong" not in str(error.value)


def test_passwords_come_from_the_environment(url, read, monkeypatch):
    bare = name_of(url)
    options = Options(query="SELECT title FROM posts")
    with pytest.raises(UserError):
        read(bare, options=options)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)
    assert len(read(bare, options=options)[0]) == 3


def test_many_rows_are_streamed(url):
    series = "generate_series(1, 100000)" if url.startswith("postgresql") else "seq_1_to_100000"
    options = Options(query=f"SELECT repeat('some text ', 100) AS body FROM {series}")
    began = time.monotonic()
    items = read_documents([url], options=options, workers=1, limits=Limits(memory_bytes=400 << 20))
    next(items)
    first = time.monotonic() - began
    *documents, record = items
    assert isinstance(record, FileRecord) and (record.status, record.documents) == ("read", 100_000)
    assert len(documents) == 99_999 and first < (time.monotonic() - began) / 2


def test_a_query_that_is_silent_too_long_is_stopped(url, read):
    sleep = "pg_sleep(30)" if url.startswith("postgresql") else "sleep(30)"
    with pytest.raises(UserError, match="took longer than 2 s"):
        read(url, options=Options(query=f"SELECT {sleep} AS x"), limits=Limits(seconds=2))


def test_a_corpus_of_a_database_names_its_rows_and_keeps_no_password(url, tmp_path):
    corpus = groundup.prepare([url], out=tmp_path / "corpus", settings={"data.query": "SELECT title FROM posts"})
    files = [path for path in (tmp_path / "corpus").rglob("*") if path.is_file()]
    assert [row["path"] for row in corpus.ledger()] == [name_of(url)]
    assert name_of(url) + "#1" in (tmp_path / "corpus" / "documents.jsonl").read_text()
    assert not any(b"s3cr" in path.read_bytes() for path in files)
