"""Word documents: paragraphs, lists and tables in the order in which they stand; no page headers or
footers."""

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, BinaryIO

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers.office import MATH, join_blocks, join_cells, numeral
from groundup.documents.readers.rtf_codes import SYMBOLS
from groundup.documents.reading import Reading, Unreadable, size_text

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MATH = {f"{_M}{name}": marks for name, marks in MATH.items()}
_NOTES = {f"{_W}footnoteReference": "", f"{_W}endnoteReference": "e"}  # before a note's number
_NUMERALS = {"lowerLetter": "a", "upperLetter": "A", "lowerRoman": "i", "upperRoman": "I"}
_MAIN_TYPES = (  # of a document with macros and of templates, which python-docx does not take for documents
    "application/vnd.ms-word.document.macroEnabled.main+xml",
    "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
)
_FREE_BYTES = 50 << 20  # of XML, below which a high ratio is only a repetitive text
_SKIPPED = {  # deleted text, the instructions of fields, the second form of what Word wrote twice
    f"{_W}del",
    f"{_W}moveFrom",
    f"{_W}instrText",
    f"{_W}pPr",
    f"{_W}rPr",
    f"{_MC}Fallback",
}


def read_docx(reading: Reading) -> Iterator[Document]:
    """One document: headings and paragraphs with a blank line between them, list items as "- " or "1. " by
    level, table rows as cells with " | " between them, footnotes at the end.

    Raises Unreadable for zip bombs and for XML that declares entities, before the file is parsed."""
    from docx.opc.exceptions import PackageNotFoundError
    from docx.opc.part import PartFactory
    from docx.package import Package
    from docx.parts.document import DocumentPart

    file = reading.seekable()
    _check(file, reading)
    file.seek(0)
    try:
        for main_type in _MAIN_TYPES:
            PartFactory.part_type_for[main_type] = DocumentPart
        document: Any = Package.open(file).main_document_part.document  # type: ignore[attr-defined]
    except (PackageNotFoundError, KeyError, ValueError, AttributeError) as error:
        raise Unreadable(f"damaged Word document: {error}") from None
    lists = _Lists(document)
    blocks = list(_blocks(document.element.body, lists))
    notes = _notes(document)
    text = plain(join_blocks(blocks) + ("\n\n" + "\n".join(notes) if notes else ""))
    if text.strip():
        yield Document(text.strip("\n") + "\n", reading.source, reading.media_type)


def _check(file: BinaryIO, reading: Reading) -> None:
    try:
        archive = zipfile.ZipFile(file)
        parts = [info for info in archive.infolist() if info.filename.endswith((".xml", ".rels"))]
        unpacked = sum(info.file_size for info in parts)
        packed = sum(info.compress_size for info in parts)
        if unpacked > reading.limits.whole_bytes:
            raise Unreadable(f"it unpacks to more than {size_text(reading.limits.whole_bytes)} of XML")
        if unpacked > max(_FREE_BYTES, reading.limits.archive_ratio * packed):
            raise Unreadable(f"it unpacks to more than {reading.limits.archive_ratio:.0f} times its size")
        for info in parts:
            with archive.open(info) as part:
                # A document type stands before the root element; Word never writes one.
                head = part.read(1 << 16).replace(b"\0", b"")
            if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                raise Unreadable("its XML declares entities, which no Word document does")
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise Unreadable(f"damaged Word document: {error}") from None


class _Lists:
    """The marks of list items, counted as Word does."""

    def __init__(self, document: Any) -> None:
        self.formats: dict[tuple[str, str], str] = {}
        self.counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.styles: dict[str, tuple[str, str]] = {}
        try:
            numbering = document.part.numbering_part.element
        except (KeyError, NotImplementedError):
            return
        abstract = {}
        for item in numbering.iter(f"{_W}abstractNum"):
            levels = {}
            for level in item.iter(f"{_W}lvl"):
                number_format = level.find(f"{_W}numFmt")
                levels[level.get(f"{_W}ilvl")] = "" if number_format is None else number_format.get(f"{_W}val")
            abstract[item.get(f"{_W}abstractNumId")] = levels
        for item in numbering.iter(f"{_W}num"):
            link = item.find(f"{_W}abstractNumId")
            if link is not None:
                for level, form in abstract.get(link.get(f"{_W}val"), {}).items():
                    self.formats[item.get(f"{_W}numId"), level] = form
        for style in document.styles.element.iter(f"{_W}style"):
            if found := _numbering(style):
                self.styles[style.get(f"{_W}styleId")] = found

    def mark(self, paragraph: Any) -> str:
        """ "  - " or "1. " for an item of a list, else ""."""
        found = _numbering(paragraph)
        if found is None:
            style = paragraph.find(f"{_W}pPr/{_W}pStyle")
            found = self.styles.get(style.get(f"{_W}val")) if style is not None else None
        if found is None or found not in self.formats:
            return ""
        number, level = found
        form = self.formats[found]
        if form == "none":
            return ""
        for key in list(self.counts):
            if key[0] == number and key[1] > level:
                del self.counts[key]  # a new item begins the lists within it anew
        self.counts[found] += 1
        indent = "  " * int(level)
        count = numeral(self.counts[found], _NUMERALS.get(form, ""))
        return f"{indent}- " if form == "bullet" else f"{indent}{count}. "


