"""The pool of reader processes: files go in, results come out in order, a death costs one file."""

import contextlib
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from groundup.documents.databases import Server
from groundup.documents.document import Document, FileRecord, Limits, Options
from groundup.documents.files import show
from groundup.documents.pieces import Piece

_BUFFER_BYTES = 64 << 20  # of text that is read ahead of the consumer, over all files
_MOST_DEATHS = 20  # of readers in one archive


class Task:
    """A file, piece or server to read, and what has been read of it and not yet been consumed."""

    def __init__(self, path: Path | Piece | Server) -> None:
        self.path, self.source = path, show(str(path))
        self.ready: deque[Document | FileRecord] = deque()
        self.done = False
        self.error: BaseException | None = None


class Pool:
    """One thread for each reader process; all share one lock."""

    def __init__(self, workers: int, limits: Limits, options: Options) -> None:
        self.limits, self.options, self.most = limits, options, workers
        self.changed = threading.Condition()
        self.queue: deque[Task] = deque()
        self.head: Task | None = None
        self.buffered = 0
        self.idle = 0
        self.closed = False
        self.threads: list[threading.Thread] = []
        self.processes: set[_Process] = set()

    def submit(self, path: Path | Piece | Server) -> Task:
        task = Task(path)
        with self.changed:
            self.queue.append(task)
            if len(self.queue) > self.idle and len(self.threads) < self.most:
                thread = threading.Thread(target=self._work, name="groundup-reader", daemon=True)
                self.threads.append(thread)
                thread.start()
            self.changed.notify_all()
        return task

    def results(self, task: Task) -> Iterator[Document | FileRecord]:
        with self.changed:
            self.head = task
            self.changed.notify_all()
        while True:
            with self.changed:
                while not task.ready and not task.done:
                    self.changed.wait()
                if not task.ready:
                    break
                item = task.ready.popleft()
                self.buffered -= _size(item)
                if not task.ready:
                    self.changed.notify_all()
            yield item
        if task.error:
            raise task.error

    def close(self) -> None:
        with self.changed:
            self.closed = True
            for process in self.processes:
                process.kill()
            self.changed.notify_all()
        for thread in self.threads:
            thread.join()

    def _work(self) -> None:
        process: _Process | None = None
        try:
            while True:
                with self.changed:
                    self.idle += 1
                    while not self.queue and not self.closed:
                        self.changed.wait()
                    self.idle -= 1
                    if self.closed:
                        return
                    task = self.queue.popleft()
                try:
                    process = self._read(task, process)
                except BaseException as error:
                    # The consumer's thread raises it: nobody looks at this one.
                    task.error = error
                with self.changed:
                    task.done = True
                    self.changed.notify_all()
        finally:
            self._stop(process)

    def _read(self, task: Task, process: "_Process | None") -> "_Process | None":
        passed: list[int] = []  # of the archive, of that in it and so on, how many members are done
        unpacked, all_text, deaths = 0, False, 0
        while True:
            process = process or self._start()
            if process is None:
                return None
            follow = _Follow(task.source)
            try:
                request = {"path": str(task.path), "source": task.source, "options": asdict(self.options)}
                request["server"] = request["piece"] = None
                if isinstance(piece := task.path, Piece):
                    request |= {"path": str(piece.path), "piece": [show(piece.path), piece.start, piece.end]}
                if isinstance(server := task.path, Server):
                    request["server"] = {"kind": server.kind, "connection": server.connection | server.secrets}
                process.send({**request, "passed": passed, "unpacked": unpacked, "all_text": all_text})
                while not follow.ended:
                    header, blob = process.receive(follow.seconds or self.limits.seconds)
                    self._put(task, follow.items(header, blob))
                if follow.spent:
                    self._stop(process)
                    return None
                return process
            except TimeoutError:
                reason = f"took longer than {follow.seconds or self.limits.seconds:g} s"
                self._stop(process)
            except (EOFError, OSError):
                reason = f"the reader process died ({self._stop(process)})"
            process = None
            if self.closed:
                return None
            start = follow.started[-1]
            passed, unpacked = [*start["place"]], follow.unpacked
            if follow.seconds and not all_text:
                all_text = True
                continue
            deaths, all_text = deaths + 1, False
            if deaths == _MOST_DEATHS:
                start, reason = follow.started[0], f"its members stopped the reader {deaths} times"
            failed = FileRecord(
                start["source"],
                start["media_type"],
                max(start["bytes"], 0),
                0,
                follow.documents,
                follow.characters,
                "failed",
                reason,
                start["reader"],
            )
            self._put(task, [failed])
            if not start["place"]:
                return None
            passed[-1] += 1  # it is given up

    def _start(self, again: bool = True) -> "_Process | None":
        with self.changed:
            if self.closed:
                return None
            process = _Process(self.limits)
            self.processes.add(process)
        try:
            process.wait_ready()
        except (EOFError, OSError) as error:
            how = self._stop(process)
            if again and isinstance(error, EOFError) and how.startswith("signal"):
                # Until it has a session of its own, a signal for the parent's group ends it, too; whether to stop is
                # the parent's to say.
                return self._start(again=False)
            raise RuntimeError(f"the reader process did not start ({how}): {error}") from None
        return process

    def _stop(self, process: "_Process | None") -> str:
        if process is None:
            return ""
        with self.changed:
            self.processes.discard(process)
        return process.stop()

    def _put(self, task: Task, items: list[Document | FileRecord]) -> None:
        if not items:
            return
        size = sum(map(_size, items))
        with self.changed:
            # The file at the head may always hand over one batch: it is the one the consumer waits for.
            while not self.closed and self.buffered > _BUFFER_BYTES and (task is not self.head or task.ready):
                self.changed.wait()
            task.ready.extend(items)
            self.buffered += size
            self.changed.notify_all()


