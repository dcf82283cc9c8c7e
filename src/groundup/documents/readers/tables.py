"""Records: CSV and TSV, JSON, JSON lines and Jupyter notebooks.

A record with a field called text, content, body, ... (TEXT_FIELDS, in that order) gives that field; other
JSON records give "name: value" lines. A table with such a column gives one document a row; other
tables give one document, with each row as "name: value" lines and a blank line between rows. `options.text`
names another field, or a template of several."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import find_encoding, newlines, plain, replace_surrogates
from groundup.documents.readers.records import TEXT_FIELDS, Template, documents, no_field
from groundup.documents.readers.text import decode_whole, in_parts
from groundup.documents.reading import Nothing, Reading, Unreadable, size_text


def read_jsonl(reading: Reading) -> Iterator[Document]:
    """One document for each line that is JSON and has text; the others are counted in the notes."""
    count = _Lines()
    if reading.piece:
        no_text = yield from documents(_lines_of_piece(reading, count), reading, f"{reading.piece[0]}#@")
    else:
        no_text = yield from documents(_json_lines(reading, count), reading)
    lines, limit = count.all, reading.limits.piece_bytes
    if count.bad:
        reading.notes.append(f"{count.bad} of {lines} lines were not JSON")
        if count.bad == lines:
            raise Unreadable("no line of it is JSON")
    if count.too_long:
        reading.notes.append(f"{count.too_long} of {lines} lines were longer than {size_text(limit)}")
    if no_text:
        reading.notes.append(f"{no_text} of {lines} lines had no text")


@dataclass(slots=True)
class _Lines:
    all: int = 0
    bad: int = 0
    too_long: int = 0


def _json_lines(reading: Reading, count: _Lines) -> Iterator[tuple[int, Any]]:
    stream = _text_stream(reading)
    limit = reading.limits.piece_bytes
    while line := stream.readline(limit):
        count.all += 1
        if len(line) == limit and not line.endswith("\n"):
            while (rest := stream.readline(limit)) and not rest.endswith("\n"):
                reading.tick()
            count.too_long += 1
        elif not line.isspace():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                count.bad += 1
                continue
            yield count.all, value


def _lines_of_piece(reading: Reading, count: _Lines) -> Iterator[tuple[int, Any]]:
    """The same for the lines that begin in the piece, each with the byte that it begins at in the file."""
    assert reading.piece
    _, start, end = reading.piece
    limit = reading.limits.piece_bytes
    stream = io.BufferedReader(reading.stream, 1 << 20)  # type: ignore[arg-type]
    stream.seek(max(0, start - 1))
    if start:
        while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):  # it began in an earlier piece
            reading.tick()
            if stream.tell() >= end:
                break
    if stream.tell() >= end:
        reading.notes.append("no line begins in it")
    while (at := stream.tell()) < end and (line := stream.readline(limit)):
        count.all += 1
        if len(line) == limit and not line.endswith(b"\n"):
            while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
                reading.tick()
            count.too_long += 1
        elif not line.isspace():
            try:
                value = json.loads(line.decode("utf-8-sig" if at == 0 else "utf-8", "replace"))
            except (ValueError, RecursionError):
                count.bad += 1
                continue
            yield at, value


def read_json(reading: Reading) -> Iterator[Document]:
    """One document for each object of a list of objects, otherwise one; several JSON values in lines also
    work."""
    data = reading.whole()
    text = decode_whole(data)
    try:
        value = json.loads(text)
    except ValueError as error:
        first, _, rest = text.lstrip().partition("\n")
        if rest.strip() and _is_json(first):
            reading.reader = "jsonl"
            reading.stream = io.BytesIO(data)
            yield from read_jsonl(reading)
            return
        raise Unreadable(f"not JSON: {error}") from None
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        if no_text := (yield from documents(enumerate(value, 1), reading)):
            reading.notes.append(f"{no_text} of {len(value)} records had no text")
    else:
        for document in documents([(1, value)], reading):
            yield replace(document, source=reading.source)


def read_notebook(reading: Reading) -> Iterator[Document]:
    """The sources of a notebook's cells, Markdown and code, with a blank line between cells; no outputs."""
    try:
        book = json.loads(decode_whole(reading.whole()))
        cells = book["cells"] if "cells" in book else [cell for sheet in book["worksheets"] for cell in sheet["cells"]]
        sources = [cell.get("source", cell.get("input", "")) for cell in cells]
        texts = ["".join(source) for source in sources]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"not a notebook: {error}") from None
    if texts := [text.strip("\n") for text in texts if text.strip()]:
        yield Document(replace_surrogates(newlines("\n\n".join(texts))) + "\n", reading.source, reading.media_type)


