"""A process that works on parts: `python -m groundup.corpus.preparation.worker WORK` runs the stages it is asked for.

Requests are [stage, part], a line of JSON each; the answer is null, or the three texts of a UserError."""

import errno
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from groundup.corpus.preparation.spread import ALL_STAGES
from groundup.corpus.preparation.work import Work
from groundup.errors import UserError


def _requests() -> Iterator[list]:
    """Requests, received in a thread, so that the process ends with its parent even in the middle of a part."""
    received: queue.SimpleQueue[str] = queue.SimpleQueue()

    def receive() -> None:
        for line in sys.stdin:
            received.put(line)
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    while True:
        yield json.loads(received.get())


def main() -> None:
    """Answer requests until the parent is gone."""
    work = Work(Path(sys.argv[1]))
    for stage, part in _requests():
        error: list[str] | None = None
        try:
            ALL_STAGES[stage](work, part)
        except UserError as failure:
            error = [failure.what, failure.where, failure.fix]
        except OSError as failure:
            if failure.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            fix = "make room, and run it again: what was read is kept"
            error = [f"cannot be written: {failure}", str(work.path), fix]
        print(json.dumps(error), flush=True)


if __name__ == "__main__":
    main()
