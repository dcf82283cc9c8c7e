"""PDF files: the text layer with its paragraphs and the indentation of code; pages that are scans by OCR."""

import ctypes
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers import ocr
from groundup.documents.readers.hyphens import MARKS, mend_words
from groundup.documents.readers.pages import join_pages, strip_running_heads
from groundup.documents.reading import Reading, Unreadable

_SCAN_DPI = 300
_SCAN_PIXELS = 25e6  # a page may say it is a kilometer wide
_SCAN_CHARACTERS = 32  # a page with fewer, and with an image over 30% of it, is a scan
_SCAN_SHARE = 0.3
_MOST_DAMAGED = 1_000  # pages; a few bytes may declare a million that are not there
_COPY_ALLOWED = 1 << 4  # PDF 32000-1, table 22, bit 5

_LINES = re.compile(f"(\r\n|(?<=[{MARKS}]))")
_LEADERS = re.compile(r"(?:[ \t]?[.·…]){5,}[ \t]*")
_LIGATURE = re.compile("[ﬀ-ﬆ]")
_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_PIECE = re.compile(r"\S+ ?")
_MONOSPACED = re.compile(rb"mono|courier|consol|typewriter|menlo|inconsolata|cmtt|sftt|lmtt|nimbusmon|code", re.I)
_ALONE = -1.0  # the advance of a monospaced line of one character, until it is known
_UNMAPPED = re.compile("[\ue000-\uf8ff\ufffd]")


@dataclass(slots=True)
class _Line:
    text: str
    x: float
    y: float
    end: float
    size: float
    advance: float
    """Width of a character in points if the line begins in a monospaced font, else 0."""


def read_pdf(reading: Reading) -> Iterator[Document]:
    """One document with its pages. Raises Unreadable for damaged and password-protected files.

    A file whose owner forbids copying opens without a password and is read; the notes say so."""
    import pypdfium2
    from pypdfium2 import raw

    try:
        pdf = pypdfium2.PdfDocument(reading.seekable())
    except pypdfium2.PdfiumError as error:
        if "assword" in str(error):
            raise Unreadable("it is protected by a password; remove it (qpdf --decrypt) and read again") from None
        raise Unreadable(f"damaged, or not a PDF: {error}") from None
    if raw.FPDF_GetSecurityHandlerRevision(pdf) >= 0 and not raw.FPDF_GetDocPermissions(pdf) & _COPY_ALLOWED:
        reading.notes.append("its owner forbids copying; it was read")
    pages: list[list[_Line] | str] = []
    missing: list[str] = []
    damaged: list[str] = []
    characters = 0
    for index in range(len(pdf)):
        if reading.out_of_time():
            reading.notes.append(f"stopped after {index} of {len(pdf)} pages: out of time")
            break
        try:
            page = pdf[index]
            lines = _lines(page)
            if not _is_scan(page, lines):
                pages.append(lines)
            elif not reading.options.ocr or not ocr.find_engine():
                pages.append(lines)
                missing.append(str(index + 1))
            else:
                pages.append(_recognize(page))
                reading.reader = "pdf+ocr"
            page.close()
        except pypdfium2.PdfiumError:
            pages.append("")
            damaged.append(str(index + 1))
            if len(damaged) > _MOST_DAMAGED:
                reading.notes.append(f"stopped after {index + 1} of {len(pdf)} pages: most are damaged or not there")
                break
        reading.pages += 1
        last = pages[-1]
        characters += len(last) if isinstance(last, str) else sum(len(line.text) for line in last)
        if characters > reading.limits.text_bytes:
            reading.notes.append(f"stopped after {index + 1} of {len(pdf)} pages: too much text")
            break
        reading.tick()
    pdf.close()
    if damaged:
        reading.notes.append(f"damaged pages: {_few(damaged)}")
    if missing:
        why = ocr.HOW_TO_GET if reading.options.ocr else "OCR is off"
        reading.notes.append(f"scanned pages were left out: {_few(missing)}; {why}")
    text, starts = join_pages(mend_words(strip_running_heads(_texts(pages))))
    if damaged and not text.strip():
        raise Unreadable("no page could be read")
    if text.strip():
        yield Document(text, reading.source, reading.media_type, starts)


