"""E-mail: single messages (.eml, saved web pages .mhtml) and mailboxes (mbox), with four headers and their text."""

import io
import itertools
import re
from collections import Counter
from collections.abc import Generator, Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser

from groundup.documents.document import Document
from groundup.documents.encoding import find_encoding, plain
from groundup.documents.readers.html import html_text
from groundup.documents.reading import Reading, Unreadable, size_text

_HEADERS = ("Subject", "From", "Date", "To")
_MOST_HEADER = 2000  # characters
_MOST_PARTS = 1000
_MOST_DASHES = 20_000  # lines that begin with two dashes, as the boundaries of parts do
_MOST_WORK = 100_000_000  # lines times boundaries; about 20 s
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.M)
_NAMED = re.compile(rb"name|attachment|image/", re.I)
_SEPARATOR = re.compile(rb"From .*\S (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .*\d\d?:\d\d.* \d{4}")


def read_eml(reading: Reading) -> Iterator[Document]:
    """One document: the headers Subject, From, Date and To, a line each, an empty line, and the text; plain text
    is preferred to HTML."""
    if text := _message_text(reading.whole()):
        yield Document(text, reading.source, reading.media_type)


def read_mbox(reading: Reading) -> Iterator[Document]:
    """One document for each message of a mailbox, named "box.mbox#12"; one message is held at a time."""
    number = no_text = cut = 0
    for number, (data, complete) in enumerate(_messages(reading), 1):
        cut += not complete
        try:
            text = _message_text(data)
        except (RecursionError, Unreadable):
            text = ""
        if text:
            yield Document(text, f"{reading.source}#{number}", reading.media_type)
        else:
            no_text += 1
        reading.tick()
    if no_text:
        reading.notes.append(f"{no_text} of {number} messages had no text")
    if cut:
        reading.notes.append(f"{cut} of {number} messages were cut at {size_text(reading.limits.piece_bytes)}")


def attachments(kind: str, reading: Reading) -> Generator[tuple[str, bytes], None, None]:
    """(name, content) of what is attached to a message, or to those of a mailbox ("12/plan.pdf"): of `kind` "eml" or
    "mbox". Pictures that the text shows, which are logos mostly, are left out; notes say what was left out."""
    left_out: Counter[str] = Counter()
    try:
        if kind == "eml":
            yield from _attached(reading.whole(), left_out)
            return
        for number, (data, complete) in enumerate(_messages(reading), 1):
            try:
                if complete:
                    for name, content in _attached(data, left_out):
                        yield f"{number}/{name}", content
                elif _NAMED.search(data):
                    left_out["messages were cut: what is attached to them was"] += 1
            except MemoryError:
                raise
            except Exception:  # a parser may raise anything, and a bad message costs only itself
                left_out["messages could not be parsed: what is attached to them was"] += 1
    finally:
        reading.notes += [f"{count} {what} not read" for what, count in left_out.items() if count]


def _attached(data: bytes, left_out: Counter[str]) -> Iterator[tuple[str, bytes]]:
    if _NAMED.search(data) is None:
        return
    if _has_too_many_parts(data):
        raise Unreadable("it has too many parts")
    message = BytesParser().parsebytes(data)
    parts = message.walk()
    for part in itertools.islice(parts, _MOST_PARTS):
        if part.is_multipart() or _is_body(part):
            continue
        if part.get_content_maintype() == "image" and not _is_attachment(part):
            # A page that was saved is like any other page, of which nobody expects the pictures.
            left_out["pictures inside of messages were"] += "Snapshot-Content-Location" not in message
        elif name := _file_name(part):
            try:
                content = part.get_payload(decode=True)
            except Exception:
                content = None  # uuencode raises what it likes
            if isinstance(content, bytes):
                yield name.replace("/", "_"), content
            else:
                left_out["attachments could not be decoded and were"] += 1
    left_out[f"parts of messages beyond the first {_MOST_PARTS:,} were"] += sum(
        not part.is_multipart() for part in parts
    )


