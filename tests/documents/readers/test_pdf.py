import io
import textwrap
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from groundup.documents import Limits, Options

PARAGRAPHS = [
    "The harbour lay quiet in the early light, and the first boats had already gone out to sea. "
    "A clerk counted the barrels on the quay, wrote 1,204 into his book, and crossed it out again "
    "(nobody knew why).",
    "Measurements were taken every 15 minutes: temperature, pressure, humidity. The results - some 3.5% "
    'above the mean - were sent to the office; "nothing unusual", said the reply.',
    "In the afternoon the wind turned. Ropes were checked, sails were reefed, and the crew waited for "
    "a signal that would not come before midnight.",
]


def write_pages(path: Path, pages: list[list[str]], head: str = "", **settings) -> None:
    """One line of text per string, 14 points apart; an empty string leaves 10 points more."""
    canvas = Canvas(str(path), pagesize=A4, **settings)
    for number, lines in enumerate(pages, 1):
        canvas.setFont("Times-Roman", 11)
        if head:
            canvas.drawString(60, 800, f"{head} {number}")
        y = 760
        for line in lines:
            if line:
                canvas.drawString(60, y, line)
            y -= 14 if line else 10
        canvas.showPage()
    canvas.save()


def wrapped(paragraphs: list[str], width: int = 80) -> list[str]:
    return [line for paragraph in paragraphs for line in [*textwrap.wrap(paragraph, width), ""]]


def test_text_and_paragraphs_are_those_of_the_source(tmp_path, read, error_rate):
    write_pages(tmp_path / "a.pdf", [wrapped(PARAGRAPHS)])
    (document,), (record,) = read(tmp_path)
    assert error_rate(document.text, "\n\n".join(PARAGRAPHS)) < 0.005
    assert [" ".join(block.split()) for block in document.text.split("\n\n")] == PARAGRAPHS
    assert (record.reader, record.status, record.pages) == ("pdf", "read", 1)
    assert document.media_type == "application/pdf" and document.pages == (0,)


def test_pages_are_at_their_offsets_without_running_heads(tmp_path, read):
    words = ["Apple", "Pear", "Plum", "Fig", "Quince"]
    pages = [[f"{word} begins this page", *wrapped(PARAGRAPHS[n % 3 :])] for n, word in enumerate(words)]
    write_pages(tmp_path / "a.pdf", pages, head="A Treatise")
    (document,), (record,) = read(tmp_path)
    assert record.pages == 5 and len(document.pages) == 5
    for number, start in enumerate(document.pages):
        assert document.text[start:].startswith(f"{words[number]} begins this page\n")
    assert "Treatise" not in document.text


def test_columns_are_read_one_after_the_other(tmp_path, read, error_rate):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    left, right = PARAGRAPHS[0], PARAGRAPHS[1]
    for x, text in ((50, left), (320, right)):
        for row, line in enumerate(textwrap.wrap(text, 42)):
            canvas.setFont("Times-Roman", 11)
            canvas.drawString(x, 760 - 14 * row, line)
    canvas.save()
    assert error_rate(read(tmp_path)[0][0].text, f"{left} {right}") < 0.005


def test_code_keeps_its_indentation(tmp_path, read):
    code = "def f(x):\n    for y in x:\n        if y:\n            return y\n    return None"
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Courier", 10)
    for row, line in enumerate(code.split("\n")):
        # Typesetters place a line's first letter; they write no blanks before it.
        canvas.drawString(60 + 6 * (len(line) - len(line.lstrip())), 760 - 12 * row, line.lstrip())
    canvas.save()
    assert read(tmp_path)[0][0].text == code + "\n"


def test_lines_of_one_character_keep_their_indentation(tmp_path, read):
    code = "void f(int x)\n{\n    while (x)\n    {\n        x--;\n    }\n}"
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Courier", 10)
    for row, line in enumerate(code.split("\n")):
        canvas.drawString(60, 760 - 12 * row, line)
    canvas.save()
    assert read(tmp_path)[0][0].text == code + "\n"


def test_code_keeps_its_blanks_and_blank_lines_and_goes_on_over_a_page_break(tmp_path, read):
    lines = ["def f(x):", "    total = 0      # so far", "    y  =  [1,   2]", "", ""]
    code = "\n".join([*lines, "    for z in x:", "        total += z", "    return total"])
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    for lines in (code.split("\n")[:5], code.split("\n")[5:]):
        canvas.setFont("Courier", 10)
        for row, line in enumerate(lines):
            canvas.drawString(60, 760 - 12 * row, line)
        canvas.showPage()
    canvas.save()
    # The blank lines that end a page cannot be seen.
    assert read(tmp_path)[0][0].text == code.replace("\n\n\n", "\n") + "\n"


def test_prose_in_a_document_of_code_keeps_its_paragraphs(tmp_path, read):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    y = 780
    for paragraph in PARAGRAPHS:
        canvas.setFont("Times-Roman", 11)
        for line in textwrap.wrap(paragraph, 80):
            canvas.drawString(60, y, line)
            y -= 17
        y -= 12
        canvas.setFont("Courier", 9)
        for line in ["for x in y:", *["    print(x)"] * 6]:
            canvas.drawString(60, y, line)
            y -= 10.5
        y -= 16
    canvas.save()
    blocks = read(tmp_path)[0][0].text.split("\n\n")
    assert [" ".join(block.split()) for block in blocks[::2]] == PARAGRAPHS


