"""PowerPoint presentations: the text of every slide with its tables, charts, diagrams and speaker's notes."""

from collections.abc import Iterator
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers.office import MATH, Block, Package, attribute, join_blocks, join_cells, local, numeral
from groundup.documents.readers.pages import join_pages
from groundup.documents.reading import Reading, Unreadable

_MAIN = "ppt/presentation.xml"
_NOT_CONTENT = {"dt", "ftr", "sldNum", "hdr"}  # placeholders that say the same on every slide
_TITLES = {"title", "ctrTitle"}
_BULLETS = {"buChar", "buAutoNum", "buBlip"}
_INDENTS = ("  ", "\t")
_LEVELS = set("012345678")
_MOST_CELLS = 10_000  # of a chart's data; beyond, it is a data set and not a slide


def read_pptx(reading: Reading) -> Iterator[Document]:
    """One document with a page for each slide, in the order of the show: its title, then its shapes in the order in
    which they lie on it, then its notes.

    List items are "- " or "1. " by level, table rows have " | " between cells, a chart is its titles and a table of
    its values. Dates, footers and slide numbers are left out. Raises Unreadable for zip bombs, entities, damage."""
    package = Package(reading, "PowerPoint file")
    try:
        links = package.related(_MAIN)
        slides = [links.get(_relation(slide), ("", ""))[1] for slide in package.xml(_MAIN).iter("{*}sldId")]
    except KeyError as error:
        raise Unreadable(f"damaged PowerPoint file: {error.args[0]}") from None
    pages: list[str] = []
    lost = characters = 0
    for name in dict.fromkeys(slides):
        try:
            page = plain(join_blocks(_Slide(package, name).blocks()))
        except (KeyError, Unreadable) as error:
            if isinstance(error, Unreadable) and "damaged" not in str(error):
                raise
            lost += 1
            page = ""
        pages.append(page)
        reading.pages += 1
        reading.tick()
        characters += len(page)
        if characters > reading.limits.text_bytes:
            reading.notes.append(f"stopped after {len(pages)} of {len(slides)} slides: too much text")
            break
    if lost:
        reading.notes.append(f"{lost} of {len(slides)} slides were damaged or missing")
        if lost == len(slides):
            raise Unreadable("no slide could be read")
    text, starts = join_pages(pages, run_on=False)
    if text.strip():
        yield Document(text, reading.source, reading.media_type, starts)


def _relation(element: Any) -> str:
    """The value of r:id, which stands beside a plain id."""
    return next((value for key, value in element.attrib.items() if key.endswith("}id")), "")


class _Slide:
    """A slide with the layout and the master that say which of its paragraphs have bullets."""

    def __init__(self, package: Package, name: str) -> None:
        self.package = package
        self.root = package.xml(name)
        self.links = package.related(name)
        self.bases: list[Any] = []
        links = self.links
        for kind in ("slideLayout", "slideMaster"):
            base = next((part for link, part in links.values() if link == kind), "")
            if base not in package.names:
                break
            self.bases.append(package.xml(base))
            links = package.related(base)

    def blocks(self) -> list[Block]:
        shapes = list(_shapes(self.root))
        titles = [shape for shape in shapes if _placeholder(shape)[0] in _TITLES]
        found: list[Block] = []
        for shape in titles + [shape for shape in shapes if shape not in titles]:
            if _placeholder(shape)[0] not in _NOT_CONTENT:
                found += self.shape(shape)
        return [*found, *self.notes()]

    def shape(self, shape: Any) -> Iterator[Block]:
        if local(shape) != "graphicFrame":
            for body in shape.iterchildren("{*}txBody"):
                yield from _paragraphs(body, self.styles(shape, body))
            return
        for table in shape.iter("{*}tbl"):
            rows = (_row(row) for row in table.iterchildren("{*}tr"))
            if text := "\n".join(filter(None, rows)):
                yield "table", text
        for element in shape.iter("{*}chart", "{*}relIds"):
            part = self.links.get(attribute(element, "dm" if local(element) == "relIds" else "id"), ("", ""))[1]
            if part in self.package.names:
                root = self.package.xml(part)
                yield from _chart(root) if local(element) == "chart" else _diagram(root)

    def notes(self) -> Iterator[Block]:
        for kind, part in self.links.values():
            if kind == "notesSlide" and part in self.package.names:
                for shape in _shapes(self.package.xml(part)):
                    if _placeholder(shape)[0] == "body":
                        for body in shape.iterchildren("{*}txBody"):
                            yield from _paragraphs(body, [])

    def styles(self, shape: Any, body: Any) -> list[Any]:
        """Where the bullets of a shape's paragraphs are said, nearest first."""
        found = list(body.iterchildren("{*}lstStyle"))
        kind, number = _placeholder(shape)
        if kind is None:
            return found
        for base in self.bases:
            for other in _shapes(base):
                other_kind, other_number = _placeholder(other)
                if other_kind is not None and (
                    other_number == number or (other_kind == kind and base is self.bases[-1])
                ):
                    found += other.iterfind("{*}txBody/{*}lstStyle")
                    kind = other_kind if kind == "obj" else kind
                    break
        style = "titleStyle" if kind in _TITLES else "bodyStyle"
        for base in self.bases[1:]:
            found += base.iterfind(f"{{*}}txStyles/{{*}}{style}")
        return found


