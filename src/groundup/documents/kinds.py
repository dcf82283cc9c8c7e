"""What a file is: by its first bytes, then by its name, then by whether it is text at all."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

HEAD_BYTES = 1 << 16

_OFFICE = "application/vnd.openxmlformats-officedocument."
_DOCX = _OFFICE + "wordprocessingml.document"
_PPTX = _OFFICE + "presentationml.presentation"
_XLSX = _OFFICE + "spreadsheetml.sheet"
_OPENDOCUMENT = "application/vnd.oasis.opendocument."
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
    (b"\x28\xb5\x2f\xfd", "zstd", "application/zstd"),
    (b"PAR1", "parquet", "application/vnd.apache.parquet"),
    (b"SQLite format 3\0", "sqlite", "application/vnd.sqlite3"),
    (b"{\\rtf", "rtf", "application/rtf"),
)
_UNREAD: tuple[tuple[bytes, str, str], ...] = (
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", "7z archives are not read; unpack it first"),
    (b"Rar!\x1a\x07", "application/vnd.rar", "RAR archives are not read; unpack it first"),
    (b"%!PS", "application/postscript", "PostScript is not read; convert it to PDF"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLD_OFFICE = {
    ".doc": "old Word format; save it as DOCX or PDF",
    ".xls": "old Excel format; save it as XLSX or CSV",
    ".ppt": "old PowerPoint format; save it as PPTX or PDF",
}
_NEW_OFFICE = {".docx": _DOCX, ".xlsx": _XLSX, ".pptx": _PPTX}
_BINARY_NAMES = {
    ".pdf": "a PDF",
    ".docx": "a Word document",
    ".doc": "a Word document",
    ".pptx": "a PowerPoint file",
    ".ppt": "a PowerPoint file",
    ".xlsx": "an Excel workbook",
    ".xls": "an Excel workbook",
    ".odt": "an OpenDocument file",
    ".ods": "an OpenDocument file",
    ".odp": "an OpenDocument file",
    ".epub": "an EPUB",
    ".rtf": "Rich Text Format",
    ".png": "an image",
    ".jpg": "an image",
    ".jpeg": "an image",
    ".gif": "an image",
    ".tif": "an image",
    ".tiff": "an image",
    ".webp": "an image",
    ".bmp": "an image",
    ".zip": "a zip archive",
    ".parquet": "a Parquet file",
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
    ".xml": ("xml", "application/xml"),
    ".vtt": ("subtitles", "text/vtt"),
    ".srt": ("subtitles", "application/x-subrip"),
    ".sbv": ("subtitles", "text/x-sbv"),
    ".ass": ("subtitles", "text/x-ssa"),
    ".ssa": ("subtitles", "text/x-ssa"),
}
_PROSE = {
    "markdown": "text/markdown",
    "mdx": "text/markdown",
    "quarto": "text/markdown",
    "rst": "text/x-rst",
    "tex": "text/x-tex",
    "asciidoc": "text/asciidoc",
}
_CODE = {  # what identify does not know
    "ada": (".ada", ".adb", ".ads"),
    "awk": (".awk",),
    "cobol": (".cob", ".cbl", ".cpy"),
    "config": (".conf", ".cfg", ".lock"),
    "d": (".d", ".di"),
    "dhall": (".dhall",),
    "elisp": (".el",),
    "fortran": (".f", ".for", ".f77", ".f08"),
    "glsl": (".glsl", ".vert", ".frag", ".comp", ".geom"),
    "lisp": (".lisp", ".lsp"),
    "opencl": (".cl",),
    "prolog": (".pro",),
    "racket": (".rkt",),
    "sed": (".sed",),
    "tcl": (".tcl",),
    "template": (".tmpl", ".tpl"),
    "vhdl": (".vhdl",),
    "wgsl": (".wgsl",),
}
_LANGUAGES = {suffix: language for language, suffixes in _CODE.items() for suffix in suffixes}
# Atomic groups: comments without end must not be tried in every combination.
_HTML = re.compile(rb"(?>\s*(?:<\?xml[^>]*>|<!--.*?-->))*+\s*<(?:!doctype\s+html|html[\s>])", re.I | re.S)


_FEED = re.compile(
    rb"(?>\s*(?:<\?[^>]*>|<!--.*?-->|<!(?!--)[^>\[]*(?:\[[^\]]*\]\s*)?>))*+"
    rb"\s*<(?:rss[\s>]|(feed)\s[^>]*/Atom|rdf:RDF\s[^>]*/rss/)",
    re.S,
)
_FLAT_OPENDOCUMENT = re.compile(
    rb"\s*<\?xml[^>]{0,200}>\s*<office:document\s[^>]{0,20000}office:mimetype=\"(application/vnd\.oasis\.[\w.-]{1,60})\""
)
_SUBTITLES = (
    (re.compile(rb"WEBVTT[\s\n]"), "text/vtt"),
    (re.compile(rb"\s*\d+\s*\n\d\d:\d\d:\d\d[,.]\d{3} --> "), "application/x-subrip"),
    (re.compile(rb"\[Script Info\]"), "text/x-ssa"),
)
_ZSTD_SKIPPED = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_HEADER = re.compile(rb"([A-Za-z][A-Za-z0-9-]*):(?:[ \t].*)?\r?$|[ \t]+\S.*$")
_MBOX = re.compile(rb"From \S+ .*\d{4}\r?\n[A-Za-z-]+: ")


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
        if suffix in _NEW_OFFICE or "EncryptedPackage".encode("utf-16-le") in head:
            media_type = _NEW_OFFICE.get(suffix, "application/x-ole-storage")
            return Kind("", media_type, "failed", "it is protected by a password; remove it and read again")
        reason = _OLD_OFFICE.get(suffix, "old Office format; save it as DOCX or PDF")
        return Kind("", "application/x-ole-storage", "skipped", reason)
    if flat := _FLAT_OPENDOCUMENT.match(head):
        return Kind("opendocument", flat[1].decode("ascii", "replace"))
    if suffix == ".pdf" and b"%PDF-" in head[:1024]:
        return Kind("pdf", "application/pdf")
    if suffix in (".zst", ".zstd") and _ZSTD_SKIPPED.match(head):
        return Kind("zstd", "application/zstd")
    if suffix in (".gz", ".bz2", ".xz", ".zst", ".zstd"):  # without its magic bytes, so it is not compressed
        return find_kind(head, name[: -len(suffix)])
    return _by_name(head, name, suffix)


def _by_name(head: bytes, name: str, suffix: str) -> Kind:
    looks_html = _HTML.match(head.removeprefix(b"\xef\xbb\xbf"), 0, 4096) is not None
    if kind := _by_text(head.removeprefix(b"\xef\xbb\xbf"), suffix):
        return kind
    if suffix == ".xml" and looks_html:
        return Kind("html", "text/html")
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
    if suffix in _LANGUAGES:
        return Kind("code", f"text/x-{_LANGUAGES[suffix]}")
    if looks_html:
        return Kind("html", "text/html")
    if head.startswith(b"#!") and (program := _shebang(head)):
        return Kind("code", f"text/x-{program}")
    return Kind("text", "text/plain")


def _by_text(head: bytes, suffix: str) -> Kind | None:
    if feed := _FEED.match(head, 0, 4096):
        return Kind("feed", "application/atom+xml" if feed[1] else "application/rss+xml")
    for pattern, media_type in _SUBTITLES:
        if pattern.match(head):
            return Kind("subtitles", media_type)
    if suffix not in (".patch", ".diff"):  # git writes its patches as mail
        if _MBOX.match(head):
            return Kind("mbox", "application/mbox")
        if _is_mail(head, suffix):
            return Kind("eml", "message/rfc822")
    return None


def _is_mail(head: bytes, suffix: str) -> bool:
    # Nothing but headers up to an empty line; where the name does not say mail, a sender and a header that
    # only machines write.
    names = set()
    for line in head.split(b"\n"):
        if not line.strip():
            break
        if not (found := _HEADER.match(line)):
            return False
        names.add((found[1] or b"").lower())
    if suffix in (".eml", ".mht", ".mhtml"):
        return bool(names & {b"from", b"subject", b"to", b"date"})
    return b"from" in names and bool(names & {b"message-id", b"received", b"mime-version", b"return-path"})


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


def find_office_kind(names: list[str], mimetype: str) -> Kind | None:
    """What a zip file with members `names`, the one named "mimetype" with the text `mimetype`, is, when it is an
    office file or a book and not an archive."""
    if any(name in names for name in ("word/document.xml", "word/document2.xml")):
        return Kind("docx", _DOCX)
    if "ppt/presentation.xml" in names:
        return Kind("pptx", _PPTX)
    if "xl/workbook.xml" in names:
        return Kind("xlsx", _XLSX)
    if "META-INF/container.xml" in names:
        return Kind("epub", "application/epub+zip")
    if "content.xml" in names and ("META-INF/manifest.xml" in names or mimetype.startswith(_OPENDOCUMENT)):
        return Kind("opendocument", mimetype if mimetype.startswith(_OPENDOCUMENT) else f"{_OPENDOCUMENT}text")
    if "xl/workbook.bin" in names:
        return Kind("", f"{_XLSX}.binary", "skipped", "binary Excel format; save it as XLSX or CSV")
    if "Index/Document.iwa" in names or "Index.zip" in names:
        return Kind("", "application/x-iwork", "skipped", "Apple's format; export it as DOCX, XLSX, PPTX or PDF")
    return None