def _messages(reading: Reading) -> Iterator[tuple[bytes, bool]]:
    # A message begins at a line "From sender date" at the start of the file or after an empty line.
    stream = io.BufferedReader(reading.stream, 1 << 20)  # type: ignore[arg-type]
    most = reading.limits.piece_bytes
    lines: list[bytes] = []
    held, blank, begun, line_start = 0, True, False, True
    try:
        while line := stream.readline(1 << 20):
            if line_start and blank and _SEPARATOR.match(line):
                if begun:
                    yield _QUOTED_FROM.sub(rb"\1", b"".join(lines)), held <= most
                lines, held, begun = [], 0, True
            elif begun:
                held += len(line)
                if held <= most:
                    lines.append(line)
            blank = line_start and not line.strip(b"\r\n")
            line_start = line.endswith(b"\n")
            reading.tick()
    finally:
        stream.detach()  # or it would close the file
    if begun:
        yield _QUOTED_FROM.sub(rb"\1", b"".join(lines)), held <= most


def _message_text(data: bytes) -> str:
    if _has_too_many_parts(data):
        raise Unreadable("it has too many parts")
    message = BytesParser().parsebytes(data)
    body = _body(message)
    # Headers alone are nothing to learn from.
    return plain("\n".join([*_headers(message), "", body]).strip("\n")) + "\n" if body else ""


def _has_too_many_parts(data: bytes) -> bool:
    # What the parser takes for a line grows with the number of boundaries that could match it.
    return data.count(b"\n--") > _MOST_DASHES or data.count(b"\n") * data.count(b"boundary") > _MOST_WORK


def _headers(message: Message) -> list[str]:
    values: dict[str, str] = {}
    for name, value in message.raw_items():
        values.setdefault(name.lower(), str(value)[:_MOST_HEADER])
    lines = []
    for name in _HEADERS:
        if text := " ".join(_header_text(values.get(name.lower(), "")).split()):
            lines.append(f"{name}: {text}")
    return lines


def _header_text(value: str) -> str:
    raw = b"" if value.isascii() else value.encode("utf-8", "surrogateescape")
    if raw:  # letters that are not encoded as they should be
        return _decode(raw, None)
    try:
        parts = decode_header(value)
    except (ValueError, HeaderParseError):
        return value
    return "".join(part if isinstance(part, str) else _decode(part, codec) for part, codec in parts)


def _body(message: Message) -> str:
    texts: list[str] = []
    stack = [message]
    for _ in range(_MOST_PARTS):
        if not stack:
            break
        part = stack.pop()
        kind = part.get_content_type()
        inner = _inner(part)
        if kind == "multipart/alternative" and inner:
            stack.append(_best(inner))
        elif kind == "message/rfc822" and inner:
            texts.append("\n".join(_headers(inner[0])))
            stack.append(inner[0])
        elif inner:
            stack += reversed(inner)
        elif _is_body(part):
            text = _part_text(part)
            texts.append(html_text(text, "Snapshot-Content-Location" in message) if kind == "text/html" else text)
    return "\n\n".join(stripped for text in texts if (stripped := text.strip("\r\n").rstrip()))


def _inner(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [item for item in payload if isinstance(item, Message)] if isinstance(payload, list) else []


def _best(parts: list[Message]) -> Message:
    # What says the same in several ways: plain text, unless it is a note that there is none.
    texts = [part for part in parts if part.get_content_type() == "text/plain" and _part_text(part).strip()]
    pages = [part for part in parts if part.get_content_type() == "text/html" or _inner(part)]
    return (texts or pages or parts)[0]


def _is_body(part: Message) -> bool:
    return part.get_content_type() in ("text/plain", "text/html") and not _is_attachment(part)


def _is_attachment(part: Message) -> bool:
    return str(part.get("Content-Disposition", "")).strip().lower().startswith("attachment")


def _file_name(part: Message) -> str:
    try:
        name = _header_text(part.get_filename() or "")
    except Exception:
        name = ""  # RFC 2231 has many ways to be wrong
    return " ".join(name.split())[:100] or ("unnamed" if _is_attachment(part) else "")


def _part_text(part: Message) -> str:
    try:
        data = part.get_payload(decode=True)
    except Exception:
        data = None  # uuencode raises what it likes
    return _decode(data, part.get_content_charset()) if isinstance(data, bytes) else ""


def _decode(data: bytes, codec: str | None) -> str:
    try:
        return data.decode(codec or "ascii")
    except (LookupError, UnicodeError, ValueError):
        # Not declared, or declared wrongly.
        return data.decode((find_encoding(data) or ("utf-8", 0))[0], "replace")
