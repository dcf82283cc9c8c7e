"""In the reader process: one file read, with everything in it if it is an archive, and sent as it is read."""

import contextlib
import io
import json
import os
import signal
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import PurePosixPath
from typing import BinaryIO, TypeVar

from groundup.documents.document import Document, FileRecord, Limits, Options, cut_long
from groundup.documents.files import show
from groundup.documents.kinds import HEAD_BYTES, Kind, find_kind
from groundup.documents.readers import archives
from groundup.documents.reading import Bomb, Budget, Nothing, Reading, Unpacked, Unreadable, size_text

_BATCH_BYTES = 1 << 20
_BATCH_DOCUMENTS = 500
_STREAMED = {"text", "code", "jsonl", "csv", "parquet", "mbox", "sqlite", "postgresql", "mysql"}
_DIVIDED = ("jsonl", "parquet")
_Member = TypeVar("_Member")
_READERS = {  # Kind.reader -> (module of groundup.documents.readers, its function); loaded on first use
    "text": ("text", "read_text"),
    "code": ("text", "read_code"),
    "pdf": ("pdf", "read_pdf"),
    "image": ("ocr", "read_image"),
    "docx": ("docx", "read_docx"),
    "pptx": ("slides", "read_pptx"),
    "xlsx": ("sheets", "read_xlsx"),
    "opendocument": ("opendocument", "read_opendocument"),
    "epub": ("epub", "read_epub"),
    "rtf": ("rtf", "read_rtf"),
    "html": ("html", "read_html"),
    "csv": ("tables", "read_csv"),
    "json": ("tables", "read_json"),
    "jsonl": ("tables", "read_jsonl"),
    "notebook": ("tables", "read_notebook"),
    "parquet": ("parquet", "read_parquet"),
    "feed": ("markup", "read_feed"),
    "xml": ("markup", "read_xml"),
    "eml": ("mail", "read_eml"),
    "mbox": ("mail", "read_mbox"),
    "subtitles": ("subtitles", "read_subtitles"),
    "sqlite": ("sqlite", "read_sqlite"),
    "postgresql": ("servers", "read_postgresql"),
    "mysql": ("servers", "read_mysql"),
}


