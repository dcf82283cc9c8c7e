"""Rows of a database's table or query, as documents by the rules of CSV."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers.records import TEXT_FIELDS, Template, no_field
from groundup.documents.readers.text import in_parts
from groundup.documents.reading import Reading, size_text

Row = Sequence[str | None]
"""The values of a row; None for NULL and for binary data."""


def read_rows(names: Sequence[str], rows: Iterable[Row], reading: Reading, table: str = "") -> Iterator[Document]:
    """One document a row, named `source#table:12`, where `options.text` says what it gives, or a column has one of the
    names in TEXT_FIELDS or is all that a query (`table` is "") gives; otherwise one for all rows, of "name: value"
    lines.

    Notes rows without text and rows that are too long. Raises Unreadable for a column that is not there."""
    source = f"{reading.source}#{table}" if table else reading.source
    limit = reading.limits.piece_bytes
    text_of = _text_of(names, reading, table)
    if text_of is None:
        yield from in_parts(_lines(names, rows, limit), replace(reading, source=source))
        return
    short = long = 0
    for number, row in enumerate(rows, 1):
        text = text_of(row)
        if not text.strip():
            short += 1
        elif len(text) > limit:
            long += 1
        else:
            yield Document(text, f"{source}{':' if table else '#'}{number}", reading.media_type)
    of_table = f" of {table}" if table else ""
    if short:
        reading.notes.append(f"{short} row{'s' * (short != 1)}{of_table} had no text")
    if long:
        reading.notes.append(
            f"{long} row{'s' * (long != 1)}{of_table} {'were' if long != 1 else 'was'} longer than {size_text(limit)}"
        )


def _text_of(names: Sequence[str], reading: Reading, table: str) -> Callable[[Row], str] | None:
    """What gives a row's text; None where there is no column for it."""
    if reading.options.text:
        template = Template(reading.options.text)
        if missing := set(template.names) - set(names):
            raise no_field(sorted(missing), names, f"no column of {table}" if table else "no column")
        return lambda row: template.text(dict(zip(names, row, strict=True)))
    lower = [name.lower() for name in names]
    column = next((lower.index(name) for name in TEXT_FIELDS if name in lower), None)
    if column is None and len(names) == 1 and not table:
        column = 0  # who asks for one column means its text
    return None if column is None else lambda row: plain(row[column] or "")


def _lines(names: Sequence[str], rows: Iterable[Row], size: int) -> Iterator[str]:
    block: list[str] = []
    held = 0
    for row in rows:
        cells = [f"{name}: {cell}" for name, cell in zip(names, row, strict=True) if cell and cell.strip()]
        if not cells:
            continue
        text = plain("\n".join(cells)) + "\n\n"
        block.append(text)
        held += len(text)
        if held > size:
            yield "".join(block)
            block, held = [], 0
    yield "".join(block)
