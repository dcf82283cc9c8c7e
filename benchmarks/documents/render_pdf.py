"""Random documents as PDF with reportlab (or LibreOffice), and as 300-dpi scans of those pages."""

import random
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truth import Block, Truth

if TYPE_CHECKING:
    from PIL.Image import Image

SCAN_DPI = 300
_CID_FONTS = {"Japanese": "HeiseiMin-W3", "Chinese": "STSong-Light", "Korean": "HYSMyeongJo-Medium"}
_LATIN = (("Times-Roman", "Times-Bold"), ("Helvetica", "Helvetica-Bold"), ("DejaVuSerif", "DejaVuSerif-Bold"))
_SOFT_HYPHEN = "\u00ad"


def render_pdf(truth: Truth, path: Path, rng: random.Random) -> None:
    """`truth` as a PDF with a text layer, in a random font, size and alignment: books with running heads and page
    numbers, "columns" in two columns with hyphenated words, CJK in Adobe's CID fonts, Hebrew and Arabic in the order
    and the forms in which they are painted."""
    from reportlab.lib.pagesizes import A4, letter
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

    font, bold = rng.choice(_fonts() if truth.genre not in ("accents", "rtl") else [("DejaVuSans", "DejaVuSans-Bold")])
    size, (width, height) = rng.uniform(9, 12), rng.choice((A4, letter))
    margin = rng.uniform(50, 80)
    inner = width - 2 * margin
    if truth.genre == "columns":
        column = (inner - 20) / 2
        places = [(margin, column), (margin + column + 20, column)]
    else:
        places = [(margin, inner)]
    frames = [Frame(x, margin, wide, height - 2 * margin, 0, 0, 0, 0) for x, wide in places]
    head = truth.blocks[0].text

    def furniture(canvas: Any, document: Any) -> None:
        if truth.genre == "book":
            canvas.setFont(font, 8)
            canvas.drawString(margin, height - margin + 15, head)
            canvas.drawCentredString(width / 2, margin - 25, str(document.page))

    document = BaseDocTemplate(str(path), pagesize=(width, height), invariant=1)
    document.addPageTemplates(PageTemplate(frames=frames, onPage=furniture))
    style = _Style(font, bold, size, places[0][1], rng)
    document.build([flowable for block in truth.blocks for flowable in style.flowables(block, truth.genre)])


def has_office() -> bool:
    """Whether LibreOffice's binary is there."""
    return bool(shutil.which("soffice") or shutil.which("libreoffice"))


