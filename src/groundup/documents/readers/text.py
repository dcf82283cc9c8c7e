"""Plain text, markup that is read as text, and code: decoded, and cut when it is big."""

import itertools
from collections.abc import Callable, Iterable, Iterator

from groundup.documents.document import Document
from groundup.documents.encoding import decode_pieces, find_encoding, plain, replace_surrogates
from groundup.documents.reading import Nothing, Reading


def read_text(reading: Reading) -> Iterator[Document]:
    """The text as one document, or as several cut at line ends when it is longer than limits.piece_bytes."""
    return _read(reading, plain)


def read_code(reading: Reading) -> Iterator[Document]:
    """The same with every character as it is."""
    return _read(reading, _exact)


def _read(reading: Reading, tidy: Callable[[str], str]) -> Iterator[Document]:
    chunks = reading.chunks(reading.limits.piece_bytes)
    first = next(chunks, b"")
    found = find_encoding(first)
    if not first:
        return
    if found is None:
        raise Nothing("binary")
    codec, mark = found
    pieces = _cut(decode_pieces(itertools.chain([first[mark:]], chunks), codec), reading.limits.piece_bytes)
    lost = 0
    for document in in_parts((tidy(piece) for piece in pieces), reading):
        lost += document.text.count("\ufffd")
        yield document
    if lost:
        reading.notes.append(f"{lost} characters could not be decoded ({codec})")


def decode_whole(data: bytes) -> str:
    """The text of a file that is held whole, without its byte order mark; raises Nothing for binary data."""
    found = find_encoding(data)
    if found is None:
        raise Nothing("binary")
    codec, mark = found
    return data[mark:].decode(codec, "replace")


def in_parts(pieces: Iterable[str], reading: Reading) -> Iterator[Document]:
    """One document for each of `pieces` that is not blank, named as parts when there are several."""
    ahead: str | None = None
    number = 0
    for piece in pieces:
        if not piece or piece.isspace():
            continue
        if ahead is not None:
            number += 1
            yield Document(ahead, f"{reading.source}#part-{number}", reading.media_type)
        ahead = piece
    if ahead is not None:
        yield Document(ahead, f"{reading.source}#part-{number + 1}" if number else reading.source, reading.media_type)


def _cut(texts: Iterable[str], size: int) -> Iterator[str]:
    held = ""
    for text in texts:
        if held and len(held) + len(text) > size:
            end = held.rfind("\n") + 1 or held.rfind(" ") + 1 or len(held)
            yield held[:end]
            held = held[end:]
        held += text
    yield held


def _exact(text: str) -> str:
    return replace_surrogates(text.replace("\0", ""))