def _shapes(root: Any) -> Iterator[Any]:
    """Shapes and graphic frames in the order in which they lie on the slide, those of groups among them."""
    for child in root:
        name = local(child)
        if name in ("sp", "graphicFrame"):
            yield child
        elif name in ("cSld", "spTree", "grpSp", "Choice", "pic", "cxnSp"):
            yield from _shapes(child)
        elif name == "AlternateContent":  # the same shape, for new programs and for old ones
            forms = {local(form): form for form in child}
            yield from _shapes(forms.get("Choice", forms.get("Fallback", [])))


def _placeholder(shape: Any) -> tuple[str | None, str]:
    """(kind, number) of a placeholder; (None, "") for other shapes."""
    mark = shape.find("{*}nvSpPr/{*}nvPr/{*}ph")
    if mark is None:
        return None, ""
    return mark.get("type", "obj"), mark.get("idx", "0")


def _paragraphs(body: Any, styles: list[Any]) -> Iterator[Block]:
    found: list[tuple[str, int, str]] = []  # text, level, bullet
    for paragraph in body.iterchildren("{*}p"):
        properties = paragraph.find("{*}pPr")
        level = properties.get("lvl", "0") if properties is not None else "0"
        level = int(level) if level in _LEVELS else 0
        found.append((_text(paragraph), level, _bullet(properties, styles, level)))
    full = [(text, bullet) for text, _, bullet in found if text.strip()]
    indented = sum(text.startswith(_INDENTS) for text, _ in full[1:])
    if indented and (indented > 1 or 3 * indented >= len(full)) and not any(bullet for _, bullet in full):
        # Spaces that were typed are code, or verse.
        yield "paragraph", "\n".join(text for text, _, _ in found).strip("\n\v")
        return
    counts: dict[int, int] = {}
    for line, level, bullet in found:
        text = line.strip("\n\v")
        if not text.strip():
            continue
        for deeper in [key for key in counts if key > level]:
            del counts[deeper]
        if not bullet:
            counts.pop(level, None)
            yield "paragraph", text
            continue
        counts[level] = counts.get(level, 0) + 1
        mark = f"{numeral(counts[level], _numerals(bullet))}. " if bullet != "-" else "- "
        yield "item", "  " * level + mark + text.lstrip()


def _bullet(properties: Any, styles: list[Any], level: int) -> str:
    """ "-", a scheme of numbers such as "alphaLcPeriod", or "" for a paragraph that is no item."""
    for place in [properties, *(style.find(f"{{*}}lvl{level + 1}pPr") for style in styles)]:
        for child in place if place is not None else ():
            if local(child) == "buNone":
                return ""
            if local(child) in _BULLETS:
                return child.get("type", "arabic") if local(child) == "buAutoNum" else "-"
    return ""


def _numerals(scheme: str) -> str:
    letter = {"alpha": "a", "roman": "i"}.get(scheme[:5], "")
    return letter.upper() if scheme[5:7] == "Uc" else letter


def _row(row: Any) -> str:
    cells = []
    for cell in row.iterchildren("{*}tc"):
        spanned = attribute(cell, "hMerge") in ("1", "true") or attribute(cell, "vMerge") in ("1", "true")
        cells.append("" if spanned else " ".join(_text(paragraph) for paragraph in cell.iterfind("{*}txBody/{*}p")))
    return join_cells(cells)


def _text(element: Any) -> str:
    parts: list[str] = []
    for child in element:
        name = local(child)
        if name == "t":
            parts.append(child.text or "")
        elif name == "br":
            parts.append("\n")
        elif name == "fld" and child.get("type", "").startswith(("slidenum", "datetime")):
            continue
        elif name in MATH:
            operands = [_text(part) for part in child if not local(part).endswith("Pr")]
            before, between, after = MATH[name]
            parts.append(before + between.join(operands) + after)
        elif name not in ("pPr", "rPr", "endParaRPr", "Fallback"):
            parts.append(_text(child))
    return "".join(parts)


def _diagram(root: Any) -> Iterator[Block]:
    for point in root.iter("{*}pt"):
        if text := "\n".join(filter(str.strip, (_text(paragraph) for paragraph in point.iterfind("{*}t/{*}p")))):
            yield "paragraph", text


def _chart(root: Any) -> Iterator[Block]:
    for title in root.iter("{*}title"):
        if text := " ".join(filter(None, (_text(paragraph).strip() for paragraph in title.iter("{*}p")))):
            yield "paragraph", text
    names: list[str] = [""]
    rows: dict[str, dict[int, str]] = {}
    labels: dict[str, str] = {}
    cells = 0
    for number, series in enumerate(root.iter("{*}ser"), 1):
        names.append(" ".join(value.text or "" for value in series.iterfind("{*}tx//{*}v")))
        for tag, index, text in _points(series):
            cells += 1
            if cells > _MOST_CELLS:
                return
            if tag == "label":
                labels.setdefault(index, text)
            else:
                rows.setdefault(index, {})[number] = text
    table = [join_cells(names) if len(names) > 1 else ""]
    table += [
        join_cells([labels.get(index, ""), *(row.get(n, "") for n in range(1, len(names)))])
        for index, row in rows.items()
    ]
    if text := "\n".join(filter(None, table)):
        yield "table", text


def _points(series: Any) -> Iterator[tuple[str, str, str]]:
    for tags, what in ((("cat", "xVal"), "label"), (("val", "yVal"), "value")):
        for tag in tags:
            for point in series.iterfind(f"{{*}}{tag}//{{*}}pt"):
                value = point.find("{*}v")
                if value is not None and value.text:
                    yield what, point.get("idx", ""), value.text
