"""Archives: their members as streams, one after another; nothing is ever written under a member's name."""

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from groundup.documents.files import why_left_out
from groundup.documents.kinds import Kind, find_office_kind
from groundup.documents.reading import Budget, Reading, Unpacked, Unreadable

_ZSTD_WINDOW = 1 << 31  # bytes; what `zstd --long=31` makes, which needs so much memory to read
_ZSTD_INPUT = 1 << 10  # bytes at a time: one block of 4 bytes may give 128 kB


@dataclass(slots=True)
class Member:
    """A member of an archive: its content, or the reason why it is not read."""

    name: str
    size: int
    stream: Unpacked | None
    status: str = "read"
    reason: str = ""
    notes: list[str] = field(default_factory=list)


def unpack(reader: str, reading: Reading, budget: Budget) -> Unpacked:
    """The content of a gzip, bzip2, xz or zstd file."""
    file = reading.stream
    spent = file.tell if file.seekable() else None
    opener = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open, "zstd": _Zstd}[reader]
    return Unpacked(opener(file), budget, reading.notes, spent)


class _Zstd:
    # zstandard's own stream reader takes a file that is cut short for one that has ended.
    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        self._file = file
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self._begun = False
        self._input = self._output = b""

    def read1(self, size: int) -> bytes:
        while not self._output:
            if self._frame.eof:
                self._input = self._frame.unused_data + self._input
                self._frame, self._begun = self._decompressor.decompressobj(), False
            if not self._input and not (chunk := self._file.read(1 << 16)):
                if self._begun:
                    raise EOFError("zstd data end within a frame")
                return b""
            if not self._input:
                self._input = chunk
            part, self._input = self._input[:_ZSTD_INPUT], self._input[_ZSTD_INPUT:]
            try:
                self._output, self._begun = self._frame.decompress(part), True
            except Exception as error:
                # It is the window that is not there, nothing is wrong with the data.
                raise MemoryError(str(error)) if "memory" in str(error) else error from None
        part, self._output = self._output[:size], self._output[size:]
        return part


def zip_members(file: BinaryIO, budget: Budget) -> Iterator[Member]:
    """The members of a zip archive, in the archive's order; raises Unreadable when it is not one."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Unreadable(f"damaged zip archive: {str(error).lower()}") from None
    left_out: set[str] = set()
    for info in archive.infolist():
        if info.is_dir():
            continue
        budget.member()
        member = Member(info.filename, info.file_size, None)
        if _leave_out(member, left_out):
            if member.reason:
                yield member
            continue
        if info.external_attr >> 28 == 0xA:  # S_IFLNK in the Unix mode
            yield _refuse(member, "a link, not a file")
        elif info.flag_bits & 1:
            yield _refuse(member, "it is protected by a password", "failed")
        elif info.file_size > max(16 << 20, budget.limits.archive_ratio * info.compress_size):
            yield _refuse(member, f"it unpacks to more than {budget.limits.archive_ratio:.0f} times its size", "failed")
        else:
            try:
                stream = archive.open(info)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
                yield _refuse(member, f"damaged: {str(error).lower()}", "failed")
                continue
            member.stream = Unpacked(stream, budget, member.notes)  # type: ignore[arg-type]
            yield member


def look_into_zip(file: BinaryIO) -> Kind | None:
    """The kind of a zip archive that is an office document; None where it is not one, or damaged."""
    try:
        archive = zipfile.ZipFile(file)
    except Exception:
        return None  # zip_members says what is wrong
    names = archive.namelist()
    mimetype = b""
    if "mimetype" in names:
        with contextlib.suppress(Exception):
            mimetype = archive.open("mimetype").read(100)
    return find_office_kind(names, mimetype.decode("ascii", "replace").strip())


def tar_members(file: BinaryIO, budget: Budget, notes: list[str]) -> Iterator[Member]:
    """The members of an uncompressed tar stream; damage ends it with a note."""
    left_out: set[str] = set()
    count = 0
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for info in archive:
                if info.isdir():
                    continue
                budget.member()
                count += 1
                member = Member(info.name, info.size, None)
                if _leave_out(member, left_out):
                    if member.reason:
                        yield member
                elif not info.isreg():
                    yield _refuse(member, "a link, not a file" if info.issym() or info.islnk() else "a device")
                elif (stream := archive.extractfile(info)) is not None:
                    member.stream = Unpacked(stream, budget, member.notes)  # type: ignore[arg-type]
                    yield member
                archive.members = []  # type: ignore[attr-defined]  # it keeps every header it has seen
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        if not count:
            raise Unreadable(f"damaged tar archive: {str(error).lower()}") from None
        notes.append("the archive is damaged or cut short; what came before was read")


def buffered(stream: Unpacked) -> BinaryIO:
    """`stream` for readers that want more than raw reads."""
    return io.BufferedReader(stream, 1 << 16)


def _refuse(member: Member, reason: str, status: str = "skipped") -> Member:
    member.status, member.reason = status, reason
    return member


def _leave_out(member: Member, left_out: set[str]) -> bool:
    """Whether a member is not read; one member of each folder that is left out carries the reason."""
    path = PurePosixPath(member.name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        _refuse(member, "its name leads outside the archive")
        return True
    folder = ""
    for part in path.parts:
        folder = f"{folder}/{part}" if folder else part
        if reason := why_left_out(part):
            if folder not in left_out:
                left_out.add(folder)
                member.name = folder
                _refuse(member, reason)
            return True
    return False
