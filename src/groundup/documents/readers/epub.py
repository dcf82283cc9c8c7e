"""Electronic books (EPUB): the text of their chapters in reading order."""

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import find_encoding
from groundup.documents.readers.html import html_text
from groundup.documents.readers.office import Package, path
from groundup.documents.readers.pages import join_pages
from groundup.documents.reading import Reading, Unreadable

_WHAT = "EPUB"
_CHAPTERS = {"application/xhtml+xml", "text/html", "application/html", "text/x-oeb1-document"}
_DECLARED = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding=[\"']([\w.:-]{1,40})")
# XHTML may close an element where it opens it; for HTML that only opens it, and a title would swallow the page.
_CLOSED = re.compile(
    r"<((?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)[\s/])[a-zA-Z][\w:.-]*)((?:\s[^<>]*)?)/>"
)
# What stands above the window: the book's title again, or a file's name.
_TITLE = re.compile(r"<title[^<>]*>[^<]*</title>", re.I)


def read_epub(reading: Reading) -> Iterator[Document]:
    """One document with a page for each chapter of the book's spine; its table of contents is left out.

    Raises Unreadable for books whose chapters are encrypted (DRM), for zip bombs, entities and damage."""
    package = Package(reading, _WHAT)
    chapters = _spine(package)
    if encrypted := _encrypted(package) & set(chapters):
        raise Unreadable(
            f"{len(encrypted)} of its {len(chapters)} chapters are encrypted (DRM); read a copy without it"
        )
    texts: list[str] = []
    missing = characters = 0
    for name in chapters:
        try:
            page = _markup(package.read(name))
        except KeyError:
            missing += 1
            continue
        texts.append(html_text(page))
        reading.pages += 1
        reading.tick()
        characters += len(texts[-1])
        if characters > reading.limits.text_bytes:
            reading.notes.append(f"stopped after {len(texts)} of {len(chapters)} chapters: too much text")
            break
    if missing:
        reading.notes.append(f"{missing} of {len(chapters)} chapters are not in the file")
    text, starts = join_pages(texts, run_on=False)
    if text.strip():
        yield Document(text, reading.source, reading.media_type, starts)


def _spine(package: Package) -> list[str]:
    """The names of the chapters in reading order, each once."""
    try:
        root = package.xml("META-INF/container.xml")
        name = next((path("", file.get("full-path", "")) for file in root.iter("{*}rootfile")), "")
        book = package.xml(name)
    except KeyError as error:
        raise Unreadable(f"damaged {_WHAT}: {error.args[0]}") from None
    items: dict[str, Any] = {item.get("id", ""): item for item in book.iter("{*}item")}
    order = [items[ref.get("idref")] for ref in book.iter("{*}itemref") if ref.get("idref") in items]
    chapters = [
        path(posixpath.dirname(name), item.get("href", ""))
        for item in order or items.values()
        if item.get("media-type") in _CHAPTERS and "nav" not in item.get("properties", "").split()
    ]
    if not chapters:
        raise Unreadable(f"damaged {_WHAT}: it names no chapters")
    return list(dict.fromkeys(chapters))


def _encrypted(package: Package) -> set[str]:
    # Fonts may be listed here too: they are disguised in books that can be read.
    if "META-INF/encryption.xml" not in package.names:
        return set()
    references = package.xml("META-INF/encryption.xml").iter("{*}CipherReference")
    return {path("", reference.get("URI", "")) for reference in references}


def _markup(data: bytes) -> str:
    """A chapter as HTML that means what its XHTML meant."""
    declared = _DECLARED.match(data)
    codec, mark = find_encoding(data) or ("utf-8", 0)
    if declared and not mark:
        codec = declared[1].decode("ascii")
    try:
        page = data[mark:].decode(codec, "replace")
    except LookupError:
        page = data[mark:].decode("utf-8", "replace")
    first, *sections = page.split("<![CDATA[")
    for index, section in enumerate(sections):
        inside, end, after = section.partition("]]>")
        sections[index] = inside.replace("&", "&amp;").replace("<", "&lt;") + after if end else section
    return _TITLE.sub("", _CLOSED.sub(r"<\1\2></\1>", "".join([first, *sections])), count=1)