def read_csv(reading: Reading) -> Iterator[Document]:
    """One document a row where a column has one of the names in TEXT_FIELDS, otherwise one for the table.

    The first row holds names when its cells are different, short and no numbers."""
    csv.field_size_limit(reading.limits.piece_bytes)
    stream = _text_stream(reading)
    first_line = stream.readline(1 << 20)
    delimiter = "\t" if reading.media_type == "text/tab-separated-values" else _delimiter(first_line)
    rows = _rows(first_line, stream, delimiter, reading)
    first = next(rows, [])
    names = [name.strip() for name in first]
    if reading.options.text:
        yield from _by_template(names, rows, reading)
        return
    if not are_names(names):
        yield from in_parts(_table([], _chain(first, rows), reading.limits.piece_bytes), reading)
        return
    lower = [name.lower() for name in names]
    column = next((lower.index(name) for name in TEXT_FIELDS if name in lower), None)
    if column is None:
        yield from in_parts(_table(names, rows, reading.limits.piece_bytes), reading)
        return
    records = ((number, row[column] if len(row) > column else "") for number, row in enumerate(rows, 2))
    if short := (yield from documents(records, reading)):
        reading.notes.append(f"{short} row{'s' * (short != 1)} had no {names[column]}")


def _by_template(names: list[str], rows: Iterator[list[str]], reading: Reading) -> Iterator[Document]:
    if missing := [name for name in Template(reading.options.text).names if name not in names]:
        raise no_field(missing, names, "no column")
    records = ((number, dict(zip(names, row, strict=False))) for number, row in enumerate(rows, 2))
    if short := (yield from documents(records, reading)):
        reading.notes.append(f"{short} row{'s' * (short != 1)} had no text")


def _rows(first_line: str, stream: io.TextIOBase, delimiter: str, reading: Reading) -> Iterator[list[str]]:
    def lines() -> Iterator[str]:
        yield first_line
        while line := stream.readline(reading.limits.piece_bytes):
            yield line

    reader = csv.reader(lines(), delimiter=delimiter)
    bad = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            bad += 1
            continue
        if any(cell.strip() for cell in row):
            yield row
    if bad:
        reading.notes.append(f"{bad} row was not CSV" if bad == 1 else f"{bad} rows were not CSV")


def _table(names: list[str], rows: Iterable[list[str]], size: int) -> Iterator[str]:
    block: list[str] = []
    held = 0
    for row in rows:
        if names:
            labels = names + [f"column {n}" for n in range(len(names) + 1, len(row) + 1)]
            # The names go on beside the cells; a row may be shorter or longer than the header.
            cells = [f"{label}: {cell}" for label, cell in zip(labels, row, strict=False) if cell.strip()]
            text = plain("\n".join(cells)) + "\n\n"
        else:
            text = plain(", ".join(row)) + "\n"
        block.append(text)
        held += len(text)
        if held > size:
            yield "".join(block)
            block, held = [], 0
    yield "".join(block)


def _chain(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    if first:
        yield first
    yield from rest


def are_names(cells: list[str]) -> bool:
    """Whether the first row of a table holds names."""
    return (
        len(set(cells)) == len(cells) > 0
        and all(0 < len(cell) < 64 for cell in cells)
        and not any(_is_number(cell) for cell in cells)
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _delimiter(line: str) -> str:
    bare = "".join(line.split('"')[::2])
    return max(",;\t|", key=bare.count)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _text_stream(reading: Reading) -> io.TextIOWrapper:
    buffered = io.BufferedReader(reading.stream, 1 << 20)  # type: ignore[arg-type]
    found = find_encoding(buffered.peek(1 << 16))
    if found is None:
        raise Nothing("binary")
    codec, mark = found
    buffered.read(mark)
    return io.TextIOWrapper(buffered, encoding=codec, errors="replace", newline="" if reading.reader == "csv" else "\n")
