"""Web pages: the article with its lists, tables and code blocks, without menus and footers."""

import re
from collections.abc import Iterator
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.reading import Reading

_FURNITURE = [
    *("nav", "footer", "aside:not([class*=note])", ".headerlink", ".mw-editsection"),
    *(f"[role={role}]" for role in ("navigation", "banner", "contentinfo", "search", "complementary")),
    *(f"[class*={name}]" for name in ("breadcrumb", "dropdown", "pagination", "newsletter", "catlinks", "navbox")),
]
_PERMALINK = re.compile(r"[ \t]*¶(?=[ \t]*(?:\n|$))")
_PARTING = re.compile(r"\n*\u200b\u200b\n*")
_BESIDE_LINKS = 10  # characters
_ROW_CELL = 200  # characters; a longer cell belongs to a table that lays out a page


def read_html(reading: Reading) -> Iterator[Document]:
    """One document: the article, or everything where `options.html` is "all".

    Where finding the article takes longer than limits.html_seconds (its time is not bounded by the page's
    size), the page is read again with `all_text`."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    data = reading.whole()
    page = bytes_to_str(data, detect_encoding(data, from_html_meta=True) or "utf-8")
    article = reading.options.html == "main" and not reading.all_text
    if reading.all_text:
        reading.notes.append("its main content could not be told from the rest in time; all of its text was taken")
    elif article:
        reading.expect(reading.limits.html_seconds)
    if text := html_text(page, article):
        yield Document(text, reading.source, reading.media_type)


def html_text(page: str, article: bool = False) -> str:
    """The text of an HTML page or fragment, "" or ended by one newline; `article`: without what is around it.

    The article is what stands in the page's `main` element (or its only `article`) where that is at least
    half of the page without navigation and footers; otherwise it is what resiliparse finds, or, where that is less
    than half as well, all but navigation and footers. A page without a `h1` begins with its `title`."""
    from resiliparse.parse.html import HTMLTree

    tree: Any = HTMLTree.parse(page)
    if tree.body is None:
        return ""
    title = "" if tree.document.query_selector("h1") else " ".join((tree.title or "").split())
    _set_rows_in_one_line(tree)
    _part_lists_and_tables(tree)
    text = _article(tree) if article else _text(tree)
    text = _PERMALINK.sub("", _PARTING.sub("\n\n", plain(text)).replace("\u200b", "").replace("\ufeff", "")).strip("\n")
    if not text.strip():
        return ""
    return f"{title}\n\n{text}\n" if title and not text.lstrip().startswith(title) else f"{text}\n"


def _article(tree: Any) -> str:
    for header in tree.document.query_selector_all("body > header:not(:has(h1))"):
        header.set_attribute("role", "banner")
    rest = _text(tree, _FURNITURE)
    enough = len(rest) / 2
    for selector in ("main", "[role=main]", "article"):
        found = tree.document.query_selector_all(selector)
        # Several articles are a list of them.
        if len(found) == 1 and len(text := _text_in(tree, found[0])) >= enough:
            return text
    _unlink(tree)
    _bury(tree)
    text = _text(tree, _FURNITURE, main_content=True)
    return text if len(text) >= enough and text.strip() else rest if rest.strip() else _text(tree)


def _text(tree: Any, skip: list[str] | None = None, main_content: bool = False) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(tree, preserve_formatting=True, main_content=main_content, skip_elements=skip)


def _text_in(tree: Any, element: Any) -> str:
    # The element takes the body's place for a moment: written out as HTML and parsed again, it would lose
    # the empty line at the start of a code block.
    place = tree.create_element("div")
    element.replace_with(place)
    others = list(tree.body.child_nodes)
    tree.body.replace_children(element)
    text = _text(tree, _FURNITURE)
    tree.body.replace_children(*others)
    place.replace_with(element)
    return text


def _unlink(tree: Any) -> None:
    # resiliparse takes every list with many links for a menu, but a menu has no words beside them.
    for item in tree.document.query_selector_all("li"):
        links = item.query_selector_all("a")
        if links and len(item.text_content) - sum(len(link.text_content) for link in links) > _BESIDE_LINKS:
            for link in links:
                span = tree.create_element("span")
                span.replace_children(*link.child_nodes)
                link.replace_with(span)


def _bury(tree: Any) -> None:
    # resiliparse takes every list that is less than three elements deep for a menu.
    children = list(tree.body.child_nodes)
    tree.body.replace_children(inner := tree.create_element("div"))
    for _ in range(2):
        inner.append_child(deeper := tree.create_element("div"))
        inner = deeper
    for child in children:
        inner.append_child(child)


def _part_lists_and_tables(tree: Any) -> None:
    # A list and a table beside each other would run into each other.
    for element in tree.document.query_selector_all(":is(ul, ol, dl) + table, table + :is(ul, ol, dl)"):
        element.before(paragraph := tree.create_element("p"))
        paragraph.append_child(tree.create_text_node("\u200b\u200b"))


def _set_rows_in_one_line(tree: Any) -> None:
    # Line breaks, paragraphs and lists in a cell would break its row.
    for row in tree.document.query_selector_all("tr"):
        cells = list(row.children)
        broken = [cell for cell in cells if cell.query_selector("br, p, div, li")]
        if not broken or len(cells) < 2 or row.query_selector("table, pre, [hidden]"):
            continue
        for unseen in row.query_selector_all("script, style"):
            unseen.remove()
        if any(len(cell.text_content) > _ROW_CELL for cell in cells):
            continue
        for cell in broken:
            for element in cell.query_selector_all("br, p, div, li"):
                follows = element.tag == "li" and element.previous_element_sibling is not None
                element.before(tree.create_text_node(", " if follows else " "))
            text = " ".join(cell.text_content.split()).replace(" , ", ", ")
            cell.replace_children(tree.create_text_node(text))
