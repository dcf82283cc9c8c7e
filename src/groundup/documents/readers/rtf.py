"""Rich Text Format: paragraphs, lists, tables, text boxes and footnotes, in whatever code pages their fonts have.

One pass over the file, whose state is a stack of groups: linear in the size of any file."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.readers.office import Block, join_blocks, join_cells
from groundup.documents.readers.rtf_codes import (
    CHARACTERS,
    CHARSETS,
    PASSED_OVER,
    SEEN,
    SYMBOL_CHARSET,
    SYMBOLS,
    known_codec,
)
from groundup.documents.reading import Reading, Unreadable

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\", re.S
)
_TICK_TOKENS = 100_000
_DEEPEST = 100_000


@dataclass(slots=True)
class _Flow:
    """Paragraphs that follow one another: those of the body, of a note, a text box or a list item's mark."""

    kind: str
    note: int = 0
    blocks: list[Block] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)  # of the paragraph
    cell: list[str] = field(default_factory=list)  # paragraphs
    cells: list[str] = field(default_factory=list)  # of the row
    rows: list[str] = field(default_factory=list)
    mark: str = ""  # of the list item
    boxes: list[Block] = field(default_factory=list)  # anchored in the paragraph

    def end_paragraph(self, state: "_State") -> None:
        text = "".join(self.parts).rstrip()
        if text.strip() and self.mark:
            text = self.mark + text.lstrip()
        kind = "item" if self.mark else "paragraph"
        self.parts, self.mark = [], ""
        if state.in_table:
            self.cell += [text, *(box for _, box in self.boxes)]
        else:
            self.end_table()
            if text.strip():
                self.blocks.append((kind, "  " * state.level + text if kind == "item" else text))
            self.blocks += self.boxes
        self.boxes = []

    def end_cell(self, state: "_State") -> None:
        self.end_paragraph(replace(state, in_table=True))
        self.cells.append(" ".join(self.cell))
        self.cell = []

    def end_row(self) -> None:
        if row := join_cells(self.cells):
            self.rows.append(row)
        self.cells = []

    def end_table(self) -> None:
        if self.cell:
            self.cells.append(" ".join(self.cell))
            self.cell = []
        self.end_row()
        if self.rows:
            self.blocks.append(("table", "\n".join(self.rows)))
            self.rows = []


@dataclass(frozen=True, slots=True)
class _State:
    """What a group takes from the group around it."""

    flow: _Flow
    codec: str
    """A codec, "symbol" for the font of that name, "" for fonts of pictures."""
    skipped: bool = False
    """In a destination that is not text."""
    unseen: bool = False
    """Hidden, or deleted with changes tracked."""
    fallback: int = 1
    """How many characters stand behind a letter for programs that do not know Unicode."""
    in_table: bool = False
    level: int = 0