class _Follow:
    """What the reader process has said about the file so far."""

    def __init__(self, source: str) -> None:
        self.started: list[dict] = [{"source": source, "media_type": "", "bytes": 0, "reader": "", "place": []}]
        """The file, and in an archive the members that have no record yet, each within the one before."""
        self.unpacked = 0
        self.seconds = 0.0
        self.documents = self.characters = 0
        self.ended = self.spent = False

    def items(self, header: dict, blob: bytes) -> list[Document | FileRecord]:
        ready: list[Document | FileRecord] = []
        offset = 0
        for source, media_type, pages, size in header.get("items", ()):
            text = blob[offset : offset + size].decode()
            offset += size
            ready.append(Document(text, source, media_type, tuple(pages)))
            self.documents += 1
            self.characters += len(text)
        if record := header.get("record"):
            ready.append(FileRecord(*record))
            del self.started[max(1, header["depth"]) :]
            self.documents = self.characters = 0
        if start := header.get("start"):
            self.started[len(start["place"]) :] = [start]
            self.unpacked = header["unpacked"]
        self.seconds = header.get("expect", 0.0)
        self.ended, self.spent = "end" in header, header.get("spent", False)
        return ready


class _Process:
    """A reader process and the frames to and from it."""

    def __init__(self, limits: Limits) -> None:
        # -P: a file called json.py in the user's folder must not become a module of the reader.
        # A session of its own: Ctrl-C goes to all processes of a terminal's session, and only the parent
        # answers it.
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "groundup.documents.worker", json.dumps(asdict(limits))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "OMP_THREAD_LIMIT": "1", "PYTHONUNBUFFERED": "1"},
        )
        assert self._popen.stdin and self._popen.stdout
        self._in, self._out = self._popen.stdin, self._popen.stdout.fileno()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # the user's pipes may have used up what the system allows
                fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, 1 << 20)

    def wait_ready(self) -> None:
        self.receive(60.0)

    def send(self, request: dict) -> None:
        data = json.dumps(request).encode()
        self._in.write(struct.pack("<I", len(data)) + data)

    def receive(self, seconds: float) -> tuple[dict, bytes]:
        """The next frame; raises TimeoutError after `seconds` of silence, EOFError at the process's end."""
        header = json.loads(self._exactly(struct.unpack("<I", self._exactly(4, seconds))[0], seconds))
        return header, self._exactly(header["blob"], seconds)

    def kill(self) -> None:
        self._popen.kill()

    def stop(self) -> str:
        """Ends the process; how it ended."""
        try:
            # A process that died by itself shows it at once, or as soon as the kernel has torn it down.
            code = self._popen.wait(0.2)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            code = self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe:
                pipe.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _exactly(self, count: int, seconds: float) -> bytes:
        parts: list[bytes] = []
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        while count:
            if not poll.poll(seconds * 1000):
                raise TimeoutError
            part = os.read(self._out, min(count, 1 << 20))
            if not part:
                raise EOFError("it closed its output")
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _size(item: Document | FileRecord) -> int:
    return len(item.text) if isinstance(item, Document) else 200
