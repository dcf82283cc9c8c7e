"""OpenDocument: texts, presentations, spreadsheets and drawings of LibreOffice and others, from their content.xml."""

import re
from collections.abc import Iterator
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers.office import (
    Block,
    Package,
    attribute,
    join_blocks,
    join_cells,
    local,
    numeral,
    parse_xml,
    path,
)
from groundup.documents.readers.pages import join_pages
from groundup.documents.readers.sheets import Row, read_sheets
from groundup.documents.reading import Reading, Unreadable

_WHAT = "OpenDocument file"
_WHITE = re.compile("[ \t\r\n]+")
_SPACE, _TAB, _BREAK = "\x1f\x1e\x1d"  # none of which XML can hold
_MEANT = str.maketrans({_SPACE: " ", _TAB: "\t", _BREAK: "\n"})
_NOT_CONTENT = {"header", "footer", "page-number", "date-time"}  # the same on every slide
_UNSEEN = {"tracked-changes", "annotation", "forms", "ruby-text", "event-listeners", "binary-data"}
_COLUMNS, _ROWS = 16_384, 1_048_576  # of the largest sheet that LibreOffice has
_PART = "content.xml"


def read_opendocument(reading: Reading) -> Iterator[Document]:
    """One document: headings and paragraphs with a blank line between them, list items as "- " or "1. " by level,
    table rows with " | " between cells, footnotes at the end of their page. Pages are slides and sheets.

    Raises Unreadable for passwords, zip bombs, entities and damage."""
    reading.stream = file = reading.seekable()
    if file.read(2) == b"PK":
        package = Package(reading, _WHAT)
        manifest = package.read("META-INF/manifest.xml") if "META-INF/manifest.xml" in package.names else b""
        if b"encryption-data" in manifest:
            raise Unreadable("it is protected by a password; remove it and read again")
        if _PART not in package.names:
            raise Unreadable(f"damaged {_WHAT}: it has no {_PART}")
        root = package.xml(_PART)
    else:  # the flat form: all parts in one XML file
        file.seek(0)
        package, root = None, parse_xml(reading.whole(), _WHAT)
    content = next((child for body in root.iterchildren("{*}body") for child in body), None)
    if content is None:
        raise Unreadable(f"damaged {_WHAT}: it has no body")
    text = _Text(package, root)
    if local(content) == "spreadsheet":
        tables = content.iterchildren("{*}table")
        yield from read_sheets(((attribute(table, "name"), _sheet(table, text, reading)) for table in tables), reading)
        return
    pages = list(content.iterchildren("{*}page"))
    texts = []
    for page in pages or [content]:
        blocks = list(text.slide(page) if pages else text.blocks(content))
        notes = [("paragraph", "\n".join(text.notes))] if text.notes else []
        texts.append(plain(join_blocks(blocks + notes)))
        text.notes = []
        reading.pages += len(pages) > 0
        reading.tick()
    joined, starts = join_pages(texts, run_on=False)
    if joined.strip():
        yield Document(joined, reading.source, reading.media_type, starts if pages else ())


