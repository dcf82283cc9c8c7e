"""XML: the items of news feeds, the text of documents; files that are mostly markup stay markup, as code does."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers.html import html_text
from groundup.documents.readers.text import decode_whole, read_code
from groundup.documents.reading import Reading, Unreadable

_PROSE_SHARE = 0.5  # of the characters that are no blanks; project files, settings and pictures have 0.05 to 0.4
_MARKUP = "text/x-xml"  # a media type of code, of which every character is kept
_MOST = 64 << 20  # bytes; the tree of an XML file takes ten times its size
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)[^>]*\?>")
_TAGS = re.compile(r"<[a-zA-Z/!][^>]*>|&(?:#\d+|\w+);")
_EXACT = {"programlisting", "screen", "literallayout", "pre", "preformat", "verbatim", "eg", "code-block"}


def read_feed(reading: Reading) -> Iterator[Document]:
    """One document for each item of an RSS or Atom feed: its title and its longest text, as "feed.xml#3"."""
    data = reading.whole()
    root = _parse(data)
    if isinstance(root, str):
        raise Unreadable(f"a feed that is not XML: {root}")
    number = no_text = 0
    for item in root.iter():
        if _name(item) not in ("item", "entry"):
            continue
        number += 1
        title, texts = "", [""]
        for field in item:
            name = _name(field)
            if name == "title":
                title = " ".join(_field(field).split())
            elif name in ("encoded", "content", "description", "summary"):
                texts.append(_field(field))
        text = max(texts, key=len).strip("\n")
        if text := plain("\n\n".join(part for part in (title, text) if part.strip())):
            yield Document(text + "\n", f"{reading.source}#{number}", reading.media_type)
        else:
            no_text += 1
        reading.tick()
    if no_text:
        reading.notes.append(f"{no_text} of {number} items had no text")


def read_xml(reading: Reading) -> Iterator[Document]:
    """The text of an XML document, a line for each paragraph; where most of the file is markup, the markup."""
    stream = reading.stream = reading.seekable()
    data = stream.read(_MOST + 1)
    if len(data) > _MOST:
        stream.seek(0)
        reading.media_type = _MARKUP
        yield from read_code(reading)
        return
    root, markup = _parse(data), decode_whole(data)
    text = ""
    if isinstance(root, str):
        reading.notes.append(f"read as markup: {root}")
    else:
        text = plain(_prose(root))
    if _letters(text) >= _PROSE_SHARE * _letters(markup) > 0:
        yield Document(text, reading.source, reading.media_type)
    elif markup.strip():
        yield Document(plain(markup), reading.source, _MARKUP)


def _parse(data: bytes) -> Any:
    """The root element, or why there is none. Entities are refused, whatever they would expand to."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    declared = _DECLARED.match(data)
    if declared and not declared[1].lower().startswith((b"utf", b"us-ascii", b"iso-8859-1")):
        # expat knows no other encodings of several bytes.
        with contextlib.suppress(LookupError):
            data = data[declared.end() :].decode(declared[1].decode(), "replace").encode()
    try:
        return fromstring(data)
    except DefusedXmlException:
        return "it declares entities, which are not expanded"
    except (ParseError, ValueError, LookupError) as error:
        return f"it is damaged ({error})"


def _field(element: Any) -> str:
    from xml.etree.ElementTree import tostring

    if len(element):  # Atom's type="xhtml"
        return html_text(re.sub(r"(</?)\w+:", r"\1", tostring(element, encoding="unicode", method="html")))
    text = element.text or ""
    return html_text(text) if _TAGS.search(text) and element.get("type", "html") != "text" else text.strip()


def _prose(root: Any) -> str:
    # An element that stands between words is part of their line; any other has a line of its own.
    parts = [""]
    stack: list[tuple[Any, bool, bool]] = [(root, False, False)]
    while stack:
        item, inline, exact = stack.pop()
        if isinstance(item, str):
            if not exact and item != "\n":
                item = re.sub(r"\s+", " ", item)
                item = item.lstrip() if parts[-1].endswith("\n") else item
            parts += [item] if item else []
            continue
        exact = exact or _name(item) in _EXACT
        text = item.text or "" if _name(item) else ""  # comments and instructions have none for the reader
        mixed = exact or bool(text.strip()) or any((child.tail or "").strip() for child in item)
        around = [] if inline else [("\n", False, exact)]
        stack += around
        for child in reversed(item):
            stack += [(child.tail or "", True, exact), (child, True, exact)] if mixed else [(child, False, exact)]
        stack += [(text, True, exact)] if mixed else []
        stack += around
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", "".join(parts))).strip("\n") + "\n"


def _letters(text: str) -> int:
    return len(text) - sum(map(text.count, " \t\n"))


def _name(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
