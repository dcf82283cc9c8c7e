import textwrap
import zlib
from pathlib import Path

import pytest
import reportlab
from PIL import Image, ImageDraw, ImageFont

from groundup.documents import Limits, Options
from groundup.documents.readers import ocr

TEXT = (
    "The old lighthouse stood on a cliff above the bay. Every evening its keeper climbed 217 steps, "
    "lit the lamp and wrote the hour into a book. Ships passed at a distance; some of them answered with "
    "a short flash of light."
)
FONT = ImageFont.truetype(Path(reportlab.__file__).parent / "fonts" / "Vera.ttf", 46)  # 11 points at 300 dpi


def picture(text: str = TEXT, mode: str = "L", ground="white") -> Image.Image:
    lines = textwrap.wrap(text, 52)
    image = Image.new(mode, (1700, 120 + 75 * len(lines)), ground)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((100, 60 + 75 * row), line, font=FONT, fill="black")
    return image


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp"])
def test_a_page_at_300_dpi_is_read(tmp_path, read, error_rate, suffix):
    picture().save(tmp_path / f"a.{suffix}")
    (document,), (record,) = read(tmp_path)
    assert error_rate(document.text, TEXT) < 0.02
    assert (record.reader, record.pages, record.reason, document.pages) == ("ocr", 1, "", (0,))


def test_a_page_upside_down_is_read(tmp_path, read, error_rate):
    picture(TEXT * 2).rotate(180).save(tmp_path / "a.png")
    assert error_rate(read(tmp_path)[0][0].text, TEXT * 2) < 0.02


def test_the_orientation_a_camera_notes_is_obeyed(tmp_path, read, error_rate):
    image = picture()
    exif = image.getexif()
    exif[0x0112] = 8  # turn by 270 degrees
    image.rotate(-90, expand=True).save(tmp_path / "a.jpg", exif=exif)
    assert error_rate(read(tmp_path)[0][0].text, TEXT) < 0.02


def test_black_on_transparent_is_read(tmp_path, read, error_rate):
    picture(mode="RGBA", ground=(0, 0, 0, 0)).save(tmp_path / "a.png")
    assert error_rate(read(tmp_path)[0][0].text, TEXT) < 0.02


def test_every_page_of_a_tiff_is_read(tmp_path, read):
    pages = [picture(f"This is the sheet with the number {n} of the file.") for n in (1, 2, 3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    (document,), (record,) = read(tmp_path)
    assert record.pages == 3 and len(document.pages) == 3
    for number, start in enumerate(document.pages, 1):
        assert document.text[start:].startswith(f"This is the sheet with the number {number}")


def test_words_broken_at_the_line_are_joined():
    image = Image.new("L", (1700, 300), "white")
    draw = ImageDraw.Draw(image)
    draw.text((100, 60), "The keeper of the light-", font=FONT, fill="black")
    draw.text((100, 135), "house wrote into his book", font=FONT, fill="black")
    assert "lighthouse wrote" in ocr.recognize(image, 300)


def test_a_picture_without_text_is_skipped(tmp_path, read):
    Image.linear_gradient("L").resize((600, 600)).save(tmp_path / "a.png")
    documents, (record,) = read(tmp_path)
    assert documents == [] and record.status == "skipped" and "no legible text" in record.reason


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, read):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = (30_000).to_bytes(4) * 2 + b"\x01\0\0\0\0"
    pixels = zlib.compress(bytes(30_000 * 3751), 9)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    documents, (record,) = read(tmp_path)
    assert documents == [] and record.status == "failed" and "30000 x 30000" in record.reason
    assert record.seconds < 2


def test_truncated_pictures_fail(tmp_path, read):
    for suffix in ("png", "tif", "jpg"):
        picture().save(tmp_path / f"whole.{suffix}")
        data = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"whole.{suffix}").unlink()
        (tmp_path / f"cut.{suffix}").write_bytes(data[: len(data) // 2])
    documents, records = read(tmp_path)
    assert documents == [] and {record.status for record in records} == {"failed"} and len(records) == 3


def test_ocr_can_be_left_out(tmp_path, read):
    picture().save(tmp_path / "a.png")
    documents, (record,) = read(tmp_path, options=Options(ocr=False))
    assert documents == [] and (record.status, record.reason) == ("skipped", "an image, and OCR is off")


def test_frames_beyond_the_limit_are_reported(tmp_path, read):
    pages = [picture(f"Sheet {n}") for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    _, (record,) = read(tmp_path, limits=Limits(image_frames=1))
    assert record.pages == 1 and "only 1 of 3 images" in record.reason


STEPS = (
    "Wash the apples in cold water and dry them.",
    "Peel them and cut out the core.",
    "Slice the apples into thin pieces.",
    "Put the slices into a large bowl.",
    "Add the sugar and the cinnamon.",
    "Roll out the dough on a floured table.",
    "Lay the slices upon the dough.",
    "Bake the cake for forty minutes in the oven.",
)


def columns(*texts: list[str], starts=(100, 960)) -> Image.Image:
    image = Image.new("L", (1800, 120 + 75 * max(map(len, texts))), "white")
    draw = ImageDraw.Draw(image)
    for left, lines in zip(starts, texts, strict=False):
        for row, line in enumerate(lines):
            draw.text((left, 60 + 75 * row), line, font=FONT, fill="black")
    return image


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize(
    "lines",
    [
        [f"{number}. {step}" for number, step in enumerate(STEPS + STEPS, 1)],
        [f"{'QA'[number % 2]}: {step}" for number, step in enumerate(STEPS)],
        [f"Line {number}: {step}" for number, step in enumerate(STEPS, 1)],
    ],
    ids=["numbers", "questions", "lines"],
)
def test_labels_are_read_with_their_lines(lines, turned, error_rate):
    if turned and len(lines) == len(STEPS):
        lines = lines * 2  # Tesseract finds out how a page is turned from many words only
    image = columns(lines).rotate(turned, expand=True)
    assert error_rate(ocr.recognize(image, 300), "\n".join(lines)) < 0.02


def test_a_heading_does_not_part_the_labels_from_their_lines(error_rate):
    lines = ["How to bake an apple cake at home", ""] + [f"{n}. {step}" for n, step in enumerate(STEPS, 1)]
    assert error_rate(ocr.recognize(columns(lines), 300), "\n".join(lines)) < 0.02


@pytest.mark.parametrize(("width", "starts"), [(26, (100, 960)), (11, (100, 600))], ids=["equal", "narrow"])
def test_true_columns_are_read_one_after_the_other(width, starts, error_rate):
    left = textwrap.wrap(" ".join(STEPS + STEPS), width)[:14]
    right = textwrap.wrap(" ".join(STEPS[::-1] * 2), 26)[:14]
    assert error_rate(ocr.recognize(columns(left, right, starts=starts), 300), "\n".join(left + right)) < 0.02


def test_vertical_writing_in_the_margin_is_no_label_column():
    from groundup.documents.readers.ocr_columns import Block, has_label_column

    page = columns(list(STEPS), starts=(200,))
    text = Block(200, 68, 1300, 638, 0, [(200, 103 + 75 * n, 0.0) for n in range(8)], [45] * 8)
    margin = Image.new("L", (570, 40), "white")
    ImageDraw.Draw(margin).text((5, 0), "printed in Oxford", font=FONT.font_variant(size=32), fill="black")
    page.paste(margin.rotate(90, expand=True), (110, 68))
    assert not has_label_column(page, [Block(110, 68, 150, 638, 3, None, []), text])
