"""What reading files gives: documents, a ledger row for every file, and the limits reading keeps to."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One text to learn from."""

    text: str
    """Newlines are "\\n"; no lone surrogates, no NUL. Nothing else is tidied here: character forms, controls
    and page furniture are the work of `groundup.corpus.texts.cleaning`, each part of which can be switched off."""
    source: str
    """The path as the user gave it, joined; archive member "a.zip!/b.txt"; record "rows.jsonl#12" (line or
    row, from 1); part of a big file "big.txt#part-2". Bytes that cannot be printed are escaped as in
    "\\xff"."""
    media_type: str
    """"application/pdf", "text/x-python", "text/plain", ..."""
    pages: tuple[int, ...] = ()
    """Offsets in `text`, in characters, at which page 1, 2, ... start; empty where there are no pages."""


def cut_long(document: Document, size: int) -> Iterator[Document]:
    """The document, or where it is longer than `size` characters, parts of it that end with paragraphs or lines: every
    later stage holds a document whole."""
    text, start, number = document.text, 0, 0
    while len(text) - start > size:
        ends = (text.rfind(mark, start + size // 2, start + size) for mark in ("\n\n", "\n", " "))
        end = next((at + 1 for at in ends if at >= 0), start + size)
        number += 1
        yield _part(document, number, start, end)
        start = end
    if start < len(text):
        yield _part(document, number + 1, start, len(text)) if number else document


def _part(document: Document, number: int, start: int, end: int) -> Document:
    pages = tuple(min(max(page - start, 0), end - start) for page in document.pages)
    return Document(document.text[start:end], f"{document.source}#part-{number}", document.media_type, pages)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One row of the ledger: what became of one input file or archive member.

    An archive has a row of its own, after its members' rows, with no documents: sums over rows count once."""

    path: str
    media_type: str
    bytes: int
    """Size of the file; for an archive member, of its content without compression."""
    pages: int
    """Pages of a PDF or images of a file that were read."""
    documents: int
    characters: int
    status: str
    """"read", "skipped" (nothing in it for us) or "failed" (there was something, and it could not be
    read)."""
    reason: str = ""
    """Empty when all went well; also says what was partly lost: "3 of 10 lines were not JSON"."""
    reader: str = ""
    """"text", "code", "pdf", "pdf+ocr", "ocr", "docx", "html", "csv", "json", "jsonl", "notebook", "zip",
    "tar"."""
    seconds: float = 0.0
    """Wall-clock time in the reader, without the time it waited for the consumer."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is taken out of a file where there is a choice; each is a setting `data.NAME`."""

    ocr: bool = True
    """Read images, and PDF pages without a text layer, by optical character recognition."""
    html: str = "main"
    """"main" is a web page's article, "all" everything that it shows."""
    text: str = ""
    """What a record of a table gives: a column's name, or a template such as "{title}\n\n{body}"; "" looks for
    a column with one of the usual names."""
    query: str = ""
    """The SQL query whose rows are read from databases; "" reads every table."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. A file that asks for more is refused or cut, says so, and costs only itself."""

    seconds: float = 60.0
    """Longest silence of the reader, in seconds: one page, one image, one batch of records. A page of OCR
    takes 1-2 s on a slow core."""
    total_seconds: float = 3600.0
    """Longest time for all pages of one file, in seconds: 2,000 scanned pages. What was read until then is
    kept."""
    html_seconds: float = 10.0
    """Longest search for the main content of a web page, in seconds; then all of its text is taken. Ordinary
    pages take 0.01 s."""
    memory_bytes: int = 4 << 30
    """Address space of one reader process, in bytes; most readers need 0.3 GB, OCR of a huge page 1.5 GB."""
    whole_bytes: int = 512 << 20
    """Largest file, in bytes, of a kind that must be held whole: HTML, JSON, DOCX, images. A scanned book
    (PDF) is read from the disk in pieces, text and JSONL are streamed."""
    text_bytes: int = 256 << 20
    """Most text, in bytes of UTF-8, out of one PDF, DOCX, HTML or JSON file; all of Wikipedia's longest
    articles are below 1 MB, the Bible has 4.4 MB. Streamed kinds (text, JSONL, CSV) have no such limit."""
    piece_bytes: int = 16_000_000
    """Size, in bytes, at which plain text is cut, at a line's end, into several documents; also the longest
    JSONL line or CSV field. Bounds the memory of every later stage."""
    image_pixels: int = 100_000_000
    """Largest image, in pixels, checked before it is decoded: A1 at 300 dpi."""
    image_frames: int = 5_000
    """Most pages of a TIFF file."""
    archive_bytes: int = 64 << 30
    """Most bytes, without compression, out of one archive with everything nested in it."""
    archive_ratio: float = 200.0
    """Largest compression ratio, looked at beyond 16 MB; text compresses 3-20 times, a bomb 1,000 times."""
    archive_members: int = 200_000
    """Most members of one archive with everything nested in it; the Linux kernel's source has 90,000."""
    archive_depth: int = 3
    """Deepest nesting of archives in archives."""