def office_pdf(docx: Path, folder: Path) -> Path:
    """`docx` printed to a PDF in `folder` by LibreOffice; raises CalledProcessError."""
    program = shutil.which("soffice") or shutil.which("libreoffice") or "soffice"
    command = [program, "--headless", "--convert-to", "pdf", "--outdir", str(folder), str(docx)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / (docx.stem + ".pdf")


def scans(pdf: Path, rng: random.Random) -> Iterator["Image"]:
    """The pages of `pdf` as a scanner gives them: 300 dpi, gray, turned by up to 0.6 degrees, a little blurred, with
    noise and uneven paper."""
    import numpy as np
    import pypdfium2
    from PIL import Image, ImageFilter

    noise = np.random.default_rng(rng.randrange(1 << 32))
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        image = page.render(scale=SCAN_DPI / 72, grayscale=True).to_pil().convert("L")
        image = image.rotate(rng.uniform(-0.6, 0.6), Image.Resampling.BICUBIC, fillcolor=255)
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
        pixels = np.asarray(image, np.float32) * 0.85 + 15 + noise.normal(0, rng.uniform(3, 9), image.size[::-1])
        pixels += np.linspace(0, rng.uniform(-15, 15), image.width)
        yield Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    document.close()


@cache
def _fonts() -> list[tuple[str, str]]:
    """Latin fonts by name, (regular, bold); those of matplotlib are embedded, the others every PDF program has."""
    import matplotlib
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono"):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))
    for name in _CID_FONTS.values():
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    return list(_LATIN)


class _Style:
    """How one document looks."""

    def __init__(self, font: str, bold: str, size: float, width: float, rng: random.Random) -> None:
        from reportlab.lib.enums import TA_JUSTIFY, TA_LEFT
        from reportlab.lib.styles import ParagraphStyle

        _fonts()
        self.rng, self.size, self.width, self.font = rng, size, width, font
        self.mono = rng.choice(("Courier", "DejaVuSansMono"))
        indented = rng.random() < 0.5
        body = {
            "fontName": font,
            "fontSize": size,
            "leading": size * rng.uniform(1.15, 1.5),
            "alignment": rng.choice((TA_JUSTIFY, TA_LEFT)),
            "firstLineIndent": size * 1.5 if indented else 0,
            "spaceAfter": 0 if indented else size * rng.uniform(0.5, 1),
            "embeddedHyphenation": 1,
            "uriWasteReduce": 0,
        }
        self.body = ParagraphStyle("body", **body)
        self.heading = ParagraphStyle("heading", fontName=bold, fontSize=size * 1.5, leading=size * 2, spaceAfter=size)
        self.item = ParagraphStyle("item", parent=self.body, firstLineIndent=0, leftIndent=18, bulletIndent=6)
        self.bulleted = rng.random() < 0.5
        self.grid = rng.random() < 0.5

    def flowables(self, block: Block, genre: str) -> list[Any]:
        """The block as reportlab's building stones."""
        from xml.sax.saxutils import escape

        from reportlab.lib import colors
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.platypus import Paragraph, Preformatted, Spacer, Table

        if block.kind == "heading":
            return [Paragraph(escape(block.text), self.heading)]
        if block.kind == "list":
            marks = ["•" if self.bulleted else f"{number}." for number in range(1, len(block.items) + 1)]
            pairs = zip(block.items, marks, strict=True)
            return [Paragraph(escape(text), self.item, bulletText=mark) for text, mark in pairs]
        if block.kind == "code":
            size = min(self.size, 8.5)
            style = ParagraphStyle("code", fontName=self.mono, fontSize=size, leading=size * 1.2, leftIndent=12)
            return [Spacer(1, self.size), Preformatted(block.text, style), Spacer(1, self.size)]
        if block.kind == "table":
            look: list[tuple] = [("FONT", (0, 0), (-1, -1), self.font, self.size - 1)]
            if self.grid:
                look.append(("GRID", (0, 0), (-1, -1), 0.5, colors.black))
            return [Spacer(1, self.size), Table(block.rows, style=look, hAlign="LEFT"), Spacer(1, self.size)]
        if block.language in ("Hebrew", "Arabic"):
            return _painted_lines(block.text, self.size, self.body.leading, self.width)
        if block.language in _CID_FONTS:
            wrap = None if block.language == "Korean" else "CJK"
            extra = {"fontName": _CID_FONTS[block.language], "wordWrap": wrap, "embeddedHyphenation": 0, "alignment": 0}
            return [Paragraph(block.text, ParagraphStyle("cjk", parent=self.body, **extra))]
        text = self._hyphenate(block.text) if genre in ("columns", "book") else block.text
        return [Paragraph(escape(text), self.body)]

    def _hyphenate(self, text: str) -> str:
        words = text.split(" ")
        for at, word in enumerate(words):
            if len(word) > 7 and word.isalpha():
                cut = self.rng.randint(3, len(word) - 3)
                words[at] = word[:cut] + _SOFT_HYPHEN + word[cut:]
        return " ".join(words)


def _painted_lines(text: str, size: float, leading: float, width: float) -> list[Any]:
    """Right-aligned lines from right to left, as a program without a layout engine paints them."""
    from reportlab.lib.enums import TA_RIGHT
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase.pdfmetrics import stringWidth
    from reportlab.platypus import Paragraph, Spacer

    style = ParagraphStyle("rtl", fontName="DejaVuSans", fontSize=size, leading=leading, alignment=TA_RIGHT)
    lines, line = [], ""
    for word in map(_joined, text.split(" ")):
        longer = f"{line} {word}".strip()
        if line and stringWidth(longer, "DejaVuSans", size) > width - 6:
            lines, line = [*lines, line], word
        else:
            line = longer
    return [*(Paragraph(line[::-1], style) for line in [*lines, line]), Spacer(1, size)]


def _joined(word: str) -> str:
    """An Arabic word in presentation forms, each letter as its neighbors make it; other words as they are."""
    forms = _arabic_forms()
    out = []
    for at, letter in enumerate(word):
        before = at > 0 and "initial" in forms.get(word[at - 1], {})
        after = at + 1 < len(word) and "final" in forms.get(word[at + 1], {})
        have = forms.get(letter, {})
        joins = before and "final" in have, after and "initial" in have
        name = {(1, 1): "medial", (1, 0): "final", (0, 1): "initial", (0, 0): "isolated"}[joins]
        out.append(have.get(name, letter))
    return "".join(out)


@cache
def _arabic_forms() -> dict[str, dict[str, str]]:
    forms: dict[str, dict[str, str]] = {}
    for code in range(0xFE80, 0xFEF5):
        kind, *letters = unicodedata.decomposition(chr(code)).split()
        if len(letters) == 1:
            forms.setdefault(chr(int(letters[0], 16)), {})[kind.strip("<>")] = chr(code)
    return forms
