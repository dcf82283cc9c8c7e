"""Random documents as office, web, data and text files; `FORMATS` says which."""

import base64
import csv
import html
import json
import random
import zipfile
from array import array
from collections.abc import Callable
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path

from truth import Block, Truth

_ODF = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
_ODF += 'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
_ODF += 'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'


def _docx(truth: Truth, path: Path, rng: random.Random) -> None:
    import docx

    document = docx.Document()
    for block in truth.blocks:
        if block.kind == "heading":
            document.add_heading(block.text, rng.randint(1, 3))
        elif block.kind == "list":
            style = rng.choice(("List Bullet", "List Number"))
            for item in block.items:
                document.add_paragraph(item, style)
        elif block.kind == "table":
            table = document.add_table(0, len(block.rows[0]))
            for row in block.rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
        else:
            paragraph = document.add_paragraph()
            for part in _runs(block.text, rng):  # Word cuts text into runs anywhere
                paragraph.add_run(part).bold = rng.random() < 0.2
    document.save(str(path))


def _pptx(truth: Truth, path: Path, rng: random.Random) -> None:
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    for block in truth.blocks:
        slide = deck.slides.add_slide(deck.slide_layouts[6])
        place = Inches(1), Inches(1), Inches(8), Inches(4)
        if block.kind == "table":
            table = slide.shapes.add_table(len(block.rows), len(block.rows[0]), *place).table
            for y, row in enumerate(block.rows):
                for x, text in enumerate(row):
                    table.cell(y, x).text = text
        else:
            frame = slide.shapes.add_textbox(*place).text_frame
            frame.text = block.plain()
    deck.save(str(path))


def _xlsx(truth: Truth, path: Path, rng: random.Random) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for number, block in enumerate(block for block in truth.blocks if block.rows):
        sheet = book.active if not number else book.create_sheet()
        assert sheet is not None
        for row in block.rows:
            sheet.append(row)
    book.save(path)


def _odt(truth: Truth, path: Path, rng: random.Random) -> None:
    out = []
    for block in truth.blocks:
        if block.kind == "heading":
            out.append(f'<text:h text:outline-level="1">{html.escape(block.text)}</text:h>')
        elif block.kind == "list":
            items = "".join(f"<text:list-item>{_odt_text(item)}</text:list-item>" for item in block.items)
            out.append(f"<text:list>{items}</text:list>")
        elif block.kind == "table":
            cells = "</table:table-row><table:table-row>".join(
                "".join(f"<table:table-cell>{_odt_text(cell)}</table:table-cell>" for cell in row) for row in block.rows
            )
            out.append(f"<table:table><table:table-row>{cells}</table:table-row></table:table>")
        else:
            out += map(_odt_text, [block.text])
    body = f"<office:body><office:text>{''.join(out)}</office:text></office:body>"
    content = f'<?xml version="1.0"?><office:document-content {_ODF}>{body}</office:document-content>'
    kind = "application/vnd.oasis.opendocument.text"
    entries = f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
    entries += '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
    space = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    manifest = f'<?xml version="1.0"?><manifest:manifest xmlns:manifest="{space}">{entries}</manifest:manifest>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", kind, zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", manifest)
        archive.writestr("content.xml", content)


def _odt_text(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        bare = line.lstrip(" ")
        spaces = f'<text:s text:c="{len(line) - len(bare)}"/>' if bare != line else ""
        inner = html.escape(bare)
        while "  " in inner:
            at = inner.index("  ")
            run = len(inner[at:]) - len(inner[at:].lstrip(" "))
            inner = f'{inner[: at + 1]}<text:s text:c="{run - 1}"/>{inner[at + run :]}'
        lines.append(spaces + inner)
    return f"<text:p>{'<text:line-break/>'.join(lines)}</text:p>"


def _body(truth: Truth) -> str:
    out = []
    for block in truth.blocks:
        if block.kind == "heading":
            out.append(f"<h2>{html.escape(block.text)}</h2>")
        elif block.kind == "list":
            out.append("<ul>\n" + "".join(f"  <li>{html.escape(item)}</li>\n" for item in block.items) + "</ul>")
        elif block.kind == "table":
            rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in block.rows)
            out.append("<table>\n" + "".join(f"<tr>{row}</tr>\n" for row in rows) + "</table>")
        elif block.kind == "code":
            out.append(f"<pre><code>{html.escape(block.text)}\n</code></pre>")
        else:
            out.append(f"<p>{html.escape(block.text)}</p>")
    return "\n".join(out)


def _html(truth: Truth, path: Path, rng: random.Random) -> None:
    menu = '<nav><ul><li><a href="/">Home</a></li><li><a href="/about">About us</a></li></ul></nav>'
    foot = '<footer><p>Copyright 2020. All rights reserved. <a href="/privacy">Privacy</a></p></footer>'
    head = '<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title></title></head>'
    page = f"{head}\n<body>{menu}\n<main><article>\n{_body(truth)}\n</article></main>\n{foot}</body></html>\n"
    path.write_text(page, "utf-8")


def _epub(truth: Truth, path: Path, rng: random.Random) -> None:
    half = len(truth.blocks) // 2
    chapters = [Truth(truth.genre, truth.blocks[:half]), Truth(truth.genre, truth.blocks[half:])]
    page = '<?xml version="1.0" encoding="utf-8"?>\n<html xmlns="http://www.w3.org/1999/xhtml"><head><title></title>'
    items = "".join(f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in (0, 1))
    package = '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i">'
    package += '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="i">x</dc:identifier>'
    package += f"<dc:language>en</dc:language></metadata><manifest>{items}</manifest>"
    package += '<spine><itemref idref="c0"/><itemref idref="c1"/></spine></package>'
    container = '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    container += '<rootfiles><rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", container + "</container>")
        archive.writestr("b.opf", package)
        for number, chapter in enumerate(chapters):
            archive.writestr(f"c{number}.xhtml", f"{page}</head><body>{_body(chapter)}</body></html>")


