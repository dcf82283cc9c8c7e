"""SQLite files: the rows of every table, or of the user's query, by the rules of CSV.

The file is opened immutable: nothing is written, no journal is played back, no lock is taken. Of a schema, which may be
hostile, only tables are read: no view, trigger, index, generated column or virtual table runs unless the query asks."""

import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from groundup.documents.document import Document
from groundup.documents.files import show
from groundup.documents.readers.records import Template, no_field
from groundup.documents.readers.rows import Row, read_rows
from groundup.documents.reading import Reading, Unreadable, size_text

_FREE = 16 << 20  # characters that are no bomb, whatever the size of the file
_FILES = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"


def read_sqlite(reading: Reading) -> Iterator[Document]:
    """Documents of tables, `notes.db#posts:12` (a row) or `notes.db#posts` (a table), or of a query, `notes.db#12`.

    Raises Unreadable for a damaged file and for a query that fails."""
    given = 0
    try:
        with closing(_open(reading)) as connection:
            rows = _Rows(connection, reading)
            for document in _documents(connection, rows, reading):
                given += 1
                yield document
    except sqlite3.Error as error:
        raise Unreadable(str(error)) from None
    if rows.damage and not given:
        raise Unreadable(rows.damage[0])
    reading.notes += rows.damage


def _documents(connection: sqlite3.Connection, rows: "_Rows", reading: Reading) -> Iterator[Document]:
    if reading.options.query:
        cursor = connection.execute(reading.options.query)
        names = [column[0] for column in cursor.description or ()]
        yield from read_rows(names, rows.plain(cursor), reading)
    else:
        for table, names in _chosen(connection, reading):
            yield from read_rows(names, rows.of_table(table, names), reading, show(table))


def _open(reading: Reading) -> sqlite3.Connection:
    """A connection to the file itself, or to a copy in memory of what is no file on disk."""
    connection = None
    if reading.stream.seekable():
        try:
            path = f"{_FILES}/{reading.stream.fileno()}"
            connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
            _note_unread_journal(Path(path).resolve(), reading)
        except (OSError, sqlite3.OperationalError):
            connection = None  # not every system opens a file by its number
    if connection is None:
        data = bytearray(reading.whole())
        data[18:20] = b"\1\1"  # a database in memory has no write-ahead log, and one that wants it does not open
        reading.size = len(data)
        connection = sqlite3.connect(":memory:")
        connection.deserialize(bytes(data))
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 8 * reading.limits.piece_bytes)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    return connection


def _note_unread_journal(path: Path, reading: Reading) -> None:
    for ending in ("-wal", "-journal"):
        journal = path.with_name(path.name + ending)
        if journal.is_file() and journal.stat().st_size:
            reading.notes.append(f"what its {ending} file holds was not read: close the program that writes it")


def _tables(connection: sqlite3.Connection) -> list[str]:
    """The names of the real tables. The tables that hold a full-text index are left out, but for its `_content`."""
    rows = connection.execute("SELECT name, rootpage, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    virtual = [str(name) for name, root, _ in rows if not root]
    return [
        str(name)
        for name, root, sql in rows
        if root
        and str(sql).upper().startswith("CREATE TABLE")
        and not str(name).startswith("sqlite_")
        and (str(name).endswith("_content") or not any(str(name).startswith(f"{index}_") for index in virtual))
    ]


def _chosen(connection: sqlite3.Connection, reading: Reading) -> list[tuple[str, list[str]]]:
    """The tables with their columns; where `options.text` names columns, the tables that have them."""
    tables = []
    for table in _tables(connection):
        rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        if names := [str(name) for (name,) in rows]:
            tables.append((table, names))
    if not reading.options.text:
        return tables
    wanted = Template(reading.options.text).names
    chosen = [(table, names) for table, names in tables if not set(wanted) - set(names)]
    if not chosen:
        raise no_field(wanted, dict.fromkeys(name for _, names in tables for name in names), "no table")
    if left := len(tables) - len(chosen):
        reading.notes.append(f"{left} table{'s' * (left != 1)} without the columns of data.text left out")
    return chosen


class _Rows:
    """Rows of the file's tables as text, as long as they are not more than the file can hold."""

    def __init__(self, connection: sqlite3.Connection, reading: Reading) -> None:
        self.connection, self.reading = connection, reading
        self.count = 0
        self.damage: list[str] = []
        """What could not be read, and why."""
        pages, size = connection.execute("PRAGMA page_count").fetchone()[0], reading.size
        if (whole := pages * connection.execute("PRAGMA page_size").fetchone()[0]) > size:
            self.damage.append(f"cut short: {size_text(size)} of {size_text(whole)}")
        self.left = max(_FREE, reading.limits.archive_ratio * reading.size)

    def of_table(self, table: str, names: list[str]) -> Iterator[Row]:
        """The rows until the first that is damaged, which is noted; binary values are not even loaded."""
        values = ", ".join(f"CASE WHEN typeof({c}) = 'blob' THEN NULL ELSE {c} END" for c in map(_quoted, names))
        before = self.count
        try:
            # an index may be of expressions, and a damaged one may give other rows
            yield from self.plain(self.connection.execute(f"SELECT {values} FROM {_quoted(table)} NOT INDEXED"))
        except sqlite3.Error as error:
            self.damage.append(f"table {show(table)} after {self.count - before} rows: {error}")

    def plain(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
        """The values as text, None for NULL and binary ones. Raises Unreadable when pages repeat."""
        for row in rows:
            values = [value if isinstance(value, str) else _text(value) for value in row]
            # Pages that point at one page together make endless rows of a small file.
            self.left -= 1 + sum(len(value) for value in values if value)
            if self.left < 0:
                ratio = self.reading.limits.archive_ratio
                raise Unreadable(
                    f"its tables hold more than {ratio:.0f} times its size of {size_text(self.reading.size)}"
                )
            self.reading.tick()
            if self.reading.out_of_time():
                raise Unreadable(f"took longer than {self.reading.limits.total_seconds:g} s")
            self.count += 1
            yield values


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, bytes) else str(value)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
