"""Web pages: their main content with its line breaks and code blocks, without menus and footers."""

import re
from collections.abc import Iterator

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.reading import Reading

_PERMALINK = re.compile(r"[ \t]*¶(?=[ \t]*(?:\n|$))")
_BLANK_END = re.compile(r"[ \t\u200b\ufeff]+$", re.M)


def read_html(reading: Reading) -> Iterator[Document]:
    """One document. Where finding the main content takes longer than limits.html_seconds (its time is not
    bounded by the page's size), the page is read again with `all_text`."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    data = reading.whole()
    tree = HTMLTree.parse_from_bytes(data, detect_encoding(data, from_html_meta=True) or "utf-8")
    text = ""
    if reading.all_text:
        reading.notes.append("its main content could not be told from the rest in time; all of its text was taken")
    else:
        reading.expect(reading.limits.html_seconds)
        text = extract_plain_text(tree, main_content=True, preserve_formatting=True)
    if not text.strip():
        text = extract_plain_text(tree, main_content=False, preserve_formatting=True)
    text = _BLANK_END.sub("", _PERMALINK.sub("", plain(text)))
    if text.strip():
        yield Document(text.strip("\n") + "\n", reading.source, reading.media_type)
