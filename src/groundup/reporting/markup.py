"""The few HTML elements the report page is built of; what is called text is escaped here."""

import html
from collections.abc import Iterator, Sequence
from typing import Any


def esc(value: Any) -> str:
    """Text made harmless for HTML; control characters other than line breaks and tabs become U+FFFD."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in str(value)))


def section(title: str, body: str, note: str = "") -> str:
    """A part of the page under its heading; `body` is HTML."""
    return f"<section><h2>{title}</h2>{f'<p class=note>{note}</p>' if note else ''}{body}</section>\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Cells are HTML already; columns in `numbers` are set flush right."""

    def cells(tag: str, row: Sequence[str]) -> Iterator[str]:
        for i, cell in enumerate(row):
            kind = ' class="n"' if i in numbers else ' class="long"' if tag == "td" and i == len(row) - 1 else ""
            yield f"<{tag}{kind}>{cell}</{tag}>"

    body = "".join(f"<tr>{''.join(cells('td', row))}</tr>" for row in rows)
    header = f"<thead><tr>{''.join(cells('th', head))}</tr></thead>"
    return f'<div class="scroll"><table>{header}<tbody>{body}</tbody></table></div>\n'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Labels and values, plain text, set in columns."""
    cells = "".join(f"<div><dt>{esc(label)}</dt><dd>{esc(value)}</dd></div>" for label, value in rows)
    return f'<dl class="facts">{cells}</dl>\n' if cells else ""


def sentence(text: str) -> str:
    """Plain text with a capital and a full stop, escaped."""
    return esc(text[:1].upper() + text[1:]) + ("." if text and text[-1] not in ".!?" else "")