def test_an_initial_belongs_to_its_word(tmp_path, read):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Times-Roman", 34)
    canvas.drawString(60, 735, "T")
    canvas.setFont("Times-Roman", 11)
    for row, (x, line) in enumerate(
        [(82, "he harbour lay quiet in the early light,"), (82, "and boats"), (60, "left.")]
    ):
        canvas.drawString(x, 760 - 14 * row, line)
    canvas.save()
    assert read(tmp_path)[0][0].text == "The harbour lay quiet in the early light,\nand boats\nleft.\n"


def test_what_lies_beside_the_paper_is_left_out(tmp_path, read):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(700, 900))
    canvas.setCropBox((50, 50, 650, 850))
    canvas.drawString(100, 400, "The harbour lay quiet.")
    canvas.drawString(100, 20, "harbour.indd 12/03/20")
    canvas.drawString(100, -300, "left over")
    canvas.save()
    assert read(tmp_path)[0][0].text == "The harbour lay quiet.\n"


def test_leaders_and_superscripts_are_tidied(tmp_path, read):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("Times-Roman", 11)
    canvas.drawString(60, 760, "1.1 The harbour" + " ." * 40 + " 12")
    canvas.drawString(60, 730, "The area is R")
    end = 60 + canvas.stringWidth("The area is R", "Times-Roman", 11)
    canvas.setFont("Times-Roman", 7)
    canvas.drawString(end, 734, "2")
    canvas.setFont("Times-Roman", 11)
    canvas.drawString(end + 7, 730, "in square meters")
    canvas.save()
    assert read(tmp_path)[0][0].text == "1.1 The harbour ... 12\n\nThe area is R2 in square meters\n"


def scan_of(path: Path, page: int = 0) -> ImageReader:
    bitmap = pypdfium2.PdfDocument(path)[page].render(scale=200 / 72, grayscale=True).to_pil()
    return ImageReader(bitmap)


def test_scanned_pages_are_recognized_page_by_page(tmp_path, read, error_rate):
    write_pages(tmp_path / "source.pdf", [wrapped(PARAGRAPHS[:2], 70)])
    (tmp_path / "mixed").mkdir()
    canvas = Canvas(str(tmp_path / "mixed" / "a.pdf"), pagesize=A4)
    canvas.drawString(60, 760, "This page has a text layer, and it needs no recognition.")
    canvas.showPage()
    canvas.drawImage(scan_of(tmp_path / "source.pdf"), 0, 0, *A4)
    canvas.save()
    (document,), (record,) = read(tmp_path / "mixed")
    assert (record.reader, record.pages, record.status, record.reason) == ("pdf+ocr", 2, "read", "")
    first, second = document.text[: document.pages[1]], document.text[document.pages[1] :]
    assert first.strip() == "This page has a text layer, and it needs no recognition."
    assert error_rate(second, " ".join(PARAGRAPHS[:2])) < 0.02

    (document,), (record,) = read(tmp_path / "mixed", options=Options(ocr=False))
    assert document.text == first.strip() + "\n" and "scanned pages were left out: 2" in record.reason


def test_a_small_picture_does_not_make_a_scan(tmp_path, read):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.drawString(60, 760, "Title page")
    canvas.drawImage(ImageReader(Image.new("L", (50, 50))), 60, 60, 50, 50)
    canvas.save()
    (document,), (record,) = read(tmp_path)
    assert document.text == "Title page\n" and record.reader == "pdf"


def test_a_password_is_asked_for(tmp_path, read):
    write_pages(tmp_path / "a.pdf", [["secret"]], encrypt=StandardEncryption("user", "owner"))
    documents, (record,) = read(tmp_path)
    assert documents == [] and record.status == "failed" and "password" in record.reason


def test_restrictions_of_the_owner_are_reported(tmp_path, read):
    write_pages(tmp_path / "a.pdf", [["readable"]], encrypt=StandardEncryption("", "owner", canCopy=0))
    (document,), (record,) = read(tmp_path)
    assert document.text == "readable\n" and "forbids copying" in record.reason


@pytest.mark.parametrize("share", [0.02, 0.6])
def test_truncated_files_fail(tmp_path, read, share):
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    for line in wrapped(PARAGRAPHS * 20):
        canvas.drawString(60, 700, line)
        canvas.showPage()
    canvas.save()
    data = file.getvalue()
    (tmp_path / "a.pdf").write_bytes(data[: int(len(data) * share)])
    documents, (record,) = read(tmp_path)
    assert documents == [] and record.status == "failed" and "damaged" in record.reason


def test_a_page_a_kilometer_wide_is_read(tmp_path, read):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(200_000, 200_000))
    canvas.drawImage(ImageReader(Image.new("L", (50, 50), 255)), 0, 0, 200_000, 200_000)
    canvas.save()
    _, (record,) = read(tmp_path)
    assert record.status == "skipped" and record.pages == 1


def test_reading_stops_at_the_total_time_and_keeps_what_it_has(tmp_path, read):
    write_pages(tmp_path / "a.pdf", [[f"page {n}"] for n in range(20)])
    documents, (record,) = read(tmp_path, limits=Limits(total_seconds=0.0))
    assert documents == [] and "stopped after 0 of 20 pages" in record.reason
