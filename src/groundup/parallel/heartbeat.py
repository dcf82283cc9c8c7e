"""Signs of life between the processes of one run: each writes a beat to the store where they met, and ends, naming
the one, when another's stay away.

Threads of their own do it. So a process that reads, computes or saves for hours is alive, and one that was stopped,
killed or cut off is found out by all others, whatever they wait for.
"""

import faulthandler
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from groundup.errors import EXIT_OURS

if TYPE_CHECKING:
    from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage]

JOIN_SECONDS = 600.0  # machines of a job may start minutes apart
BEAT_SECONDS = 0.5
STANDARD_ERROR = 2  # the descriptor: a redirected sys.stderr may have none


class Heartbeat:
    """The beats of this process, and the ages of the others'."""

    def __init__(
        self,
        store: "Store",
        rank: int,
        size: int,
        *,
        asked: Callable[[], str | None],
        greet: Callable[[], None],
        place: str,
    ) -> None:
        """`store` is a connection of its own: a call that waits blocks all others on the same one. `asked` names the
        signal that asked this process to stop; `greet` is called with every beat; `place` is where the store is."""
        self.timeout = float("inf")
        """Seconds without a beat after which a process is given up; one that never came has JOIN_SECONDS."""
        self.asked_elsewhere: str | None = None
        """The signal that another process was asked to stop by."""
        self._store, self._rank, self._place = store, rank, place
        self._asked, self._greet = asked, greet
        self._beats: dict[int, dict[str, Any]] = {}
        # counted in turns of the watch, not by a clock: when all processes are suspended together, as by Ctrl-Z, no
        # beat is late
        self._ages = {other: 0.0 for other in range(size) if other != rank}
        self._count = 0
        self._leaving = False
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._beat, self._watch)]
        for thread in self._threads:
            thread.start()

    def close(self, *, failed: bool = False) -> None:
        """Beat no more. With `failed` the others end, too."""
        self._closed.set()
        for thread in self._threads:
            thread.join(2 * BEAT_SECONDS)
        if failed and not self._threads[0].is_alive():
            self._exchange(gone=True)

    def name(self, rank: int) -> str:
        """`process 1 (4711 on node7)`."""
        beat = self._beats.get(rank)
        return f"process {rank} ({beat['pid']} on {beat['host']})" if beat else f"process {rank}"

    def dead(self, seconds: float) -> list[str]:
        """The names of the processes whose beats stand still for `seconds`, for which it waits; those that left because
        of others only where there is nobody else. From then on the end of another does not end this process.

        It reads the store itself: how often the other threads have their turn on a busy machine does not count.
        Raises RuntimeError without the store.
        """
        self._leaving = True
        before = self._read()
        time.sleep(seconds)
        after = self._read()
        still = [rank for rank in self._ages if after.get(rank) == before.get(rank)]
        first = [rank for rank in still if not (rank in after and after[rank]["gone"])]
        return [self.name(rank) for rank in first or still]

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_SECONDS if self._count else 0):
            self._exchange()

    def _exchange(self, *, gone: bool = False) -> None:
        """Write a beat and read those of the others; what fails is noticed by their age."""
        self._count += 1
        beat = {"count": self._count, "pid": os.getpid(), "host": socket.gethostname(), "asked": self._asked()}
        try:
            self._store.set(f"beat/{self._rank}", json.dumps(beat | {"gone": gone}))
            self._greet()
            found = self._read()
        except RuntimeError:
            return
        for rank, beat in found.items():
            if beat != self._beats.get(rank):
                self._beats[rank], self._ages[rank] = beat, 0.0
            self.asked_elsewhere = self.asked_elsewhere or beat["asked"]

    def _read(self) -> dict[int, dict[str, Any]]:
        """The newest beat of each other process that ever came. Raises RuntimeError without the store."""
        there = [rank for rank in self._ages if rank in self._beats or self._store.check([f"beat/{rank}"])]
        found = self._store.multi_get([f"beat/{rank}" for rank in there]) if there else []
        return {rank: json.loads(text) for rank, text in zip(there, found, strict=True)}

    def _watch(self) -> None:
        while not self._closed.wait(BEAT_SECONDS):
            for rank in self._ages:
                self._ages[rank] += BEAT_SECONDS
            beats = dict(self._beats)  # the other thread adds to it
            ended = [rank for rank, beat in beats.items() if beat["gone"]]
            if ended and not self._leaving:
                self._end(f"{self.name(ended[0])} ended with an error: its message says why", stacks=False)
            if late := [rank for rank in beats if self._ages[rank] >= self.timeout]:
                names = ", ".join(map(self.name, late))
                self._end(
                    f"{names} did not answer for {self.timeout:g} seconds (parallel.timeout)\n  look at that machine,"
                    f" and at the network from here to {self._place}, where the processes meet; started again, the run"
                    " continues from its last checkpoint",
                    stacks=True,
                )
            if missing := [rank for rank, age in self._ages.items() if rank not in beats and age >= JOIN_SECONDS]:
                self._end(
                    f"{', '.join(map(self.name, missing))} did not come to {self._place} within {JOIN_SECONDS:g}"
                    " seconds\n  start every process; MASTER_ADDR and MASTER_PORT must be the same for all, and no"
                    " firewall between",
                    stacks=False,
                )

    def _end(self, text: str, *, stacks: bool) -> None:
        """End this process from here: its main thread may wait for the missing one for ever."""
        print(f"groundup: process {self._rank}: {text}", file=sys.stderr, flush=True)
        if stacks:
            faulthandler.dump_traceback(STANDARD_ERROR, all_threads=True)
        os._exit(EXIT_OURS)
