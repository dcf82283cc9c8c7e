"""What office files have in common: a zip package of XML parts, opened with care, and blocks set as text."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote

from groundup.documents.reading import Reading, Unreadable, size_text

Block = tuple[str, str]
"""(kind, text): "paragraph", "item" (of a list, with its mark) or "table"."""
MATH = {  # element of an equation: what to write before, between and after its operands
    "f": ("(", ")/(", ")"),
    "sSup": ("", "^", ""),
    "sSub": ("", "_", ""),
    "rad": ("√(", "", ")"),
}
_ENTITIES = "its XML declares entities, which no office file does"
_TICK_EVENTS = 50_000
_FREE_BYTES = 50 << 20  # below which a high ratio is only a repetitive text


class Package:
    """The parts of a zip file, read one by one as they are asked for.

    Its methods raise Unreadable for damage, for parts protected by a password, for parts that unpack to more
    than the limits allow (zipfile gives no part more bytes than its header says) and for XML that declares
    entities; they raise KeyError for a part that is not there."""

    def __init__(self, reading: Reading, what: str) -> None:
        self._limits = reading.limits
        self._tick = reading.tick
        self._what = what
        self._spent = 0
        try:
            self._archive = zipfile.ZipFile(reading.seekable())
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise Unreadable(f"damaged {what}: {error}") from None
        self.names = frozenset(self._archive.namelist())

    def open(self, name: str) -> BinaryIO:
        """The part as a stream, its size counted against the limits."""
        info = self._archive.getinfo(name)
        self._spent += info.file_size
        if self._spent > self._limits.whole_bytes:
            raise Unreadable(f"it unpacks to more than {size_text(self._limits.whole_bytes)}")
        if info.file_size > max(_FREE_BYTES, self._limits.archive_ratio * info.compress_size):
            raise Unreadable(f"it unpacks to more than {self._limits.archive_ratio:.0f} times its size")
        if info.flag_bits & 1:
            raise Unreadable("it is protected by a password; remove it and read again")
        try:
            return self._archive.open(info)  # type: ignore[return-value]
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
            raise Unreadable(f"damaged {self._what}: {error}") from None

    def read(self, name: str) -> bytes:
        """The part's bytes."""
        with self.open(name) as part:
            try:
                data = part.read()
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
                raise Unreadable(f"damaged {self._what}: {error}") from None
        self._tick()
        return data

    def xml(self, name: str) -> Any:
        """The root element of the part, for lxml, without comments and processing instructions."""
        return parse_xml(self.read(name), self._what)

    def elements(self, name: str, wanted: str) -> Iterator[Any]:
        """The elements of the part with the local name `wanted`, one after another, each gone when the next
        is asked for: a part of any size in little memory."""
        from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

        with self.open(name) as part:
            events = etree.iterparse(
                part, ("start", "end"), resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
            )
            try:
                root = next(events)[1]
                _refuse_entities(root)
                for count, (event, element) in enumerate(events):
                    if count % _TICK_EVENTS == 0:
                        self._tick()
                    if event == "end" and local(element) == wanted:
                        yield element
                        element.clear()
                        while element.getprevious() is not None:
                            del element.getparent()[0]
            except (etree.XMLSyntaxError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
                raise Unreadable(f"damaged {self._what}: {error}") from None

    def related(self, name: str) -> dict[str, tuple[str, str]]:
        """The parts that an Office Open XML part points to: id -> (kind such as "slide", name of the part)."""
        folder, file = posixpath.split(name)
        try:
            root = self.xml(posixpath.join(folder, "_rels", f"{file}.rels"))
        except KeyError:
            return {}
        found = {}
        for link in root:
            if link.get("TargetMode") != "External" and link.get("Target"):
                found[link.get("Id", "")] = (link.get("Type", "").rpartition("/")[2], path(folder, link.get("Target")))
        return found


def path(folder: str, target: str) -> str:
    """The name of the member that `target`, written in a part of `folder`, means."""
    return posixpath.normpath(posixpath.join("/", folder, unquote(target)))[1:]


def parse_xml(data: bytes, what: str) -> Any:
    """The root element. Raises Unreadable for damage and for declarations of entities; none is ever expanded,
    and nothing is loaded from elsewhere."""
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        # a declaration is looked for below, but libxml2 gives up on entities of entities before that
        if error.code == etree.ErrorTypes.ERR_ENTITY_LOOP or "amplification" in str(error):
            raise Unreadable(_ENTITIES) from None
        raise Unreadable(f"damaged {what}: {error}") from None
    _refuse_entities(root)
    return root


def _refuse_entities(root: Any) -> None:
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and next(iter(declared.iterentities()), None) is not None:
        raise Unreadable(_ENTITIES)


def local(element: Any) -> str:
    """The name of an element without its namespace: the strict and the usual form of Office Open XML differ
    only there."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """The attribute with the local name `name`, whatever its namespace, or ""."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return ""


def numeral(number: int, form: str) -> str:
    """`number` as a list counts: by the first letter of `form` as "a", "A", "i" or "I", else in digits."""
    if not 0 < number < 1000 or form not in ("a", "A", "i", "I"):
        return str(number)
    text = ""
    if form in "aA":
        text = chr(97 + (number - 1) % 26) * ((number - 1) // 26 + 1)
    else:
        for value, letters in _ROMAN:
            text += letters * (number // value)
            number %= value
    return text if form.islower() else text.upper()


_ROMAN = (
    *((900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)


def join_blocks(blocks: Iterable[Block]) -> str:
    """The text of blocks: a blank line between them, only a newline between the items of a list."""
    parts: list[str] = []
    above = ""
    for kind, block in blocks:
        if parts:
            parts.append("\n" if kind == above == "item" else "\n\n")
        parts.append(block)
        above = kind
    return "".join(parts)


def join_cells(cells: Iterable[str]) -> str:
    """A row of a table in a text: cells with " | " between them; "" if all are blank."""
    flat = [" ".join(cell.split()) for cell in cells]
    return " | ".join(flat) if any(flat) else ""
