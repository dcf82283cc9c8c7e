"""Parquet: rows in batches, of which only the columns that are needed are read."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from groundup.documents.document import Document
from groundup.documents.readers.records import TEXT_FIELDS, Template, documents, no_field
from groundup.documents.reading import Nothing, Reading, Unreadable

_BATCH_ROWS = 1000
_BATCH_BYTES = 16 << 20
_FREE = 64 << 20  # bytes that are too few to be a bomb


def read_parquet(reading: Reading) -> Iterator[Document]:
    """One document a row, named "rows.parquet#12": the column or template of `options.text`, otherwise the first
    column with one of the names in TEXT_FIELDS, otherwise all strings of the row, one a line.

    Raises Unreadable for damaged files, for columns that are not there, and where the rows give more than
    limits.archive_ratio times the bytes of the file; Nothing where no column holds text."""
    import pyarrow
    from pyarrow import parquet

    stream = reading.seekable()
    size = reading.piece[2] - reading.piece[1] if reading.piece else stream.seek(0, 2)
    stream.seek(0)
    try:
        file = parquet.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        columns = _columns(file.schema_arrow, reading.options.text)
        groups, numbers = _groups(file.metadata, reading)
        rows = zip(chain(*numbers), _rows(file, columns, groups, size, reading), strict=False)
        no_text = yield from documents(rows, reading, f"{reading.piece[0]}#" if reading.piece else "")
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, MemoryError):
            raise
        raise Unreadable(f"damaged Parquet file: {' '.join(str(error).split())[:200]}") from None
    if no_text:
        reading.notes.append(f"{no_text} of {sum(map(len, numbers))} rows had no text")


def _columns(schema: Any, option: str) -> list[str]:
    names = list(schema.names)
    if option:
        asked = Template(option).names
        if missing := [name for name in asked if name not in names and name.partition(".")[0] not in names]:
            raise no_field(missing, names, "no column")
        return list(dict.fromkeys(name if name in names else name.partition(".")[0] for name in asked))
    for wanted in TEXT_FIELDS:
        for name in names:
            if name.lower() == wanted and (_is_text(schema.field(name).type) or _is_bytes(schema.field(name).type)):
                return [name]
    if found := [field.name for field in schema if _holds_text(field.type)]:
        return found
    raise Nothing("no column of it holds text")


def _groups(metadata: Any, reading: Reading) -> tuple[list[int], list[range]]:
    """The row groups that are wanted, and the numbers of their rows."""
    groups, numbers, first = [], [], 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if reading.piece:
            offsets = [group.column(column).data_page_offset for column in range(group.num_columns)]
            _, start, end = reading.piece
            # each group is in one piece, whatever a damaged file says of it
            wanted = start <= max(0, min(offsets, default=0)) < end
        else:
            wanted = True
        if wanted:
            groups.append(number)
            numbers.append(range(first, first + group.num_rows))
        first += group.num_rows
    if reading.piece and not groups:
        reading.notes.append("no group of rows begins in it")
    return groups, numbers


def _rows(file: Any, columns: list[str], groups: list[int], size: int, reading: Reading) -> Iterator[dict[str, Any]]:
    most = max(_FREE, reading.limits.archive_ratio * size)
    given = 0
    for batch in file.iter_batches(_batch_rows(file.metadata), groups, columns=columns, use_threads=False):
        given += batch.nbytes
        if given > most:
            raise Unreadable(f"its rows unpack to more than {reading.limits.archive_ratio:.0f} times its size")
        values = [_values(column) for column in batch.columns]
        names = ["text"] if len(columns) == 1 and not reading.options.text else batch.schema.names
        for row in zip(*values, strict=True):
            yield dict(zip(names, row, strict=True))
        reading.tick()


def _batch_rows(metadata: Any) -> int:
    groups = [metadata.row_group(number) for number in range(min(metadata.num_row_groups, 10))]
    row = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row)))


def _values(column: Any) -> list[Any]:
    import pyarrow

    if _is_text(column.type) and not pyarrow.types.is_dictionary(column.type):
        column = column.cast(pyarrow.large_binary())  # strings that are not UTF-8 would end the whole file
    values = column.to_pylist()
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]


def _holds_text(kind: Any) -> bool:
    fields = [kind.field(number) for number in range(kind.num_fields)]
    return _is_text(kind) or any(_holds_text(field.type) for field in fields)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind)
