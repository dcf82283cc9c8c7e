"""Render the binary documents of `examples/library` from their Markdown sources in `examples/sources`.

Usage: `python examples/make_library.py [FOLDER]`. It needs the development packages, and matplotlib for its
DejaVu fonts. Two runs on one machine give equal bytes; other versions of them may compress differently.
"""

import io
import re
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

import docx
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab import platypus as flow
from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

HERE = Path(__file__).parent
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
DATE = datetime(2026, 1, 1)
Block = tuple[str, list[str]]
SPAN = re.compile(r"`([^`]+)`|\*\*(\S[^*]*)\*\*|\*(\S[^*]*?)(?<!\s)\*")
STARTS = {"### ": "h3", "## ": "h2", "# ": "h1", "- ": "ul", "> ": "quote", "|": "table", "<!-- ": "mark"}


def blocks(path: Path) -> Iterator[Block]:
    """The blocks of a source as (kind, lines); a source keeps each paragraph and list item on one line."""
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    kind, held = "", []
    for line in lines:
        if line.startswith("```"):
            yield "code", list(iter(lambda: next(lines), "```"))
            continue
        start = next((s for s in STARTS if line.startswith(s)), "")
        new, text = STARTS.get(start, "p"), line[len(start) :]
        if number := re.match(r"\d+\. (?=\D)", line):
            new, text = "ol", line[number.end() :]
        if held and new != kind:
            yield kind, held
            held = []
        kind = new
        if not line or line == ">":
            continue
        if kind in ("ul", "ol", "table", "quote"):
            held.append(text)
        else:
            yield kind, [text.removesuffix(" -->")]
    if held:
        yield kind, held


def cells(lines: list[str]) -> list[list[str]]:
    """The cells of a table row by row, without the row of dashes under its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def spans(text: str) -> Iterator[tuple[str, str]]:
    """Runs of a line as (style, text), the style being "", "code", "bold" or "italic"."""
    end = 0
    for match in SPAN.finditer(text):
        yield "", text[end : match.start()]
        yield ("code", "bold", "italic")[(match.lastindex or 1) - 1], match[match.lastindex or 1]
        end = match.end()
    yield "", text[end:]


def markup(text: str) -> str:
    """A line in the markup of reportlab's paragraphs."""
    tags = {
        "": "%s",
        "code": '<font name="Mono" size="8.5">%s</font>',
        "bold": "<b>%s</b>",
        "italic": "<i>%s</i>",
    }
    return "".join(tags[style] % escape(run) for style, run in spans(text))


def figure() -> Drawing:
    """The residual stream of one block as a vector drawing: a line upward, two branches that add to it."""
    drawing = Drawing(420, 190)

    def label(x: float, y: float, text: str) -> None:
        drawing.add(String(x, y, text, fontName="Serif", fontSize=9, textAnchor="middle"))

    drawing.add(Line(130, 18, 130, 172, strokeWidth=2))
    label(130, 5, "from the embeddings")
    label(130, 178, "to the next block")
    for y, name in ((32, "attention"), (104, "feed-forward")):
        drawing.add(PolyLine([130, y, 220, y, 220, y + 10]))
        drawing.add(Rect(170, y + 10, 100, 32, rx=4, fillColor=colors.HexColor("#e8eef5")))
        drawing.add(PolyLine([220, y + 42, 220, y + 54, 130, y + 54], strokeColor=colors.HexColor("#2b5f9e")))
        label(220, y + 22, name)
        label(312, y + 22, "reads a copy")
        label(113, y + 51, "+")
    drawing.hAlign = "CENTER"
    return drawing


class Guide(flow.BaseDocTemplate):
    """A book page with the chapter in the running header; chapters also become PDF bookmarks."""

    chapter = ""

    def afterFlowable(self, flowable: flow.Flowable) -> None:
        if isinstance(flowable, flow.Paragraph) and flowable.style.name == "h2":
            self.chapter = flowable.getPlainText()
            self.canv.bookmarkPage(self.chapter)
            self.canv.addOutlineEntry(self.chapter, self.chapter)

    def furniture(self, canvas, _document) -> None:
        canvas.setFont("Serif", 8)
        canvas.drawString(72, A4[1] - 48, "How Language Models Learn")
        canvas.drawRightString(A4[0] - 72, A4[1] - 48, self.chapter)
        canvas.line(72, A4[1] - 53, A4[0] - 72, A4[1] - 53)
        canvas.drawCentredString(A4[0] / 2, 40, str(canvas.getPageNumber()))


