"""Spreadsheets: the cells of every sheet of an Excel workbook, row by row, and the text boxes that lie on it."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers.office import Package, join_cells, local
from groundup.documents.readers.records import TEXT_FIELDS, Template, no_field
from groundup.documents.reading import Reading, Unreadable

Row = tuple[int, dict[int, str]]
"""Number of the row, from 1, and its cells that are not blank by their column, from 1."""
_MAIN = "xl/workbook.xml"
_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_DEFAULT_NAME = re.compile(
    r"(Sheet|Tabelle|Feuil|Hoja|Foglio|Planilha|Arkusz|Blad|Ark|List|Лист|シート|工作表) ?\d*", re.I
)
_AHEAD = 20  # rows that show which column has the text
_BLOCK = 1 << 20  # characters of rows that are handed on together


def read_xlsx(reading: Reading) -> Iterator[Document]:
    """One document with a page for each sheet that has text, or, where a column has the text, one for each row.

    What a formula showed when the workbook was saved is taken; dates are written as in 2024-12-31; errors such as
    #REF! are left out. Raises Unreadable for zip bombs, entities, damage."""
    package = Package(reading, "Excel workbook")
    try:
        root, links = package.xml(_MAIN), package.related(_MAIN)
    except KeyError as error:
        raise Unreadable(f"damaged Excel workbook: {error.args[0]}") from None
    parts = {kind: part for kind, part in links.values() if kind in ("sharedStrings", "styles")}
    strings = _strings(package, parts.get("sharedStrings", ""))
    dates = _dates(package, parts.get("styles", ""))
    epoch_1904 = any(element.get("date1904") in ("1", "true") for element in root.iter("{*}workbookPr"))

    def sheets() -> Iterator[tuple[str, Iterator[Row]]]:
        for sheet in root.iter("{*}sheet"):
            kind, part = links.get(next((v for k, v in sheet.attrib.items() if k.endswith("}id")), ""), ("", ""))
            if part in package.names and kind == "worksheet":
                yield sheet.get("name", ""), _rows(package, part, strings, dates, epoch_1904)

    yield from read_sheets(sheets(), reading)


def _strings(package: Package, part: str) -> list[str]:
    if part not in package.names:
        return []
    return [_text(item) for item in package.elements(part, "si")]


def _text(item: Any) -> str:
    # a phonetic reading (rPh) stands beside the text that it reads aloud
    texts = (t.text or "" for t in item.iter("{*}t") if local(t.getparent()) != "rPh")
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), "".join(texts))


