"""Where the processes of one run meet: a key-value store at MASTER_ADDR:MASTER_PORT, held by torchrun or process 0.

Processes that are started again may find the store of those before them, with everything in it. So each start of
process 0 is a session with a name of its own, which it tells to whoever says hello; all else lies below that name.
"""

import json
import os
import signal
import threading
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from groundup.config import Config
from groundup.errors import EXIT_OURS, UserError
from groundup.parallel.heartbeat import JOIN_SECONDS, Heartbeat
from groundup.runs import StopRequest

if TYPE_CHECKING:
    from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage]

GOODBYE_SECONDS = 2.0
LOOK_SECONDS = 0.05


class Meeting:
    """This process's connection to the others."""

    def __init__(self, rank: int, size: int, stores: "tuple[Store, Store]", session: str, place: str) -> None:
        """`stores` are two connections to one store: for calls of the main thread, and for the heartbeat."""
        from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]

        self.rank, self.size = rank, size
        self.stop = StopRequest()
        self.open = True
        """Whether processes that say hello are still welcome: only before computing together begins."""
        self.store = PrefixStore(session, stores[0])
        self._lobby, self._session, self._said, self._left = stores[1], session, 0, False
        self._welcomed: dict[int, bytes] = {}
        self._heartbeat = Heartbeat(
            PrefixStore(session, stores[1]),
            rank,
            size,
            asked=lambda: self.stop.name,
            greet=self._greet if rank == 0 else lambda: None,
            place=place,
        )
        self.give_up_after(Config().parallel.timeout)  # until main has read the run's own

    @classmethod
    def join(cls, rank: int, size: int, *, seconds: float = JOIN_SECONDS) -> "Meeting":
        """Meet the others. Raises UserError when the place is taken, or process 0 is not there within `seconds`."""
        place, deadline = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}", time.monotonic() + seconds
        try:
            stores = _connect(rank, seconds), _connect(None, seconds)
            if rank == 0:
                return cls(rank, size, stores, uuid.uuid4().hex, place)
            name = uuid.uuid4().hex
            stores[0].set(f"hello/{rank}", name)
            while not stores[0].check([f"welcome/{name}"]):
                if time.monotonic() > deadline:
                    raise RuntimeError("process 0 did not come")
                time.sleep(LOOK_SECONDS)
            return cls(rank, size, stores, stores[0].get(f"welcome/{name}").decode(), place)
        except RuntimeError as error:
            if "EADDRINUSE" in str(error):
                raise UserError(
                    "another program listens there, where process 0 should",
                    where=place,
                    fix="set MASTER_PORT to a free port for all processes (torchrun: --master-port, or --standalone"
                    " for one machine)",
                ) from None
            raise UserError(
                f"process {rank} could not meet the others within {seconds:g} seconds"
                f" ({str(error).strip().splitlines()[0][:200]})",
                where=place,
                fix="start every process, the one of number 0 on that machine; MASTER_ADDR and MASTER_PORT must be the"
                " same for all, and no firewall between",
            ) from None

    @property
    def asked_elsewhere(self) -> str | None:
        """The signal by which another process was asked to stop."""
        return self._heartbeat.asked_elsewhere

    def give_up_after(self, seconds: float) -> None:
        """End this process once another one shows no sign of life for so long."""
        self._heartbeat.timeout = seconds

    def gpu(self, count: int) -> int:
        """The number of this process's own GPU, of `count`. Raises UserError when there are fewer than processes."""
        number = int(os.environ.get("LOCAL_RANK", self.rank))
        if number >= count:
            raise UserError(
                f"process {self.rank} has no GPU of its own: this machine has {count}",
                fix=f"start {count} processes on it (torchrun --nproc-per-node {count}), or --set device.device=cpu",
            )
        return number

    def tell(self, value: Any) -> None:
        """Say `value` to all others."""
        self.store.set(f"said/{self._said}", json.dumps(value))
        self._said += 1

    def hear(self) -> Any:
        """What main says next. Raises SystemExit with main's code once it has ended instead."""
        key = f"said/{self._said}"
        while not self.store.check([key]):
            self.leave_if_main_ended()
            time.sleep(LOOK_SECONDS)
        self._said += 1
        return json.loads(self.store.get(key))

    def heed_sigterm(self) -> None:
        """Until this process leaves, SIGTERM only asks for a stop, also where `stop_on_signals` is over: torchrun sends
        it to all others as soon as one has failed, and they still have to find out which one that was."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)

    def give_up(self, seconds: float) -> list[str]:
        """Leave because others are gone, and let all know; return the names of those that show no sign of life for
        `seconds`, for which it waits. Raises SystemExit where main has ended: it has said why."""
        _end_by_itself()
        try:
            self.leave_if_main_ended()
            gone = self._heartbeat.dead(seconds)
            if self.rank == 0:
                self.store.set("ended", str(EXIT_OURS))
        except RuntimeError:  # the store is what is gone
            by_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
            gone = ["torchrun on the machine of process 0" if by_torchrun else self._heartbeat.name(0)]
        self._leave(failed=True)
        return gone

    def leave_if_main_ended(self) -> None:
        """Raise SystemExit with main's exit code if it has one: it has said why. Raises RuntimeError without the
        store."""
        if self.rank == 0 or not self.store.check(["ended"]):
            return
        code = int(self.store.get("ended"))
        self.store.set(f"goodbye/{self.rank}", "")
        if code:
            _end_by_itself()
        self._leave()
        raise SystemExit(code)

    def close(self, code: int, *, together: bool) -> None:
        """Leave. Main says its exit code to the others and waits a moment for them; those that end `together` with it
        wait for that, however long main still has to write, and raise SystemExit unless the code is 0."""
        if self._left:
            return
        if code:
            _end_by_itself()
        if self.rank == 0:
            self._leave()  # first, or the end of another would be taken for the reason
            self._say_goodbye(code)
            return
        if together:
            try:
                while True:
                    self.leave_if_main_ended()
                    time.sleep(LOOK_SECONDS)
            except SystemExit as end:
                if end.code:
                    raise
            except RuntimeError:  # the store is gone, and main with it
                self._leave()
            return
        self._leave(failed=True)

    def _say_goodbye(self, code: int) -> None:
        deadline = time.monotonic() + GOODBYE_SECONDS
        try:
            self.store.set("ended", str(code))
            answers = [f"goodbye/{rank}" for rank in range(1, self.size)]
            while not self.store.check(answers) and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
        except RuntimeError:  # the store is gone: nobody hears it
            return

    def _leave(self, *, failed: bool = False) -> None:
        if self._left:
            return
        self._left = True
        self._heartbeat.close(failed=failed)
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _handle(self, _number: int, _frame: object) -> None:
        self.stop.name = self.stop.name or "SIGTERM"

    def _greet(self) -> None:
        """Tell the session to who said hello since."""
        for rank in range(1, self.size) if self.open else ():
            if not self._lobby.check([key := f"hello/{rank}"]):
                continue
            if (name := self._lobby.get(key)) != self._welcomed.get(rank):
                self._lobby.set(f"welcome/{name.decode()}", self._session)
                self._welcomed[rank] = name


def _end_by_itself() -> None:
    """Ignore SIGTERM: torchrun sends it to all others as soon as one has failed, and would hide their exit codes."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _connect(host_as: int | None, seconds: float) -> "Store":
    """A connection to the store; process 0 holds it where torchrun does not."""
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=host_as == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        wait_for_workers=False,
        timeout=timedelta(seconds=seconds),
    )
