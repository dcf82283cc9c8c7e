"""One file or archive member while it is read: its bytes, its limits, and what there is to say about it."""

import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from groundup.documents.document import Limits, Options

_CHUNK = 1 << 20


class Unreadable(Exception):
    """The file holds something that cannot be read: status "failed", with this message as the reason."""


class Nothing(Exception):
    """There is nothing in the file for us: status "skipped", with this message as the reason."""


@dataclass(slots=True)
class Reading:
    """What a reader is given, and where it leaves its notes."""

    source: str
    """The name that documents carry."""
    media_type: str
    stream: BinaryIO
    """The content from its first byte; only a file on disk can seek."""
    size: int
    """Bytes, or -1 where it is known only at the end (compressed files)."""
    limits: Limits
    options: Options = Options()  # noqa: RUF009 (it is frozen)
    piece: tuple[str, int, int] | None = None
    """The file's name, and the first byte and the end of the records that are wanted; None for all of them."""
    all_text: bool = False
    """A web page's main content could not be found in time; take all of its text."""
    tick: Callable[[], None] = lambda: None
    """Called after each page or batch: the reader is alive."""
    expect: Callable[[float], None] = lambda seconds: None
    """Called before a step that has its own limit of time, in seconds, and a second way if it takes
    longer."""
    out_of_time: Callable[[], bool] = lambda: False
    """Whether the file's total time is spent."""
    reader: str = ""
    pages: int = 0
    notes: list[str] = field(default_factory=list)

    def whole(self) -> bytes:
        """All bytes; raises Unreadable above limits.whole_bytes."""
        most = self.limits.whole_bytes
        parts, held = [], 0
        for part in self.chunks(most + 1):
            parts.append(part)
            held += len(part)
            if held > most:
                raise Unreadable(f"larger than {size_text(most)}, too large to be held whole")
        return b"".join(parts)

    def seekable(self) -> BinaryIO:
        """The content as a stream that can seek: itself, or a private unnamed copy."""
        if self.stream.seekable():
            self.stream.seek(0)
            return self.stream
        copy = tempfile.SpooledTemporaryFile(max_size=64 << 20)  # noqa: SIM115 (its reader closes it)
        while chunk := self.stream.read(_CHUNK):
            copy.write(chunk)
            self.tick()
        copy.seek(0)
        return copy  # type: ignore[return-value]

    def chunks(self, size: int) -> Iterator[bytes]:
        """The bytes, `size` at a time."""
        if self.size >= 0:
            size = min(size, max(self.size + 1, 1 << 16))  # a read takes the memory it asks for
        while chunk := self.stream.read(size):
            self.tick()
            yield chunk


class Budget:
    """What all archives nested in one input file may cost together."""

    def __init__(self, limits: Limits, outer_bytes: int) -> None:
        self.limits, self.outer_bytes = limits, outer_bytes
        self.bytes = self.members = 0

    def spend(self, count: int) -> None:
        """Counts `count` bytes out of an archive; raises Unreadable at the limit."""
        self.bytes += count
        if self.bytes > self.limits.archive_bytes:
            raise Bomb(f"it unpacks to more than {size_text(self.limits.archive_bytes)}")
        if self.bytes > max(_FREE, self.limits.archive_ratio * self.outer_bytes):
            raise Bomb(f"it unpacks to more than {self.limits.archive_ratio:.0f} times its size")

    def member(self) -> None:
        """Counts one member; raises Unreadable at the limit."""
        self.members += 1
        if self.members > self.limits.archive_members:
            raise Bomb(f"more than {self.limits.archive_members} members")


_FREE = 16 << 20  # bytes that are too few to be a bomb, whatever their ratio


class Bomb(Unreadable):
    """An archive that unpacks to more than the limits allow; nothing more of it is read."""


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a compressed stream: counted, and ended with a note where the data are
    damaged."""

    def __init__(
        self, stream: BinaryIO, budget: Budget, notes: list[str], spent: Callable[[], int] | None = None
    ) -> None:
        self._stream, self._budget, self._notes, self._spent = stream, budget, notes, spent
        self._head = b""
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if self._head:
            part, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            part = self._next(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def _next(self, size: int) -> bytes:
        # Small reads, because a read that meets damage loses what it had before it.
        try:
            part = self._stream.read1(min(size, 1 << 16))  # type: ignore[attr-defined]
        except Exception as error:
            # zlib, lzma, bz2, zipfile and tarfile each raise errors of their own for damaged data.
            if isinstance(error, Unreadable | MemoryError | RuntimeError | NotImplementedError):
                raise
            self._notes.append("its compressed data are damaged or cut short; what came before was read")
            return b""
        self.count += len(part)
        self._budget.spend(len(part))
        if self._spent and self.count > max(_FREE, self._budget.limits.archive_ratio * self._spent()):
            raise Bomb(f"it unpacks to more than {self._budget.limits.archive_ratio:.0f} times its size")
        return part

    def take_head(self, size: int) -> bytes:
        """The first `size` bytes, which will be read again."""
        parts = []
        while size > 0 and (part := self._next(size)):
            parts.append(part)
            size -= len(part)
        self._head = b"".join(parts)
        return self._head


def size_text(count: float) -> str:
    """A number of bytes for people: "4.0 GB"."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"