def _numbering(element: Any) -> tuple[str, str] | None:
    properties = element.find(f"{_W}pPr/{_W}numPr")
    if properties is None:
        return None
    number, level = properties.find(f"{_W}numId"), properties.find(f"{_W}ilvl")
    if number is None:
        return None
    return number.get(f"{_W}val"), "0" if level is None else level.get(f"{_W}val")


def _blocks(parent: Any, lists: _Lists) -> Iterator[tuple[str, str]]:
    """(kind, text) of the paragraphs, list items and tables in `parent`, in order."""
    initial = ""
    for child in parent:
        if child.tag == f"{_W}p":
            boxes: list[Any] = []
            text = initial + _text(child, boxes).strip("\n")
            frame = child.find(f"{_W}pPr/{_W}framePr")
            initial = text if frame is not None and frame.get(f"{_W}dropCap") in ("drop", "margin") else ""
            if initial:
                continue  # a large first letter is a paragraph of its own
            if text.strip():
                mark = lists.mark(child)
                yield ("item" if mark else "paragraph"), mark + text
            for box in boxes:
                yield from _blocks(box, lists)
        elif child.tag == f"{_W}tbl":
            if table := "\n".join(filter(None, (_row(row, lists) for row in _inside(child, "tr")))):
                yield "table", table
        elif child.tag not in _SKIPPED and len(child):
            yield from _blocks(child, lists)  # content controls and custom XML hold blocks


def _inside(parent: Any, name: str) -> Iterator[Any]:
    """The rows of a table, or the cells of a row, also in content controls; not those of tables in its cells."""
    for child in parent:
        if child.tag == f"{_W}{name}":
            yield child
        elif child.tag not in _SKIPPED:
            yield from _inside(child, name)


def _row(row: Any, lists: _Lists) -> str:
    cells = []
    for cell in _inside(row, "tc"):
        merged = cell.find(f"{_W}tcPr/{_W}vMerge")
        if merged is not None and merged.get(f"{_W}val") != "restart":
            cells.append("")  # the lower part of a cell that spans rows
            continue
        cells.append(" ".join(text.replace("\n", " ") for _, text in _blocks(cell, lists)))
    return join_cells(cells)


def _text(paragraph: Any, boxes: list[Any]) -> str:
    parts: list[str] = []

    def walk(element: Any) -> None:
        for child in element:
            tag = child.tag
            if tag in (f"{_W}t", f"{_M}t"):
                parts.append(child.text or "")
            elif tag in (f"{_W}tab", f"{_W}ptab"):
                parts.append("\t")
            elif tag in (f"{_W}br", f"{_W}cr"):
                parts.append("\n")
            elif tag == f"{_W}noBreakHyphen":
                parts.append("-")
            elif tag in _NOTES:
                parts.append(f"[{_NOTES[tag]}{child.get(f'{_W}id')}]")
            elif tag == f"{_W}sym":
                parts.append(_symbol(child))
            elif tag == f"{_W}txbxContent":
                boxes.append(child)
            elif tag in _MATH:
                before, between, after = _MATH[tag]
                parts.append(before)
                for index, operand in enumerate(part for part in child if not part.tag.endswith("Pr")):
                    parts.append(between if index else "")
                    walk(operand)
                parts.append(after)
            elif tag not in _SKIPPED:
                walk(child)

    walk(paragraph)
    return "".join(parts)


def _symbol(element: Any) -> str:
    """A letter given by its number in a font of symbols; those of pictures have no letter."""
    font, number = element.get(f"{_W}font") or "", element.get(f"{_W}char") or ""
    if not re.fullmatch("[0-9A-Fa-f]{1,4}", number):
        return ""
    code = int(number, 16)
    if code < 0x100 or 0xF000 <= code <= 0xF0FF:
        return SYMBOLS.get(code & 0xFF, "") if font.lower() == "symbol" else ""
    return chr(code)


def _notes(document: Any) -> list[str]:
    """Footnotes, then endnotes."""
    from docx.oxml import parse_xml

    found = []
    for kind in ("footnote", "endnote"):
        for relation in document.part.rels.values():
            if relation.is_external or not relation.reltype.endswith(f"/{kind}s"):
                continue
            for note in parse_xml(relation.target_part.blob).iter(f"{_W}{kind}"):
                text = " ".join(_text(paragraph, []).strip() for paragraph in note.iter(f"{_W}p")).strip()
                if text and note.get(f"{_W}type") is None:
                    found.append(f"[{_NOTES[f'{_W}{kind}Reference']}{note.get(f'{_W}id')}] {text}")
    return found