class _Text:
    """What a part says about its lists, and the footnotes found so far."""

    def __init__(self, package: Package | None, root: Any) -> None:
        self.package = package
        self.notes: list[str] = []
        self.count = 0
        self.bullets: dict[tuple[str, int], tuple[str, int]] = {}
        """(list style, level from 1) -> "-", the form of its numbers or "" where nothing is shown; the first
        number."""
        self.counts: dict[str, int] = {}
        """The last number of a list, by its name and by its style."""
        roots = [package.xml("styles.xml"), root] if package and "styles.xml" in package.names else [root]
        for style in (style for part in roots for style in part.iter("{*}list-style")):
            for level in style:
                key = attribute(style, "name"), _whole(attribute(level, "level"), 0)
                form = attribute(level, "num-format") if local(level) == "list-level-style-number" else "-"
                self.bullets[key] = form, _whole(attribute(level, "start-value"), 1)

    def slide(self, page: Any) -> Iterator[Block]:
        """The title, the other shapes, the speaker's notes."""
        shapes, notes = [], []
        for shape in page:
            if attribute(shape, "class") not in _NOT_CONTENT:
                (notes if local(shape) == "notes" else shapes).append(shape)
        shapes.sort(key=lambda shape: attribute(shape, "class") != "title")
        for shape in shapes:
            yield from self.block(shape, "", 0)
        for note in notes:
            for shape in note:
                if attribute(shape, "class") not in _NOT_CONTENT:
                    yield from self.block(shape, "", 0)

    def blocks(self, parent: Any, style: str = "", level: int = 0) -> Iterator[Block]:
        """The paragraphs, list items and tables in `parent`, in order."""
        for child in parent:
            yield from self.block(child, style, level)

    def block(self, element: Any, style: str, level: int) -> Iterator[Block]:
        name = local(element)
        if name in ("p", "h"):
            boxes: list[Any] = []
            text = self.inline(element, boxes).strip("\n ")
            if text.strip():
                yield "paragraph", text
            for box in boxes:
                yield from self.block(box, "", 0)
        elif name == "list":
            yield from self.list_items(element, attribute(element, "style-name") or style, level + 1)
        elif name == "table":
            if table := "\n".join(filter(None, map(self.row, _table_rows(element)))):
                yield "table", table
        elif name == "object":
            if formula := self.formula(element):
                yield "paragraph", formula
        elif not _unseen(element):
            yield from self.blocks(element, style, level)

    def list_items(self, element: Any, style: str, level: int) -> Iterator[Block]:
        form, first = self.bullets.get((style, level), ("-", 1))
        before = attribute(element, "continue-list") or (
            f"{style} {level}" if attribute(element, "continue-numbering") == "true" else ""
        )
        # a list within an item begins anew with every item
        number = self.counts.get(before, first - 1) if level == 1 else first - 1
        for item in element:
            if local(item) not in ("list-item", "list-header"):
                continue
            marked = bool(form) and local(item) == "list-item"
            number = _whole(attribute(item, "start-value"), number + marked)
            for child in item:
                for kind, text in self.block(child, style, level):
                    if marked and local(child) == "p":
                        mark = "- " if form == "-" else f"{numeral(number, form)}. "
                        kind, text, marked = "item", "  " * (level - 1) + mark + text, False
                    yield kind, text
        self.counts[f"{style} {level}"] = number
        if name := attribute(element, "id"):
            self.counts[name] = number

    def row(self, row: Any) -> str:
        cells: list[str] = []
        for cell in row.iterchildren("{*}table-cell", "{*}covered-table-cell"):
            covered = local(cell) == "covered-table-cell"
            text = "" if covered else " ".join(text.replace("\n", " ") for _, text in self.blocks(cell))
            cells += [text] * min(_repeats(cell, "columns"), 64)
        return join_cells(cells)

    def inline(self, element: Any, boxes: list[Any]) -> str:
        """The text of a paragraph; text boxes in it are left in `boxes`, footnotes in `notes`."""
        return _WHITE.sub(" ", self._inline(element, boxes)).translate(_MEANT)

    def _inline(self, element: Any, boxes: list[Any]) -> str:
        parts = [element.text or ""]
        for child in element:
            name = local(child)
            if name == "s":
                parts.append(_SPACE * min(_whole(attribute(child, "c"), 1), 200))
            elif name == "tab":
                parts.append(_TAB)
            elif name == "line-break":
                parts.append(_BREAK)
            elif name == "note":
                parts.append(self.note(child))
            elif name == "object":
                parts.append(self.formula(child))
            elif "drawing:1.0}" in child.tag and name not in ("frame", "a", "g"):
                boxes.append(child)
            elif not _unseen(child):
                parts.append(self._inline(child, boxes))
            parts.append(child.tail or "")
        return "".join(parts)

    def note(self, note: Any) -> str:
        self.count += 1
        mark = f"[{self.count}]"
        at = len(self.notes)
        self.notes.append("")
        text = " ".join(text for body in note.iterchildren("{*}note-body") for _, text in self.blocks(body))
        self.notes[at] = f"{mark} {text}"
        return mark

    def formula(self, element: Any) -> str:
        """An equation in the notation of its editor."""
        part = path("", attribute(element, "href") + "/content.xml")
        root = self.package.xml(part) if self.package and part in self.package.names else element
        found = [note.text or "" for note in root.iter("{*}annotation") if "MathML" in note.tag]
        return " ".join(" ".join(found).split())


def _unseen(element: Any) -> bool:
    # svg:title and svg:desc describe a picture
    return local(element) in _UNSEEN or "svg-compatible" in element.tag


def _table_rows(table: Any) -> Iterator[Any]:
    for child in table:
        if local(child) == "table-row":
            yield child
        elif local(child) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _table_rows(child)


def _repeats(element: Any, what: str) -> int:
    return _whole(attribute(element, f"number-{what}-repeated"), 1)


def _whole(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else otherwise


def _sheet(table: Any, text: _Text, reading: Reading) -> Iterator[Row]:
    number = 1
    for row in _table_rows(table):
        cells: dict[int, str] = {}
        column = 1
        for cell in row.iterchildren("{*}table-cell", "{*}covered-table-cell"):
            value = "\n".join(text.inline(paragraph, []) for paragraph in cell.iterchildren("{*}p"))
            count = _repeats(cell, "columns")
            if value.strip():
                if len(value) * count > reading.limits.piece_bytes:
                    raise Unreadable("a cell says that it repeats more often than a sheet has room for")
                cells |= dict.fromkeys(range(column, min(column + count, _COLUMNS)), value)
            column += count
        count = _repeats(row, "rows")
        if cells:
            for index in range(number, min(number + count, _ROWS)):
                yield index, cells
                if index % 2_000 == 0:
                    reading.tick()
        number += count
