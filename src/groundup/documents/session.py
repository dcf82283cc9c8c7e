"""In the reader process: one file read, with everything in it if it is an archive, and sent as it is read."""

import contextlib
import io
import json
import os
import signal
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import PurePosixPath
from typing import BinaryIO

from groundup.documents.document import Document, FileRecord, Limits, Options, cut_long
from groundup.documents.files import show
from groundup.documents.kinds import HEAD_BYTES, Kind, find_kind, find_office_kind
from groundup.documents.readers import archives
from groundup.documents.reading import Bomb, Budget, Nothing, Reading, Unpacked, Unreadable, size_text

_BATCH_BYTES = 1 << 20
_BATCH_DOCUMENTS = 500
_STREAMED = {"text", "code", "jsonl", "csv", "parquet", "mbox", "sqlite", "postgresql", "mysql"}
_DIVIDED = ("jsonl", "parquet")
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
        self.skip: int = request["skip"]
        """Records that an earlier process sent before it died; their members are passed over."""
        self.all_text: bool = request["all_text"]
        """The first page after `skip` is HTML whose main content could not be found in time."""
        self.records = 0
        self.began = time.monotonic()
        self.sent = 0.0
        self.waited = 0.0
        self.items: list[tuple[str, str, tuple[int, ...], int]] = []
        self.texts: list[bytes] = []
        self.held = 0
        self.spent = False
        """The memory was used up once; what is left of it is in pieces, and a fresh process must go on."""
        self.last: FileRecord | None = None
        """A record that goes with the next frame, so that a small file takes one."""
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
                self.entry(self.source, file, size, Budget(self.limits, size), 1, [])
            except Bomb:
                pass  # its record is sent
            except Exception as error:
                if isinstance(error, BrokenPipeError):
                    raise
                # What an archive's own library raises for a file that is damaged in a way it does not expect.
                reason = f"{type(error).__name__}: {error}"[:300]
                self.record(FileRecord(self.source, "", status.st_size, 0, 0, 0, "failed", reason))

    def entry(
        self,
        source: str,
        stream: BinaryIO | Unpacked,
        size: int,
        budget: Budget,
        depth: int,
        notes: list[str],
    ) -> None:
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
            stream, size = archives.unpack(kind.reader, reading, budget), -1
            suffix = PurePosixPath(name).suffix
            name = name[: -len(suffix)] + (".tar" if suffix in (".tgz", ".tbz", ".tbz2", ".txz", ".tzst") else "")
        if self.piece and kind.reader not in _DIVIDED:
            kind = Kind("", kind.media_type, "failed", "it changed before it was read")
        if packed:
            depth -= 1  # a compressed tar archive is one level
        reading = self.reading(source, kind, stream, size, notes)
        if kind.reader == "zip":
            reading.stream = reading.seekable()
            kind = _look_into_zip(reading.stream) or kind
            reading.media_type = kind.media_type
        if kind.reader in ("zip", "tar"):
            self.archive(reading, kind, budget, depth)
        else:
            if kind.reader in ("eml", "mbox"):
                kind = self.attachments(reading, kind, budget, depth)
            self.leaf(reading, kind, unpacked)

    def archive(self, reading: Reading, kind: Kind, budget: Budget, depth: int) -> None:
        status, reason, bomb = "read", "", None
        if depth > self.limits.archive_depth:
            status, reason = "skipped", f"archives nested deeper than {self.limits.archive_depth}"
        else:
            try:
                if kind.reader == "zip":
                    members = archives.zip_members(reading.stream, budget)
                else:
                    members = archives.tar_members(reading.stream, budget, reading.notes)
                for member in members:
                    source = f"{reading.source}!/{show(member.name)}"
                    if member.stream is None:
                        record = FileRecord(source, "", member.size, 0, 0, 0, member.status, member.reason)
                        self.record(record)
                    else:
                        notes = member.notes if member.notes is not None else []
                        self.entry(source, member.stream, member.size, budget, depth + 1, notes)
            except Bomb as error:
                status, reason, bomb = "failed", str(error), error
            except Unreadable as error:
                status, reason = "failed", str(error)
        reason = "; ".join(dict.fromkeys(filter(None, [reason, *reading.notes])))
        size = max(reading.size, 0)
        self.record(FileRecord(reading.source, kind.media_type, size, 0, 0, 0, status, reason, kind.reader))
        if bomb and depth > 1:
            raise bomb

    def attachments(self, reading: Reading, kind: Kind, budget: Budget, depth: int) -> Kind:
        # Before the message, as the members of an archive: who goes on after a death passes over what is done.
        from groundup.documents.readers.mail import attachments

        self.start(reading, kind)
        try:
            reading.stream = reading.seekable()
        except Exception as error:
            return Kind("", kind.media_type, "failed", self.why(error))
        try:
            with contextlib.closing(attachments(kind.reader, reading)) as found:
                for name, content in found:
                    if depth > self.limits.archive_depth:
                        reading.notes.append(f"attachments of messages nested deeper than {depth - 1} were not read")
                        break
                    budget.member()
                    stream = io.BytesIO(content)
                    self.entry(f"{reading.source}!/{show(name)}", stream, len(content), budget, depth + 1, [])
                    self.start(reading, kind)
        except Unreadable as error:
            reading.notes.append(str(error))  # what the message itself fails of is said once
        except Exception as error:
            reading.notes.append(f"what is attached was not read: {self.why(error)}")
        reading.stream.seek(0)
        return kind

    def leaf(self, reading: Reading, kind: Kind, unpacked: Unpacked | None) -> None:
        if self.records < self.skip:
            self.records += 1
            return
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
        # The death of this process, or its silence, is charged to what it said last.
        reading.reader = "ocr" if kind.reader == "image" else kind.reader
        if reading.source != self.source or reading.reader not in _STREAMED:
            start = {"source": reading.source, "media_type": kind.media_type, "bytes": reading.size}
            self.send({"start": {**start, "reader": reading.reader}})

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
        self.records += 1
        if self.records > self.skip:
            self.last = record

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
            header["record"] = [getattr(self.last, field.name) for field in fields(FileRecord)]
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


def _look_into_zip(file: BinaryIO) -> Kind | None:
    try:
        archive = zipfile.ZipFile(file)
    except Exception:
        return None  # archives.zip_members says what is wrong
    names = archive.namelist()
    mimetype = b""
    if "mimetype" in names:
        with contextlib.suppress(Exception):
            mimetype = archive.open("mimetype").read(100)
    return find_office_kind(names, mimetype.decode("ascii", "replace").strip())
