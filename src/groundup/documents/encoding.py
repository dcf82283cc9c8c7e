"""Bytes to text: which encoding a file is in, decoding it as a stream, and the form every text gets."""

import codecs
import re
from collections.abc import Iterable, Iterator

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_ASCII = re.compile("[^\x00-\x7f]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_WINDOWS_MARKS = "€…‘’“”•–—™\xa0£§©®°½".encode("cp1252")
_NEVER_TEXT = bytes([*range(7), *range(14, 27), *range(28, 32)])  # bell to return and escape do occur in text


def find_encoding(head: bytes) -> tuple[str, int] | None:
    """The codec of a text that begins with `head`, and the length of its byte order mark; None for binary
    data.

    In this order: byte order mark, UTF-16 by where its zeros are, strict UTF-8, a statistical guess. UTF-8
    that is damaged in places is still UTF-8. Latin-1 is read as its superset, Windows-1252."""
    for mark, codec in _BOMS:
        if head.startswith(mark):
            return codec, len(mark)
    if b"\0" in head[: 1 << 16]:
        codec = _utf16_by_zeros(head[: 1 << 16])
        return (codec, 0) if codec else None
    if _binary_share(head) > 0.02:
        return None
    good = _valid_utf8(head)
    if good == len(head) or (good >= len(head) - 3 and len(head) >= 1 << 16):
        return "utf-8", 0
    window = head[max(0, good - 2000) : good + 60_000]
    text = window.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if sum(map(len, _NOT_ASCII.findall(text))) > 2 * damaged:
        return "utf-8", 0  # damaged here and there, but other encodings hardly ever make valid sequences
    if all(byte in _WINDOWS_MARKS for byte in window if byte > 127):
        return "cp1252", 0  # English with typographic marks, which statistics take for Hebrew
    import chardet  # takes 60 ms, and most files never need it

    guess = chardet.detect(window)["encoding"]
    if guess is None:
        return None
    codec = guess.lower()
    if codec in ("ascii", "iso-8859-1", "latin-1", "iso8859-1"):
        codec = "cp1252"
    try:
        codecs.lookup(codec)
    except LookupError:
        return None
    return codec, 0


def decode_pieces(chunks: Iterable[bytes], codec: str) -> Iterator[str]:
    """The text of each of `chunks`, with "\\n" newlines; bad bytes become U+FFFD."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    held_cr = ""
    for chunk in chunks:
        text = held_cr + decoder.decode(chunk)
        held_cr = "\r" if text.endswith("\r") else ""  # its "\n" may be the first of the next chunk
        yield newlines(text[:-1] if held_cr else text)
    if rest := held_cr + decoder.decode(b"", True):
        yield newlines(rest)


def newlines(text: str) -> str:
    """`text` with "\\r\\n" and "\\r" as "\\n"."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def replace_surrogates(text: str) -> str:
    """`text` with lone surrogates, which UTF-8 cannot hold, as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


def plain(text: str) -> str:
    """`text` as every reader gives it: "\\n" newlines, no NUL, no lone surrogates."""
    text = newlines(text)
    return replace_surrogates(text.replace("\0", "") if "\0" in text else text)


def _valid_utf8(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def _binary_share(data: bytes) -> float:
    sample = data[: 1 << 16]
    return 1 - len(sample.translate(None, _NEVER_TEXT)) / max(1, len(sample))


def _utf16_by_zeros(data: bytes) -> str | None:
    # Every other byte of ASCII-like text in UTF-16 is zero.
    even, odd = data[0::2].count(0), data[1::2].count(0)
    half = len(data) // 2
    for zeros, others, codec in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros > 0.4 * half and others < 0.05 * half:
            try:
                text = data[: half * 2].decode(codec, "strict")
            except UnicodeDecodeError:
                return None
            return codec if "\0" not in text else None
    return None
