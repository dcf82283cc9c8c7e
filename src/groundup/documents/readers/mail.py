"""E-mail: single messages (.eml, saved web pages .mhtml) and mailboxes (mbox), with four headers and their text."""

import io
import re
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from groundup.documents.document import Document
from groundup.documents.encoding import find_encoding, plain
from groundup.documents.readers.html import html_text
from groundup.documents.reading import Reading, size_text

_HEADERS = ("Subject", "From", "Date", "To")
_MOST_PARTS = 1000
_SHOWN = 10  # names of attachments in the notes
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.M)
_SEPARATOR = re.compile(rb"From .*\S (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .*\d\d?:\d\d.* \d{4}")


def read_eml(reading: Reading) -> Iterator[Document]:
    """One document: the headers Subject, From, Date and To, a line each, an empty line, and the text; plain text
    is preferred to HTML. Attachments are not read, their names are noted."""
    attachments: list[str] = []
    if text := _message_text(reading.whole(), attachments):
        yield Document(text, reading.source, reading.media_type)
    _note(attachments, reading)


def read_mbox(reading: Reading) -> Iterator[Document]:
    """One document for each message of a mailbox, named "box.mbox#12"; one message is held at a time."""
    attachments: list[str] = []
    number = no_text = cut = 0
    for number, (data, complete) in enumerate(_messages(reading), 1):
        cut += not complete
        try:
            text = _message_text(_QUOTED_FROM.sub(rb"\1", data), attachments)
        except RecursionError:
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
    _note(attachments, reading)


def _messages(reading: Reading) -> Iterator[tuple[bytes, bool]]:
    # A message begins at a line "From sender date" at the start of the file or after an empty line.
    stream = io.BufferedReader(reading.stream, 1 << 20)  # type: ignore[arg-type]
    most = reading.limits.piece_bytes
    lines: list[bytes] = []
    held, blank, begun, line_start = 0, True, False, True
    while line := stream.readline(1 << 20):
        if line_start and blank and _SEPARATOR.match(line):
            if begun:
                yield b"".join(lines), held <= most
            lines, held, begun = [], 0, True
        elif begun:
            held += len(line)
            if held <= most:
                lines.append(line)
        blank = line_start and not line.strip(b"\r\n")
        line_start = line.endswith(b"\n")
        reading.tick()
    if begun:
        yield b"".join(lines), held <= most


def _message_text(data: bytes, attachments: list[str]) -> str:
    message = BytesParser(policy=policy.default).parsebytes(data)
    body = _body(message, attachments)
    # Readers of mail need the text; headers alone are none.
    return plain("\n".join([*_headers(message), "", body]).strip("\n")) + "\n" if body else ""


def _headers(message: EmailMessage) -> list[str]:
    lines = []
    for name in _HEADERS:
        try:
            value = " ".join(str(message.get(name) or "").split())
        except Exception:
            # The parser of headers raises IndexError, AttributeError, ValueError and more for damaged ones.
            value = ""
        if value:
            lines.append(f"{name}: {value}")
    return lines


def _body(message: EmailMessage, attachments: list[str]) -> str:
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
        elif kind in ("text/plain", "text/html") and not _is_attachment(part):
            text = _decode(part)
            texts.append(html_text(text, "Snapshot-Content-Location" in message) if kind == "text/html" else text)
        elif name := _file_name(part):
            attachments.append(name)
    return "\n\n".join(stripped for text in texts if (stripped := text.strip("\r\n").rstrip()))


def _inner(part: EmailMessage) -> list[EmailMessage]:
    payload = part.get_payload()
    return [item for item in payload if isinstance(item, EmailMessage)] if isinstance(payload, list) else []


def _best(parts: list[EmailMessage]) -> EmailMessage:
    # What says the same in several ways: plain text, unless it is a note that there is none.
    texts = [part for part in parts if part.get_content_type() == "text/plain" and _decode(part).strip()]
    pages = [part for part in parts if part.get_content_type() == "text/html" or _inner(part)]
    return (texts or pages or parts)[0]


def _is_attachment(part: EmailMessage) -> bool:
    return str(part.get("Content-Disposition", "")).strip().lower().startswith("attachment")


def _file_name(part: EmailMessage) -> str:
    try:
        name = part.get_filename() or ""
    except Exception:
        name = ""
    return " ".join(str(name).split())[:100] or ("unnamed" if _is_attachment(part) else "")


def _decode(part: EmailMessage) -> str:
    try:
        data = part.get_payload(decode=True)
    except Exception:
        data = None
    if not isinstance(data, bytes):
        return ""
    for codec in (part.get_content_charset(), (find_encoding(data) or ("utf-8", 0))[0]):
        try:
            return data.decode(codec or "ascii")
        except (LookupError, UnicodeError, ValueError):
            continue
    return data.decode("utf-8", "replace")


def _note(attachments: list[str], reading: Reading) -> None:
    if attachments:
        names = ", ".join(attachments[:_SHOWN]) + (", ..." if len(attachments) > _SHOWN else "")
        count = len(attachments)
        reading.notes.append(f"{count} attachment{'s were' if count > 1 else ' was'} not read: {names}")
