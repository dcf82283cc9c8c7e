"""The reader process: `python -m groundup.documents.worker` reads the files it is asked for, within limits.

It speaks frames over its standard input and output: 4 bytes of length (little-endian), that much JSON, and
after it as many bytes as the JSON's "blob" says. It must start fast and never load torch; parsers load on
first use."""

import json
import os
import queue
import resource
import struct
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from groundup.documents.document import Limits
from groundup.documents.session import Session


def _limit(memory_bytes: int) -> None:
    for what, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0)):
        try:
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (OSError, ValueError):
            pass  # macOS refuses a limit of the address space


def _requests(file: BinaryIO) -> Iterator[dict]:
    """Requests from the parent. They are received in a thread, so that the process ends with its parent
    even in the middle of a file."""
    received: queue.SimpleQueue[dict] = queue.SimpleQueue()

    def receive() -> None:
        while len(length := file.read(4)) == 4:
            received.put(json.loads(file.read(struct.unpack("<I", length)[0])))
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    while True:
        yield received.get()


def main() -> None:
    limits = Limits(**json.loads(sys.argv[1]))
    _limit(limits.memory_bytes)
    # The parsers are native code: what they print must not get between the frames or onto the terminal.
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    requests = os.fdopen(os.dup(0), "rb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)

    def send(header: dict, blob: bytes = b"") -> None:
        data = json.dumps({**header, "blob": len(blob)}).encode()
        for part in (struct.pack("<I", len(data)) + data, blob):
            view = memoryview(part)
            while view:
                view = view[output.write(view) :]

    send({})  # ready
    for request in _requests(requests):
        Session(request, limits, send).run()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)  # the parent is gone