def render_guide(source: Path, target: Path) -> None:
    """The guide as a text PDF with embedded fonts, one table, one figure and a part in two columns."""
    files = {"Serif": "DejaVuSerif", "Serif-Bold": "DejaVuSerif-Bold", "Serif-Italic": "DejaVuSerif-Italic"}
    for name, file in (files | {"Mono": "DejaVuSansMono"}).items():
        pdfmetrics.registerFont(TTFont(name, str(FONTS / f"{file}.ttf")))
    pdfmetrics.registerFontFamily("Serif", "Serif", "Serif-Bold", "Serif-Italic", "Serif-Bold")
    body = ParagraphStyle("p", fontName="Serif", fontSize=9.5, leading=13.4, spaceAfter=6)
    quote = ParagraphStyle("quote", body, leftIndent=18, rightIndent=18)
    code = ParagraphStyle("code", body, fontName="Mono", fontSize=8, leading=11, leftIndent=18)
    heads = {}
    for kind, size in (("h1", 22), ("h2", 14), ("h3", 11)):
        heads[kind] = ParagraphStyle(kind, body, fontName="Serif-Bold", fontSize=size, leading=size * 1.3)
        heads[kind].spaceBefore, heads[kind].keepWithNext = size, 1
    width, height = A4[0] - 144, A4[1] - 140
    columns = [flow.Frame(x, 66, (width - 18) / 2, height, 0, 0, 0, 0) for x in (72, 81 + width / 2)]
    document = Guide(str(target), pagesize=A4, invariant=1, title="How Language Models Learn", author="groundup")
    frames = {"one column": [flow.Frame(72, 66, width, height, 0, 0, 0, 0)], "two columns": columns}
    for name, areas in frames.items():
        document.addPageTemplates(flow.PageTemplate(name, areas, onPageEnd=document.furniture))
    story: list[flow.Flowable] = []
    for kind, lines in blocks(source):
        if kind == "mark" and lines[0] == "figure":
            story += [figure(), flow.Spacer(1, 8)]
        elif kind == "mark":
            story += [flow.NextPageTemplate(lines[0]), flow.PageBreak()]
        elif kind == "code":
            story += [flow.Preformatted("\n".join(lines), code)]
        elif kind == "table":
            rows = [[flow.Paragraph(markup(cell), body) for cell in row] for row in cells(lines)]
            grid = [("GRID", (0, 0), (-1, -1), 0.4, colors.grey)]
            story += [flow.Table(rows, colWidths=[170, 130, 100], style=grid), flow.Spacer(1, 8)]
        elif kind in ("ul", "ol"):
            bullets = {"bulletType": "bullet", "start": "•"} if kind == "ul" else {"bulletType": "1"}
            story += [flow.ListFlowable([flow.Paragraph(markup(line), body) for line in lines], **bullets)]
        else:
            style = heads.get(kind, quote if kind == "quote" else body)
            story += [flow.Paragraph(markup(line), style) for line in lines]
    document.build(story)


def render_docx(source: Path, target: Path) -> None:
    """A source as a Word document with heading, list and table styles."""
    document = docx.Document()
    document.core_properties.title, document.core_properties.author = "Optimizers by Hand", "groundup"
    document.core_properties.created = document.core_properties.modified = DATE
    styles = {"h1": "Title", "h2": "Heading 1", "h3": "Heading 2", "ul": "List Bullet", "ol": "List Number"}

    def fill(paragraph, text: str) -> None:
        for style, run in spans(text):
            added = paragraph.add_run(run)
            added.bold, added.italic = style == "bold" or None, style == "italic" or None
            added.font.name = "Courier New" if style == "code" else None

    for kind, lines in blocks(source):
        if kind == "table":
            rows = cells(lines)
            table = document.add_table(len(rows), len(rows[0]), style="Table Grid")
            for row, texts in zip(table.rows, rows, strict=True):
                for cell, text in zip(row.cells, texts, strict=True):
                    fill(cell.paragraphs[0], text)
        elif kind == "code":
            document.add_paragraph().add_run("\n".join(lines)).font.name = "Courier New"
        else:
            for line in lines:
                fill(document.add_paragraph(style=styles.get(kind)), line)
    buffer = io.BytesIO()
    document.save(buffer)
    # python-docx stamps every member with the present time; a fixed one makes two builds equal.
    with zipfile.ZipFile(buffer) as written, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as fixed:
        for name in written.namelist():
            fixed.writestr(zipfile.ZipInfo(name, DATE.timetuple()[:6]), written.read(name), zipfile.ZIP_DEFLATED)


def scan(page: list[Block], seed: int) -> Image.Image:
    """A letter-size page at 200 dots per inch that looks scanned: tilted, blurred, noisy, 16 grays."""
    image = Image.new("L", (1700, 2200), 255)
    draw, y = ImageDraw.Draw(image), 240.0
    for kind, lines in page:
        size = 46 if kind == "h1" else 34
        # The basic layout engine is part of Pillow; the other one depends on what the machine has installed.
        font = ImageFont.truetype(str(FONTS / "DejaVuSerif.ttf"), size, layout_engine=ImageFont.Layout.BASIC)
        line = ""
        for word in [*lines[0].split(), None]:
            if word is None or (line and draw.textlength(f"{line} {word}", font) > 1280):
                draw.text((210, y), line, fill=25, font=font)
                y, line = y + size * 1.5, ""
            line = f"{line} {word}".strip()
        y += size * 0.8
    image = image.rotate(0.4, Image.Resampling.BICUBIC, fillcolor=255).filter(ImageFilter.GaussianBlur(0.7))
    rng = np.random.default_rng(seed)
    paper = np.asarray(image, dtype=np.float64) * 0.9 + 16 + rng.normal(0, 2.5, (2200, 1700))
    return Image.fromarray(np.clip(paper / 16, 0, 15).astype(np.uint8) * 17)


def render_scans(folder: Path, target: Path) -> None:
    """One page of history as an image, and a letter of two pages as a PDF without any text in it."""
    history = scan(list(blocks(folder / "history.md")), seed=1)
    history.save(target / "history-scan.png", optimize=True, dpi=(200, 200))
    letter = list(blocks(folder / "letter.md"))
    turn = letter.index(("mark", ["page"]))
    first, second = scan(letter[:turn], seed=2), scan(letter[turn + 1 :], seed=3)
    times = {"creationDate": DATE.timetuple(), "modDate": DATE.timetuple()}
    pages = {"save_all": True, "append_images": [second], "resolution": 200, "quality": 60}
    first.save(target / "letter-scan.pdf", **pages, **times)


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "library"
    target.mkdir(parents=True, exist_ok=True)
    render_guide(HERE / "sources" / "guide.md", target / "guide.pdf")
    render_docx(HERE / "sources" / "optimizers.md", target / "optimizers.docx")
    render_scans(HERE / "sources", target)


if __name__ == "__main__":
    main()