def read_rtf(reading: Reading) -> Iterator[Document]:
    """One document: paragraphs with a blank line between them, list items as "- " or "1. " by level, table rows with
    " | " between cells, footnotes at the end; no page headers and footers, no hidden or deleted text."""
    parser = _Parser(reading.whole(), reading.tick)
    parser.run()
    if parser.cut_short:
        reading.notes.append("it is cut short; what came before was read")
    notes = "\n".join(f"[{n}] {' '.join(text.split())}" for n, text in enumerate(parser.notes, 1))
    text = join_blocks(parser.body.blocks) + ("\n\n" + notes if notes else "")
    # letters beyond the first plane are written as two halves
    text = plain(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    if text.strip():
        yield Document(text.strip("\n") + "\n", reading.source, reading.media_type)


class _Parser:
    def __init__(self, data: bytes, tick: Callable[[], None]) -> None:
        self.data, self.tick = data, tick
        self.body = _Flow("body")
        self.notes: list[str] = []
        self.cut_short = False
        self.codec = "cp1252"
        self.default_font = ""
        self.state = _State(self.body, self.codec)
        self.stack: list[_State] = []
        self.charsets: dict[str, int] = {}
        self.codecs: dict[str, str] = {}
        self.names: dict[str, bytes] = {}
        self.font = ""  # that the font table describes
        self.font_depth = 0  # of groups around the font table; 0 outside it
        self.pending = bytearray()  # a letter of two bytes may come in two tokens
        self.skip = 0  # characters that stand for the letter before them
        self.opened = self.starred = False  # a group was opened, and its destination has not been named
        self.marked = False  # the mark of the footnote that follows is written

    def run(self) -> None:
        position, count = max(0, self.data.find(b"{\\rtf")), 0
        while match := _TOKEN.match(self.data, position):
            position = match.end()
            count += 1
            if count % _TICK_TOKENS == 0:
                self.tick()
            word, number, code, symbol, brace, text = match.groups()
            if word is not None:
                if word == b"bin":
                    position += max(0, int(number or 0))
                else:
                    self.word(word.decode(), int(number) if number else None)
            elif text is not None:
                self.bytes(text)
            elif code is not None:
                self.bytes(bytes((int(code, 16),)))
            elif brace == b"{":
                self.flush()
                self.stack.append(self.state)
                if len(self.stack) > _DEEPEST:
                    raise Unreadable("nested too deeply")
                self.skip, self.opened, self.starred = 0, True, False
            elif brace:
                self.close()
                if not self.stack:
                    break  # what follows is no text of the document
            elif symbol is not None:
                self.symbol(symbol)
        self.cut_short = bool(self.stack)
        while self.stack:
            self.close()
        self.body.end_paragraph(replace(self.state, in_table=False))
        self.body.end_table()

    def close(self) -> None:
        self.flush()
        self.skip, self.opened = 0, False
        if not self.stack:
            return
        inner, self.state = self.state, self.stack.pop()
        if self.font_depth > len(self.stack):
            self.font_depth, self.font = 0, ""
            if self.default_font:
                self.state = replace(self.state, codec=self.codec_of(self.default_font))
        flow, outer = inner.flow, self.state.flow
        if flow is outer:
            return
        if flow.kind == "mark":
            mark = "".join(flow.parts).strip()
            outer.mark = f"{mark} " if any(letter.isalnum() for letter in mark) and mark != "o" else "- "
            return
        flow.end_paragraph(replace(inner, in_table=False))
        flow.end_table()
        if flow.kind == "note":
            self.notes[flow.note - 1] = " ".join(text for _, text in flow.blocks)
        else:
            outer.boxes += flow.blocks

    def symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self.starred = self.opened
            return
        self.opened = False
        if symbol in b"{}\\":
            self.bytes(symbol)
        elif symbol in b"~_":
            self.characters("\xa0" if symbol == b"~" else "-")
        elif symbol in b"\r\n":
            self.word("par", None)

    def bytes(self, data: bytes) -> None:
        self.opened = False
        if self.skip:
            skipped = min(self.skip, len(data))
            self.skip -= skipped
            data = data[skipped:]
        if self.font_depth:
            self.names[self.font] = self.names.get(self.font, b"") + data[:64]
        elif not (self.state.skipped or self.state.unseen):
            self.pending += data

    def flush(self) -> None:
        if self.pending:
            codec, parts = self.state.codec, self.state.flow.parts
            if codec == "symbol":
                parts.append("".join(SYMBOLS.get(byte, "") for byte in self.pending))
            elif codec:
                parts.append(self.pending.decode(codec, "replace"))
            self.pending.clear()

    def characters(self, text: str) -> None:
        self.flush()
        if not (self.state.skipped or self.state.unseen):
            self.state.flow.parts.append(text)

    def word(self, word: str, number: int | None) -> None:
        opened, starred = self.opened, self.starred
        self.opened = self.starred = False
        if self.skip:
            self.skip -= 1
        elif opened and self.destination(word, starred):
            return
        elif self.font_depth:
            self.font_table(word, number or 0)
        elif self.state.skipped:
            return
        elif word == "u":
            self.unicode(number or 0)
        elif word in CHARACTERS:
            self.characters(CHARACTERS[word])
        else:
            self.control(word, number)

    def destination(self, word: str, starred: bool) -> bool:
        """Whether `word` says what the group that was opened is."""
        if word == "fonttbl":
            self.state = replace(self.state, skipped=True)
            self.font_depth = len(self.stack)
        elif word == "ud" and len(self.stack) > 1:  # in Unicode what the group around it, passed over, says without
            self.state = replace(self.state, skipped=self.stack[-2].skipped)
        elif word in PASSED_OVER or word.endswith("Pr") or (starred and word not in SEEN):
            self.state = replace(self.state, skipped=True)
        elif self.state.skipped:
            return False
        elif word == "footnote":
            if not self.marked:
                self.characters(f"[{len(self.notes) + 1}]")
            self.marked = False
            self.notes.append("")
            self.state = replace(self.state, flow=_Flow("note", len(self.notes)), in_table=False, level=0)
        elif word in ("shptxt", "dptxbxtext"):
            self.state = replace(self.state, flow=_Flow("box"), in_table=False, level=0)
        elif word in ("listtext", "pntext"):
            self.state = replace(self.state, flow=_Flow("mark"))
        else:
            return False
        return True

    def font_table(self, word: str, number: int) -> None:
        if word == "f":
            self.font = str(number)
        elif word == "fcharset":
            self.charsets[self.font] = number
        elif word == "cpg":
            self.codecs[self.font] = known_codec(f"cp{number}")

    def codec_of(self, font: str) -> str:
        if codec := self.codecs.get(font):
            return codec
        charset = self.charsets.get(font, 1)
        if charset == SYMBOL_CHARSET:
            return "symbol" if self.names.get(font, b"").strip().lower().startswith(b"symbol") else ""
        if charset == 0 and not any(CHARSETS.get(other) == self.codec for other in self.charsets.values()):
            # A simple writer: Word gives the fonts of another alphabet the charset of that alphabet.
            return self.codec
        return CHARSETS.get(charset, self.codec)

    def unicode(self, number: int) -> None:
        number = number + 0x10000 if number < 0 else number
        letter = chr(number) if 0 <= number < 0x110000 else "\ufffd"
        if 0xF000 <= number <= 0xF0FF:  # a font of symbols
            letter = SYMBOLS.get(number - 0xF000, "") if self.state.codec == "symbol" else ""
        self.characters(letter)
        self.skip = self.state.fallback

    def control(self, word: str, number: int | None) -> None:
        state, flow = self.state, self.state.flow
        on = number != 0
        if word in ("par", "sect", "page", "column"):
            self.flush()
            flow.end_paragraph(state)
        elif word == "cell":
            self.flush()
            flow.end_cell(state)
        elif word == "nestcell":
            self.flush()
            flow.end_paragraph(replace(state, in_table=True))
        elif word == "row":
            flow.end_row()
        elif word == "pard":
            self.state = replace(state, in_table=False, level=0)
        elif word == "intbl":
            self.state = replace(state, in_table=on)
        elif word == "ilvl":
            self.state = replace(state, level=min(max(number or 0, 0), 8))
        elif word == "f":
            self.flush()
            self.state = replace(state, codec=self.codec_of(str(number or 0)))
        elif word in ("v", "deleted"):
            self.flush()
            self.state = replace(state, unseen=on)
        elif word == "plain":
            self.flush()
            codec = self.codec_of(self.default_font) if self.default_font else self.codec
            self.state = replace(state, unseen=False, codec=codec)
        elif word == "uc":
            self.state = replace(state, fallback=min(max(number or 0, 0), 255))
        elif word == "chftn" and flow.kind != "note":
            self.characters(f"[{len(self.notes) + 1}]")
            self.marked = True
        elif word == "deff":
            self.default_font = str(number or 0)
        elif word in _CODE_PAGES or word == "ansicpg":
            self.codec = known_codec(_CODE_PAGES.get(word, f"cp{number}")) or "cp1252"
            self.state = replace(state, codec=self.codec)


_CODE_PAGES = {"ansi": "cp1252", "mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