class Session:
    """Reads one file, with everything in it if it is an archive, and sends what it gives."""

    def __init__(self, request: dict, limits: Limits, send: Callable[..., None]) -> None:
        self.source: str = request["source"]
        self.path: str = request["path"]
        self.server: dict | None = request["server"]
        """The kind and the connection of a database on a server, which is read instead of a file."""
        self.piece: tuple[str, int, int] | None = request["piece"] and tuple(request["piece"])
        self.limits = limits
        self.options = Options(**request["options"])
        self.passed: list[int] = request["passed"]
        """How many members of the archive, of the one inside of it and so on an earlier process did before it died."""
        self.place: list[int] = []
        """The number of the member that is read, in the archive, in the one inside of it and so on."""
        self.budget = Budget(limits, 0)
        self.unpacked: int = request["unpacked"]
        """Bytes that came out of the archive until the death; they count towards the limit."""
        self.all_text: bool = request["all_text"]
        """The first page after `passed` is HTML whose main content could not be found in time."""
        self.began = time.monotonic()
        self.sent = 0.0
        self.waited = 0.0
        self.items: list[tuple[str, str, tuple[int, ...], int]] = []
        self.texts: list[bytes] = []
        self.held = 0
        self.spent = False
        """The memory was used up once; what is left of it is in pieces, and a fresh process must go on."""
        self.last: tuple[FileRecord, int] | None = None
        """A record, and in how many archives its file is; it goes with the next frame: a small file takes one."""
        self._send = send

    def run(self) -> None:
        """Reads the file; the last frame has "end"."""
        if self.server:
            self._read_server(self.server)
        else:
            self._read_file()
        self.send({"end": True, "spent": self.spent})

    def _read_server(self, server: dict) -> None:
        kind = Kind(server["kind"], f"application/x-{server['kind']}")
        stream = io.BytesIO(json.dumps(server["connection"]).encode())
        self.leaf(self.reading(self.source, kind, stream, 0, []), kind, None)

    def _read_file(self) -> None:
        try:
            # A FIFO put in the file's place must not block, nor a device be read.
            file = os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
        except OSError as error:
            self.record(FileRecord(self.source, "", 0, 0, 0, 0, "failed", (error.strerror or str(error)).lower()))
            return
        with file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                self.record(FileRecord(self.source, "", 0, 0, 0, 0, "skipped", "not a regular file"))
                return
            try:
                size = self.piece[2] - self.piece[1] if self.piece else status.st_size
                self.budget.outer_bytes = size
                self.entry(self.source, file, size, 1, [])
            except Bomb:
                pass  # its record is sent
            except Exception as error:
                if isinstance(error, BrokenPipeError):
                    raise
                # What an archive's own library raises for a file that is damaged in a way it does not expect.
                reason = f"{type(error).__name__}: {error}"[:300]
                self.record(FileRecord(self.source, "", status.st_size, 0, 0, 0, "failed", reason))

    def entry(self, source: str, stream: BinaryIO | Unpacked, size: int, depth: int, notes: list[str]) -> None:
        """Reads a file or member, whatever it is."""
        name, packed = self.piece[0] if self.piece else source, None
        while True:
            if isinstance(stream, Unpacked):
                unpacked, head = stream, stream.take_head(HEAD_BYTES)
                stream = archives.buffered(unpacked)
            else:
                unpacked, head = None, stream.read(HEAD_BYTES)
                stream.seek(0)
            kind = find_kind(head, name) if head else Kind("", "", "skipped", "empty")
            if not head and notes:
                kind = Kind("", "", "failed", notes[0])
            if kind.reader not in ("gzip", "bzip2", "xz", "zstd"):
                break
            packed, depth = kind, depth + 1
            if depth > self.limits.archive_depth + 1:
                kind = Kind("", kind.media_type, "skipped", "compressed too many times")
                break
            reading = self.reading(source, kind, stream, size, notes)
            stream, size = archives.unpack(kind.reader, reading, self.budget), -1
            suffix = PurePosixPath(name).suffix
            name = name[: -len(suffix)] + (".tar" if suffix in (".tgz", ".tbz", ".tbz2", ".txz", ".tzst") else "")
        if self.piece and kind.reader not in _DIVIDED:
            kind = Kind("", kind.media_type, "failed", "it changed before it was read")
        if packed:
            depth -= 1  # a compressed tar archive is one level
        reading = self.reading(source, kind, stream, size, notes)
        if kind.reader == "zip":
            reading.stream = reading.seekable()
            kind = archives.look_into_zip(reading.stream) or kind
            reading.media_type = kind.media_type
        if kind.reader in ("zip", "tar"):
            self.archive(reading, kind, depth)
        else:
            if kind.reader in ("eml", "mbox"):
                kind = self.attachments(reading, kind, depth)
            self.leaf(reading, kind, unpacked)

    def archive(self, reading: Reading, kind: Kind, depth: int) -> None:
        self.start(reading, kind)
        status, reason, bomb = "read", "", None
        if depth > self.limits.archive_depth:
            status, reason = "skipped", f"archives nested deeper than {self.limits.archive_depth}"
        else:
            try:
                if kind.reader == "zip":
                    members = archives.zip_members(reading.stream, self.budget)
                else:
                    members = archives.tar_members(reading.stream, self.budget, reading.notes)
                with contextlib.closing(self.rest(members)) as rest:
                    for member in rest:
                        source = f"{reading.source}!/{show(member.name)}"
                        if member.stream is None:
                            record = FileRecord(source, "", member.size, 0, 0, 0, member.status, member.reason)
                            self.record(record)
                        else:
                            self.entry(source, member.stream, member.size, depth + 1, member.notes)
            except Bomb as error:
                status, reason, bomb = "failed", str(error), error
            except Unreadable as error:
                status, reason = "failed", str(error)
        reason = "; ".join(dict.fromkeys(filter(None, [reason, *reading.notes])))
        size = max(reading.size, 0)
        self.record(FileRecord(reading.source, kind.media_type, size, 0, 0, 0, status, reason, kind.reader))
        if bomb and depth > 1:
            raise bomb

    def attachments(self, reading: Reading, kind: Kind, depth: int) -> Kind:
        # Before the message, as the members of an archive: who goes on after a death passes over what is done.
        from groundup.documents.readers.mail import attachments

        self.start(reading, kind)
        try:
            reading.stream = reading.seekable()
        except Exception as error:
            return Kind("", kind.media_type, "failed", self.why(error))
        try:
            found = attachments(kind.reader, reading)
            with contextlib.closing(found), contextlib.closing(self.rest(found)) as rest:
                for name, content in rest:
                    if depth > self.limits.archive_depth:
                        reading.notes.append(f"attachments of messages nested deeper than {depth - 1} were not read")
                        break
                    self.budget.member()
                    stream = io.BytesIO(content)
                    self.entry(f"{reading.source}!/{show(name)}", stream, len(content), depth + 1, [])
        except Unreadable as error:
            reading.notes.append(str(error))  # what the message itself fails of is said once
        except Exception as error:
            reading.notes.append(f"what is attached was not read: {self.why(error)}")
        reading.stream.seek(0)
        return kind

    def rest(self, members: Iterable[_Member]) -> Generator[_Member, None, None]:
        """Those that an earlier process has not done."""
        passed = self.passed.pop(0) if self.passed else 0
        self.place.append(0)
        try:
            for self.place[-1], member in enumerate(members):
                if self.place[-1] >= passed:
                    self.budget.bytes = max(self.budget.bytes, self.unpacked)
                    yield member
        finally:
            self.place.pop()

    def leaf(self, reading: Reading, kind: Kind, unpacked: Unpacked | None) -> None:
        began, waited = time.monotonic(), self.waited
        self.began = began
        reading.all_text, self.all_text = self.all_text, False
        self.start(reading, kind)
        documents = characters = 0
        status, reason = kind.status, kind.reason
        try:
            for document in _read(kind.reader, reading):
                characters += len(document.text)
                if characters > self.limits.text_bytes and reading.reader not in _STREAMED:
                    raise Unreadable(f"it gives more than {size_text(self.limits.text_bytes)} of text")
                for piece in cut_long(document, self.limits.piece_bytes):
                    documents += 1
                    self.document(piece)
            if kind.reader and not documents:
                status = "skipped"
                reading.notes = reading.notes or ["empty" if reading.reader in _STREAMED else "no text in it"]
        except Nothing as error:
            status, reason = "skipped", str(error)
        except Exception as error:
            status, reason = "failed", self.why(error)
        size = unpacked.count if reading.size < 0 and unpacked else max(reading.size, 0)
        reason = "; ".join(dict.fromkeys(filter(None, [reason, *reading.notes])))
        self.record(
            FileRecord(
                reading.source,
                kind.media_type,
                size,
                reading.pages,
                documents,
                characters,
                status,
                reason,
                reading.reader,
                round(time.monotonic() - began - (self.waited - waited), 4),
            )
        )

    def start(self, reading: Reading, kind: Kind) -> None:
        # The death of this process, or its silence, is charged to the innermost that began and has no record.
        reading.reader = "ocr" if kind.reader == "image" else kind.reader
        if reading.source != self.source or reading.reader not in _STREAMED:
            start = {"source": reading.source, "media_type": kind.media_type, "bytes": reading.size}
            start |= {"reader": reading.reader, "place": [*self.place]}
            self.send({"start": start, "unpacked": self.budget.bytes})

    def why(self, error: Exception) -> str:
        # A parser may raise anything for a bad file, and a bad file costs only itself.
        if isinstance(error, MemoryError):
            self.spent = True
            return f"it needs more than {size_text(self.limits.memory_bytes)} of memory"
        if isinstance(error, RecursionError):
            return "nested too deeply"
        return str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"[:300]

    def reading(self, source: str, kind: Kind, stream: BinaryIO, size: int, notes: list[str]) -> Reading:
        return Reading(
            source,
            kind.media_type,
            stream,
            size,
            self.limits,
            self.options,
            tick=self.tick,
            expect=self.expect,
            out_of_time=lambda: time.monotonic() - self.began > self.limits.total_seconds,
            notes=notes,
            piece=self.piece,
        )

    def document(self, document: Document) -> None:
        text = document.text.encode()
        self.items.append((document.source, document.media_type, document.pages, len(text)))
        self.texts.append(text)
        self.held += len(text)
        if self.held >= _BATCH_BYTES or len(self.items) >= _BATCH_DOCUMENTS:
            self.send({})

    def record(self, record: FileRecord) -> None:
        if self.last:
            self.send({})
        self.last = record, len(self.place)

    def tick(self) -> None:
        if time.monotonic() - self.sent > 1:
            self.send({})

    def expect(self, seconds: float) -> None:
        self.send({"expect": seconds})

    def send(self, header: dict) -> None:
        """Sends a frame: first the documents and the record that wait, then what `header` says."""
        if self.items:
            header["items"] = self.items
        blob = b"".join(self.texts)
        if self.last:
            record, header["depth"] = self.last
            header["record"] = [getattr(record, field.name) for field in fields(FileRecord)]
        self.items, self.texts, self.held, self.last = [], [], 0, None
        # Should nobody be left to stop a reader that hangs, the kernel does: processor time, counted from
        # here.
        signal.setitimer(signal.ITIMER_PROF, 2 * self.limits.seconds + 30)
        before = time.monotonic()
        self._send(header, blob)
        self.sent = time.monotonic()
        self.waited += self.sent - before


def _read(reader: str, reading: Reading) -> Iterator[Document]:
    if not reader:
        return iter(())
    module, function = _READERS[reader]
    return getattr(import_module(f"groundup.documents.readers.{module}"), function)(reading)