def _rtf(truth: Truth, path: Path, rng: random.Random) -> None:
    out = [r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Times;}{\f1 Courier;}}"]
    for block in truth.blocks:
        if block.rows:
            for row in block.rows:
                ends = "".join(rf"\cellx{2000 * at}" for at in range(1, len(row) + 1))
                out.append(rf"\trowd{ends} " + "".join(rf"\intbl {_rtf_text(cell)}\cell " for cell in row) + r"\row")
            out.append(r"\pard")
        else:
            end = r"\line " if block.kind == "code" else "\\par\n"
            lines = end.join(map(_rtf_text, block.plain().split("\n")))
            out.append(rf"\pard\f{block.kind == 'code':d} {lines}\par")
    path.write_text("\n".join(out) + "}", "ascii")


def _rtf_text(text: str) -> str:
    out = []
    for letter in text:
        if letter in "\\{}":
            out.append("\\" + letter)
        elif letter.isascii():
            out.append(letter)
        else:
            units = array("h", letter.encode("utf-16-le"))  # RTF's numbers are signed
            out += [rf"\u{unit}?" for unit in units]
    return "".join(out)


def _markdown(truth: Truth, path: Path, rng: random.Random) -> None:
    path.write_text("\n\n".join(map(_markdown_block, truth.blocks)) + "\n", "utf-8")


def _markdown_block(block: Block) -> str:
    if block.kind == "heading":
        return f"## {block.text}"
    if block.kind == "list":
        return "\n".join(f"- {item}" for item in block.items)
    if block.kind == "code":
        return f"```{block.language}\n{block.text}\n```"
    if block.rows:
        head, *rows = ("| " + " | ".join(row) + " |" for row in block.rows)
        return "\n".join([head, "|" + " --- |" * len(block.rows[0]), *rows])
    return block.text


def _code(truth: Truth, path: Path, rng: random.Random) -> None:
    path.write_text(truth.code()[0] + "\n", "utf-8", newline="\n")


def _csv(truth: Truth, path: Path, rng: random.Random) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([block.plain()] for block in truth.blocks)])


def _jsonl(truth: Truth, path: Path, rng: random.Random) -> None:
    ascii_only = rng.random() < 0.5
    lines = (json.dumps({"text": block.plain()}, ensure_ascii=ascii_only) for block in truth.blocks)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _parquet(truth: Truth, path: Path, rng: random.Random) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": [block.plain() for block in truth.blocks]})
    parquet.write_table(table, path, row_group_size=5, compression=rng.choice(("zstd", "snappy")))


def _eml(truth: Truth, path: Path, rng: random.Random) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@example.org", "b@example.org"
    message["Subject"] = truth.blocks[0].text
    message.set_content(Truth("", truth.blocks[1:]).plain() + "\n", cte=rng.choice(("base64", "quoted-printable")))
    if rng.random() < 0.5:
        message.add_alternative(f"<html><body>{_body(Truth('', truth.blocks[1:]))}</body></html>", subtype="html")
    path.write_bytes(message.as_bytes())


def _srt(truth: Truth, path: Path, rng: random.Random) -> None:
    lines = [line for block in truth.blocks for line in block.plain().split("\n") if line.strip()]
    times = (f"00:{at // 60:02}:{at % 60:02}" for at in range(len(lines)))
    cues = (f"{at}\n{t},000 --> {t},900\n{line}\n" for at, (t, line) in enumerate(zip(times, lines, strict=True), 1))
    path.write_text("\n".join(cues), "utf-8")


def _notebook(truth: Truth, path: Path, rng: random.Random) -> None:
    picture = base64.b64encode(rng.randbytes(3000)).decode()
    shown = {"output_type": "display_data", "data": {"image/png": picture}, "metadata": {}}
    cells = []
    for block in truth.blocks:
        if block.kind == "code":
            code = {"execution_count": 1, "outputs": [shown]}
            cells.append({"cell_type": "code", "metadata": {}, "source": block.text.splitlines(True), **code})
        else:
            cells.append({"cell_type": "markdown", "metadata": {}, "source": _markdown_block(block)})
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"language_info": {"name": "python"}}, "cells": cells}
    path.write_text(json.dumps(book), "utf-8")


def _runs(text: str, rng: random.Random) -> list[str]:
    cuts = sorted({0, len(text), *(rng.randrange(len(text)) for _ in range(3))})
    return [text[start:end] for start, end in pairwise(cuts)]


Render = Callable[[Truth, Path, random.Random], None]
FORMATS: dict[str, tuple[str, Render]] = {  # name -> (genre of its documents, how it is written)
    "docx": ("mixed", _docx),
    "pptx": ("mixed", _pptx),
    "xlsx": ("table", _xlsx),
    "odt": ("mixed", _odt),
    "epub": ("mixed", _epub),
    "rtf": ("mixed", _rtf),
    "html": ("mixed", _html),
    "md": ("mixed", _markdown),
    "py": ("code", _code),
    "csv": ("mixed", _csv),
    "jsonl": ("mixed", _jsonl),
    "parquet": ("mixed", _parquet),
    "eml": ("mixed", _eml),
    "srt": ("prose", _srt),
    "ipynb": ("mixed", _notebook),
}


def truth_in(name: str, truth: Truth) -> Truth:
    """The part of `truth` that a file of format `name` holds."""
    if name == "xlsx":
        return Truth(truth.genre, [block for block in truth.blocks if block.rows])
    if name == "py":
        return Truth(truth.genre, [block for block in truth.blocks if block.kind == "code"][:1])
    return truth