def _dates(package: Package, part: str) -> list[str]:
    """For each cell style "date", "duration" or ""."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format

    if part not in package.names:
        return []
    root = package.xml(part)
    formats = {str(number): code for number, code in BUILTIN_FORMATS.items()}
    formats |= {form.get("numFmtId", ""): form.get("formatCode", "") for form in root.iter("{*}numFmt")}
    kinds = []
    for styles in root.iterchildren("{*}cellXfs"):
        for style in styles:
            code = formats.get(style.get("numFmtId", ""), "")
            kinds.append("duration" if is_timedelta_format(code) else "date" if is_date_format(code) else "")
    return kinds


def _rows(package: Package, part: str, strings: list[str], dates: list[str], epoch_1904: bool) -> Iterator[Row]:
    number = 0
    for element in package.elements(part, "row"):
        # rows and cells may leave their place out; it is then the next one
        given = element.get("r", "")
        number = int(given) if given.isascii() and given.isdigit() and len(given) < 8 else number + 1
        cells: dict[int, str] = {}
        column = 0
        for cell in element.iterchildren("{*}c"):
            place = _REFERENCE.fullmatch(cell.get("r", ""))
            column = _column(place[1]) if place else column + 1
            value = _value(cell, strings, dates, epoch_1904)
            if value and not value.isspace():
                cells[column] = value
        if cells:
            yield number, cells
    for kind, drawing in package.related(part).values():
        if kind == "drawing" and drawing in package.names:
            for box in package.xml(drawing).iter("{*}txBody"):
                number += 2  # a box stands for itself: it is no row of the table above
                if text := "\n".join("".join(t.text or "" for t in p.iter("{*}t")) for p in box.iterchildren("{*}p")):
                    yield number, {0: text}


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def _value(cell: Any, strings: list[str], dates: list[str], epoch_1904: bool) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return _text(cell)
    value = cell.find("{*}v")
    text = value.text if value is not None and value.text else ""
    if kind == "s":
        return strings[int(text)] if text.isdigit() and int(text) < len(strings) else ""
    if kind == "b":
        return "TRUE" if text == "1" else "FALSE"
    if kind == "e":
        return ""
    if kind == "n":
        style = cell.get("s", "0")
        date = dates[int(style)] if style.isdigit() and int(style) < len(dates) else ""
        return _number(text, date, epoch_1904)
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _number(text: str, date: str, epoch_1904: bool) -> str:
    from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel

    try:
        number = float(text)
        if date:
            moment = from_excel(number, MAC_EPOCH if epoch_1904 else WINDOWS_EPOCH, timedelta=date == "duration")
            return str(moment).removesuffix(" 00:00:00") if isinstance(moment, datetime) else str(moment)
    except (ValueError, OverflowError):
        return text
    # the shortest spelling of the number that the file holds with 17 digits: 0.1, not 0.10000000000000001
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else str(number)


def read_sheets(sheets: Iterable[tuple[str, Iterable[Row]]], reading: Reading) -> Iterator[Document]:
    """The documents of the sheets (name, rows) of one workbook; a text beyond limits.piece_bytes comes in parts.

    A sheet is its name, if somebody gave it one, and its rows: as "name: value" lines where its first row of several
    cells holds names, else with " | " between the cells. Where one of the names is a text column's (see tables), each
    row gives a document, named after sheet and row. Raises Unreadable where no sheet has the columns of
    `options.text`."""
    held: list[str] = []
    starts: list[int] = []
    there: dict[str, None] = {}
    records = False
    length = part = 0
    for name, rows in sheets:
        reading.pages += 1
        opening: str | None = "" if _DEFAULT_NAME.fullmatch(name) or not name else f"{plain(name)}\n\n"
        for number, block in _blocks(iter(rows), reading, there):
            records = records or number > 0
            if number:
                yield Document(block, f"{reading.source}#{name}!{number}", reading.media_type)
                continue
            if reading.options.text:
                continue  # a sheet without the columns that were asked for
            if held and length + len(block) > reading.limits.piece_bytes:
                part += 1
                yield _document(held, f"{reading.source}#part-{part}", reading, starts)
                held, starts, length = [], [], 0
            if opening is not None:
                held.append("\n" if held and not held[-1].endswith("\n\n") else "")
                starts.append(length + len(held[-1]))
                held.append(opening)
                length += len(held[-2]) + len(opening)
                opening = None
            elif not held:
                starts.append(0)
            held.append(block)
            length += len(block)
    if reading.options.text and not records:
        raise no_field(Template(reading.options.text).names, there, "no sheet")
    if held:
        yield _document(held, f"{reading.source}#part-{part + 1}" if part else reading.source, reading, starts)


def _document(parts: list[str], source: str, reading: Reading, starts: list[int]) -> Document:
    return Document("".join(parts).rstrip("\n") + "\n", source, reading.media_type, tuple(starts))


def _blocks(rows: Iterator[Row], reading: Reading, there: dict[str, None]) -> Iterator[tuple[int, str]]:
    """(0, lines of many rows), or (number of the row, its text) in a sheet with a text column; the names of columns
    go into `there`."""
    names: dict[int, str] | None = None
    template: Template | None = None
    above = held = short = 0
    block: list[str] = []
    ahead: deque[Row] = deque()
    while row := ahead.popleft() if ahead else next(rows, None):
        number, cells = row
        apart, above = number > above + 1 > 1, number
        if template and names and 0 not in cells:
            if text := template.text({name: cells.get(column, "") for column, name in names.items()}).strip("\n"):
                yield number, text
            else:
                short += 1
            continue
        if apart and len(cells) == 1:
            names = None  # a heading or a text box: another table may follow
        if names is None and len(cells) > 1:
            ahead.extend(islice(rows, _AHEAD - len(ahead)))
            found: dict[int, str] | None = _names(cells) if ahead else {}
            if found and sum(not below.keys() <= found.keys() for _, below in ahead) > len(ahead) / 2:
                found = None  # a line above the table, which is wider
            names = found
            if names:
                there.update(dict.fromkeys(names.values()))
                template = _template(names, ahead, reading.options.text)
                block += ["\n"] if block else []
                continue
        apart = apart and not (block and block[-1].endswith("\n\n"))
        block.append(_lines(cells, names or {}, apart))
        held += len(block[-1])
        if held > _BLOCK:
            yield 0, "".join(block)
            block, held = [], 0
    if block:
        yield 0, "".join(block)
    if short:
        reading.notes.append(f"{short} row{'s' * (short != 1)} had no text")


def _template(names: dict[int, str], ahead: Iterable[Row], option: str) -> Template | None:
    """What the rows below `names` give if each of them is a document: columns that were asked for, or one that has a
    text's name and most of the text, as a product's "code" has not."""
    if option:
        template = Template(option)
        return template if set(template.names) <= set(names.values()) else None
    for wanted in TEXT_FIELDS:
        for column, name in names.items():
            if name.lower() == wanted:
                inside = sum(len(cells.get(column, "")) for _, cells in ahead)
                if 2 * inside > sum(len(cell) for _, cells in ahead for cell in cells.values()):
                    return Template(name)
    return None


def _names(cells: dict[int, str]) -> dict[int, str]:
    """The names of columns, if that is what the cells of a row are: different, side by side, short, no numbers."""
    names = {column: " ".join(cell.split()) for column, cell in cells.items()}
    fit = all(len(name) < 64 and not name.endswith(":") and not _is_number(name) for name in names.values())
    return names if fit and len(set(names.values())) == len(names) == max(names) - min(names) + 1 else {}


def _is_number(cell: str) -> bool:
    return not cell.strip("0123456789.,-+% ")


def _lines(cells: dict[int, str], names: dict[int, str], apart: bool) -> str:
    if names:
        lines = (f"{names[column]}: {cell}" if column in names else cell for column, cell in cells.items())
        return plain("\n".join(lines)) + "\n\n"
    columns = range(min(cells), max(cells) + 1)
    if len(columns) > 3 * len(cells) + 20:  # far apart: empty cells would outnumber the others
        columns = list(cells)
    row = cells[columns[0]] if len(cells) == 1 else join_cells(cells.get(column, "") for column in columns)
    return ("\n" if apart else "") + plain(row) + "\n"
