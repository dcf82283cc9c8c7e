"""URLs of databases: what is taken out of them, that bad ones are refused, and that no password is ever shown."""

from importlib.util import find_spec
from pathlib import Path

import pytest

import groundup.documents.databases as databases
from groundup.documents import Server, find_files, read_documents
from groundup.documents.databases import check_servers, find_server
from groundup.errors import UserError

SECRET = "s3cr/t"  # as it is; in a URL s3cr%2Ft


def test_a_url_is_a_server_and_its_name_has_no_password():
    server = find_server("postgresql://ann:s3cr%2Ft@db.example:5433/my%20blog?sslmode=require&sslpassword=hidden")
    assert server == Server(
        "postgresql",
        "postgresql://ann@db.example:5433/my%20blog?sslmode=require",
        {"user": "ann", "host": "db.example", "port": "5433", "database": "my blog", "sslmode": "require"},
    )
    assert server.secrets == {"password": SECRET, "sslpassword": "hidden"}
    assert not any(word in shown for word in ("s3cr", "hidden") for shown in (str(server), repr(server), f"{server}"))


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        ("postgres:///blog?host=/run/pg", {"database": "blog", "host": "/run/pg"}),
        ("postgresql://%2Frun%2FPG/blog", {"database": "blog", "host": "/run/PG"}),
        ("PostgreSQL://[::1]:1/x", {"database": "x", "host": "::1", "port": "1"}),
        (
            "mariadb://ann@h/x?unix_socket=/run/s",
            {"user": "ann", "host": "h", "database": "x", "unix_socket": "/run/s"},
        ),
        ("mysql://h", {"host": "h"}),
    ],
)
def test_the_forms_of_a_url(url, connection):
    server = find_server(url)
    assert server and server.connection == connection and not server.secrets


@pytest.mark.parametrize("path", ["notes.txt", "/a/b", "C:/x", "a:b", "postgresql:/x", "./mysql", ""])
def test_a_path_is_no_server(path):
    assert find_server(path) is None


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}@host/db",  # its / ends the address: the rest would be the database's name
        "postgresql://ann:12/s3cr@host/db",  # as before, where what is left looks like a port
        "mysql://ann:s3cr?x=1@host/db",
        "mysql://ann:s3cr#@host/db",
        "mysql://ann:x@s3cr@host/db",
        "mysql://ann:s3cr@host:port/db",
        "postgresql://[s3cr/db",
        "postgresql://host/db?s3cr",
        "https://ann:s3cr@host/page",
        "mysql://ann:s3cr@host/db?charset=latin1",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_showing_its_password(url):
    with pytest.raises(UserError) as error:
        list(find_files([url]))
    assert "s3cr" not in str(error.value) and "://..." in str(error.value) and error.value.fix


def test_servers_and_files_keep_the_order_they_were_given_in(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    found = list(find_files(["mysql://ann:s3cr@h/x", tmp_path, "postgresql://h/y"]))
    assert [str(item) for item in found] == ["mysql://ann@h/x", str(tmp_path / "a.txt"), "postgresql://h/y"]


def test_a_server_without_a_query_is_refused_before_anything_is_read():
    with pytest.raises(UserError, match=r"(?s)postgresql://ann@h/x: a query is needed.*data\.query="):
        read_documents(["postgresql://ann:s3cr@h/x"])


def test_a_missing_driver_is_named_with_the_way_to_get_it(monkeypatch):
    server = find_server("mysql://h/x")
    assert server
    monkeypatch.setitem(databases._DRIVERS, "mysql", "no_such_driver")
    assert find_spec("no_such_driver") is None
    with pytest.raises(UserError, match=r'pip install "groundup\[databases\]"'):
        check_servers([Path("a"), server], "select 1")
