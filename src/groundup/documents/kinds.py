"""What a file is: by its first bytes, then by its name, then by whether it is text at all."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

HEAD_BYTES = 1 << 16

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "pdf", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image", "image/png"),
    (b"\xff\xd8\xff", "image", "image/jpeg"),
    (b"GIF87a", "image", "image/gif"),
    (b"GIF89a", "image", "image/gif"),
    (b"II*\0", "image", "image/tiff"),
    (b"MM\0*", "image", "image/tiff"),
    (b"PK\x03\x04", "zip", "application/zip"),
    (b"PK\x05\x06", "zip", "application/zip"),
    (b"\x1f\x8b", "gzip", "application/gzip"),
    (b"BZh", "bzip2", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "xz", "application/x-xz"),
)
_UNREAD: tuple[tuple[bytes, str, str], ...] = (
    (b"\x28\xb5\x2f\xfd", "application/zstd", "zstd compression is not read; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", "7z archives are not read; unpack it first"),
    (b"Rar!\x1a\x07", "application/vnd.rar", "RAR archives are not read; unpack it first"),
    (b"{\\rtf", "application/rtf", "RTF is not read; save it as DOCX or PDF"),
    (b"%!PS", "application/postscript", "PostScript is not read; convert it to PDF"),
    (b"SQLite format 3\0", "application/vnd.sqlite3", "SQLite databases are not read here"),
    (b"PAR1", "application/vnd.apache.parquet", "Parquet is not read; export it as JSONL or CSV"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BINARY_NAMES = {
    ".pdf": "a PDF",
    ".docx": "a Word document",
    ".png": "an image",
    ".jpg": "an image",
    ".jpeg": "an image",
    ".gif": "an image",
    ".tif": "an image",
    ".tiff": "an image",
    ".webp": "an image",
    ".bmp": "an image",
    ".zip": "a zip archive",
}
_TABLES = {
    ".csv": ("csv", "text/csv"),
    ".tsv": ("csv", "text/tab-separated-values"),
    ".tab": ("csv", "text/tab-separated-values"),
    ".json": ("json", "application/json"),
    ".geojson": ("json", "application/geo+json"),
    ".jsonl": ("jsonl", "application/jsonl"),
    ".ndjson": ("jsonl", "application/jsonl"),
    ".ipynb": ("notebook", "application/x-ipynb+json"),
    ".html": ("html", "text/html"),
    ".htm": ("html", "text/html"),
    ".xhtml": ("html", "application/xhtml+xml"),
}
_PROSE = {
    "markdown": "text/markdown",
    "mdx": "text/markdown",
    "quarto": "text/markdown",
    "rst": "text/x-rst",
    "tex": "text/x-tex",
    "asciidoc": "text/asciidoc",
}
_HTML = re.compile(rb"\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.I | re.S)


@dataclass(frozen=True, slots=True)
class Kind:
    """The reader for a file and its media type; reader "" means it is left alone, for `reason`."""

    reader: str
    media_type: str
    status: str = "read"
    reason: str = ""


def find_kind(head: bytes, name: str) -> Kind:
    """The kind of a file named `name` that begins with `head` (HEAD_BYTES of it, or all if it is shorter)."""
    suffix = PurePosixPath(name).suffix.lower()
    for magic, reader, media_type in _MAGIC:
        if head.startswith(magic):
            return Kind(reader, media_type)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Kind("image", "image/webp")
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and len(head) > 26:
        return Kind("image", "image/bmp")
    if head[257:262] == b"ustar" or suffix == ".tar":
        return Kind("tar", "application/x-tar")
    for magic, media_type, reason in _UNREAD:
        if head.startswith(magic):
            return Kind("", media_type, "skipped", reason)
    if head.startswith(_OLE):
        if suffix in (".docx", ".xlsx", ".pptx"):
            return Kind("", _DOCX, "failed", "it is protected by a password; remove it and read again")
        return Kind("", "application/x-ole-storage", "skipped", "old Office format; save it as DOCX or PDF")
    if suffix == ".pdf" and b"%PDF-" in head[:1024]:
        return Kind("pdf", "application/pdf")
    if suffix in (".gz", ".bz2", ".xz"):  # without its magic bytes, so it is not compressed
        return find_kind(head, name[: -len(suffix)])
    return _by_name(head, name, suffix)


def _by_name(head: bytes, name: str, suffix: str) -> Kind:
    looks_html = _HTML.match(head.removeprefix(b"\xef\xbb\xbf"), 0, 4096) is not None
    if suffix in _TABLES:
        return Kind(*_TABLES[suffix])
    if suffix in _BINARY_NAMES and not looks_html and b"\0" in head:
        return Kind("", "", "failed", f"it is named {suffix}, but is not {_BINARY_NAMES[suffix]}")
    from identify import identify

    tags = identify.tags_from_filename(PurePosixPath(name).name) - {"text", "binary"}
    for tag, media_type in _PROSE.items():
        if tag in tags:
            return Kind("text", media_type)
    tags -= {"plain-text"}  # CMakeLists.txt is also cmake
    if tags and suffix not in _BINARY_NAMES:
        return Kind("code", f"text/x-{_language(tags)}")
    if looks_html:
        return Kind("html", "text/html")
    if head.startswith(b"#!") and (program := _shebang(head)):
        return Kind("code", f"text/x-{program}")
    return Kind("text", "text/plain")


def _language(tags: set[str]) -> str:
    # A C header has the tags c, c++ and header: the shortest names a language.
    return min(tags, key=lambda tag: (len(tag), tag))


def _shebang(head: bytes) -> str:
    words = head[2:].split(b"\n", 1)[0].decode("ascii", "replace").split()
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-")]
    if not words:
        return ""
    return {"bash": "shell", "sh": "shell", "zsh": "shell", "node": "javascript"}.get(
        program := re.sub(r"[\d.]+$", "", PurePosixPath(words[0]).name), program
    )


def find_office_kind(names: list[str], media_type: str) -> Kind | None:
    """What a zip file with members `names` is, when it is an office file and not an archive."""
    if "word/document.xml" in names:
        return Kind("docx", _DOCX)
    for part, what in (("ppt/presentation.xml", "PowerPoint"), ("xl/workbook.xml", "Excel")):
        if part in names:
            return Kind("", media_type, "skipped", f"{what} files are not read; export it as PDF or CSV")
    if "META-INF/container.xml" in names:
        return Kind("", "application/epub+zip", "skipped", "EPUB is not read; convert it to HTML or PDF")
    if "content.xml" in names and "mimetype" in names:
        return Kind("", "application/vnd.oasis.opendocument", "skipped", "OpenDocument is not read; save it as DOCX")
    return None