def _lines(page: Any) -> list[_Line]:
    from pypdfium2 import raw

    text_page = page.get_textpage()
    text = text_page.get_text_range()
    x, y, end, following, unused = (ctypes.c_double() for _ in range(5))
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    lines = []
    at = 0
    for part in _LINES.split(text):
        # Positions are those of UTF-16 units, of which letters beyond the first plane take two.
        start = at
        at += len(part) if part.isascii() else len(part.encode("utf-16-le", "surrogatepass")) // 2
        if not part.strip():
            continue
        first, last = start + len(part) - len(part.lstrip()), start + len(part.rstrip()) - 1
        # The middle, because a line may begin with a superscript.
        middle = (first + last) // 2
        raw.FPDFText_GetCharBox(text_page, last, unused, end, following, following)
        raw.FPDFText_GetCharOrigin(text_page, middle, unused, y)
        raw.FPDFText_GetCharOrigin(text_page, first, x, unused)
        size = raw.FPDFText_GetFontSize(text_page, middle) or 1.0
        # Two letters, because prose may begin with a word of code.
        monospaced = True
        for letter in (first, middle):
            raw.FPDFText_GetFontInfo(text_page, letter, name, 128, flags)
            monospaced = monospaced and bool(flags.value & 1 or _MONOSPACED.search(name.value))
        line = part.strip().replace("\r", "").replace("\n", " ")
        advance = 0.0
        if monospaced and first == last:
            advance = _ALONE
        elif monospaced:
            raw.FPDFText_GetCharOrigin(text_page, first + 1, following, unused)
            advance = max(0.0, following.value - x.value)
            if advance and " " in line and len(line) == last - first + 1:
                line = _with_all_blanks(text_page, line, first, advance)
        lines.append(_Line(line, x.value, y.value, end.value, abs(size), advance))
    text_page.close()
    _lend_advance(lines)
    return _on_paper(page, lines)


def _lend_advance(lines: list[_Line]) -> None:
    """Gives a monospaced line of one character, such as "}", its neighbor's width of a character; without a
    monospaced neighbor it is a bullet or a number."""
    for index, line in enumerate(lines):
        if line.advance == _ALONE:
            near = [other.advance for other in (lines[index - 1 : index] + lines[index + 1 : index + 2])]
            line.advance = next((advance for advance in near if advance > 0), 0.0)


def _on_paper(page: Any, lines: list[_Line]) -> list[_Line]:
    """The lines that can be seen: printers' notes and leftovers lie beside the crop box."""
    left, bottom, right, top = page.get_cropbox()
    seen = [line for line in lines if line.end > left and line.x < right and bottom < line.y < top]
    return seen or lines


def _with_all_blanks(text_page: Any, line: str, first: int, advance: float) -> str:
    """A monospaced line, whose first character is number `first`, with as many blanks as are wide enough for the gaps
    in it: PDFium writes one for any number of them."""
    from pypdfium2 import raw

    x, y = ctypes.c_double(), ctypes.c_double()
    columns = []
    for at in (0, len(line) - 1):
        raw.FPDFText_GetCharOrigin(text_page, first + at, x, y)
        columns.append(x.value / advance)
    if not len(line) - 0.5 < columns[1] - columns[0] < 200:
        return line
    out = []
    for match in _PIECE.finditer(line):
        raw.FPDFText_GetCharOrigin(text_page, first + match.start(), x, y)
        out.append(" " * (round(x.value / advance - columns[0]) - sum(map(len, out))) + match[0])
    return "".join(out)


def _texts(pages: list[list[_Line] | str]) -> list[str]:
    """The text of each page; marks still stand for the hyphens of broken words."""
    leading = _leading([page for page in pages if not isinstance(page, str)])
    texts = []
    above: list[_Line] = []
    for page in pages:
        if isinstance(page, str):
            texts.append(page)
        else:
            texts.append(plain(_layout(page, leading, above)))
            above = page
    return texts


def _leading(pages: list[list[_Line]]) -> dict[bool, float]:
    """The distance of baselines within a paragraph, in font sizes, of prose (False) and of monospaced lines (True):
    the commonest of the document."""
    steps: dict[bool, Counter[float]] = {False: Counter(), True: Counter()}
    for lines in pages:
        for above, line in itertools.pairwise(lines):
            step = (above.y - line.y) / line.size
            if 0.8 < step < 2.5 and abs(above.size - line.size) < 0.1 and bool(line.advance) == bool(above.advance):
                steps[line.advance > 0][round(step * 20) / 20] += 1
    return {kind: counts.most_common(1)[0][0] if counts else 1.2 for kind, counts in steps.items()}


