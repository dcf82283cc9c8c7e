"""Rows of a query from a PostgreSQL or MySQL server: streamed by a cursor of the server, in a read-only
transaction."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from groundup.documents.document import Document
from groundup.documents.readers.rows import Row, read_rows
from groundup.documents.reading import Reading, Unreadable

CONNECT_SECONDS = 10
_BATCH_CHARACTERS = 1 << 20
_MOST_ROWS = 5_000
_BYTEA = 17  # the type's number in PostgreSQL's catalog


def read_postgresql(reading: Reading) -> Iterator[Document]:
    """The rows of `options.query` by the rules of CSV. The stream holds the connection's parameters as JSON."""
    import psycopg
    from psycopg.adapt import AdaptersMap, Loader
    from psycopg.conninfo import make_conninfo
    from psycopg.types.numeric import IntDumper

    class Plain(Loader):
        # As the server prints it: Python's own types lack infinite dates, and text may be damaged.
        def load(self, data: Any) -> str:
            return bytes(data).decode("utf-8", "replace")

    given = json.loads(reading.whole())
    adapters = AdaptersMap()
    adapters.register_loader(0, Plain)
    adapters.register_dumper(int, IntDumper)  # for the number in FETCH
    parameters = {"connect_timeout": CONNECT_SECONDS, "dbname": given.pop("database", None), **given}
    try:
        address = make_conninfo(**{**parameters, "client_encoding": "utf8", "application_name": "groundup"})
        with psycopg.Connection.connect(address, context=adapters) as connection:
            connection.read_only = True
            with connection.cursor(name="groundup") as cursor:
                cursor.execute(reading.options.query.encode())
                columns = cursor.description or []
                skipped = {number for number, column in enumerate(columns) if column.type_code == _BYTEA}
                names = [column.name for column in columns]
                yield from read_rows(names, _batches(cursor, skipped, reading), reading)
    except psycopg.Error as error:
        raise Unreadable(_one_line(error, given)) from None


def read_mysql(reading: Reading) -> Iterator[Document]:
    """The rows of `options.query` by the rules of CSV. The stream holds the connection's parameters as JSON."""
    import pymysql
    from pymysql.converters import encoders
    from pymysql.cursors import SSCursor

    given = json.loads(reading.whole())
    parameters = {"password": os.environ.get("MYSQL_PWD", ""), **given}
    parameters["port"] = int(given.get("port", 0))
    try:
        connection = pymysql.connect(
            **parameters,
            charset="utf8mb4",
            cursorclass=SSCursor,
            connect_timeout=CONNECT_SECONDS,
            conv={**encoders},  # and no decoders: values as the server prints them
        )
        with closing(connection):
            cursor = connection.cursor()
            cursor.execute("START TRANSACTION READ ONLY")
            cursor.execute(reading.options.query)
            names = [column[0] for column in cursor.description or ()]
            yield from read_rows(names, _batches(cursor, set(), reading), reading)
    except (pymysql.Error, RuntimeError, OSError) as error:
        raise Unreadable(_one_line(error, given)) from None


def _batches(cursor: Any, skipped: set[int], reading: Reading) -> Iterator[Row]:
    """The cursor's rows, about 1 MB at a time, so that wide rows do not take the memory of many."""
    count = 50
    while rows := cursor.fetchmany(count):
        size = 0
        for row in rows:
            values = [
                value if isinstance(value, str) and number not in skipped else None for number, value in enumerate(row)
            ]
            size += sum(map(len, filter(None, values)))
            yield values
        count = min(2 * count, _MOST_ROWS) if size < _BATCH_CHARACTERS else max(1, count // 2)
        reading.tick()
        if reading.out_of_time():
            raise Unreadable(f"took longer than {reading.limits.total_seconds:g} s; what came before was read")


def _one_line(error: Exception, given: dict[str, str]) -> str:
    """What the driver says, without the password should it ever say it."""
    message = error.args[-1] if error.args and isinstance(error.args[-1], str) else str(error)
    text = " ".join(message.split())[:500]
    for key, value in given.items():
        if "password" in key and len(value) > 3:
            text = text.replace(value, "***")
    return text or type(error).__name__