def _layout(lines: list[_Line], leadings: dict[bool, float], page_above: list[_Line]) -> str:
    """The text of a page: a blank line where baselines are further apart than in a paragraph or a
    first line is indented, and the indentation of monospaced lines."""
    out: list[str] = []
    block_left = 0.0
    above: _Line | None = None
    for index, line in enumerate(lines):
        size = max(line.size, above.size) if above else line.size
        gap = (above.y - line.y) / size if above else 0.0
        if above and abs(gap) < 0.6 and -0.5 < (line.x - above.end) / size < 3:
            # PDFium begins a line at a superscript and after it; both are on the line above.
            tight = (line.x - above.end) / size < 0.12 or line.text[0] in ".,;:)]"
            out.append(line.text if tight else f" {line.text}")
            base = line if line.size > above.size else above
            above = _Line(line.text, above.x, base.y, line.end, base.size, above.advance)
            continue
        if above and _is_initial(above, line):
            out.append(line.text)
            above = line
            continue
        monospaced = line.advance > 0 and (above is None or above.advance > 0)
        leading = leadings[monospaced]
        apart = above is not None and gap > 1.18 * leading
        if line.advance:
            if above is None or not above.advance or gap < 0 or gap > 3 * leading:
                block_left = _left(lines, index, page_above)
        elif above and not apart and gap > 0 and above.text[-1] in '.!?:”")' and not above.advance:
            apart = 0.8 < (line.x - above.x) / line.size < 4
        indent = " " * round((line.x - block_left) / line.advance) if line.advance and line.x > block_left else ""
        breaks = "\n\n" if apart else "\n"
        if apart and monospaced:
            breaks = "\n" * min(4, max(2, round(gap / leading)))
        out.append(breaks + indent[:200] + line.text)
        above = line
    text = "".join(out)
    if _LIGATURE.search(text):
        text = _LIGATURE.sub(lambda match: _LIGATURES[match[0]], text)
    return _LEADERS.sub(" ... ", text)


def _is_initial(above: _Line, line: _Line) -> bool:
    """Whether `above` is the large first letter of `line`'s first word."""
    return (
        len(above.text) == 1
        and above.text.isupper()
        and line.text[0].islower()
        and above.size > 1.7 * line.size
        and line.y > above.y - 0.2 * line.size
        and 0 <= line.x - above.x < 1.2 * above.size
    )


def _left(lines: list[_Line], index: int, page_above: list[_Line]) -> float:
    """The left edge of the monospaced lines from `index` on; of those that end the page above where these may go on
    from there, which is to say near the top and a whole number of characters further in."""
    first = lines[index]
    left = min(line.x for line in itertools.takewhile(lambda line: line.advance, lines[index:]))
    if index < 3:
        ending = itertools.takewhile(lambda line: line.advance, itertools.dropwhile(_is_prose, reversed(page_above)))
        before = min((line.x for line in ending), default=left)
        columns = (left - before) / first.advance
        if 0 < columns < 60 and abs(columns - round(columns)) < 0.1:
            return before
    return left


def _is_prose(line: _Line) -> bool:
    return not line.advance


def _is_scan(page: Any, lines: list[_Line]) -> bool:
    text = "".join(line.text for line in lines)
    if len(text) >= _SCAN_CHARACTERS:
        # A font without a map to Unicode gives nothing to learn from, but its letters can be seen.
        return len(_UNMAPPED.findall(text)) > 0.3 * len(text)
    from pypdfium2 import raw

    width, height = page.get_size()
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = image.get_bounds()
        inside = max(0, min(right, width) - max(left, 0)) * max(0, min(top, height) - max(bottom, 0))
        if inside > _SCAN_SHARE * width * height:
            return True
    return False


def _recognize(page: Any) -> str:
    width, height = page.get_size()
    scale = min(_SCAN_DPI / 72, (_SCAN_PIXELS / (width * height)) ** 0.5)
    image = page.render(scale=scale, grayscale=True).to_pil()
    return ocr.recognize(image, round(72 * scale))


def _few(items: list[str]) -> str:
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")
