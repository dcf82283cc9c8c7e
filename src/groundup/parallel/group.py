"""The processes that train one run together, as torchrun starts them: data parallel through DistributedDataParallel.

Process 0, the main one, reads the documents, decides, writes every file and prints. The others wait for what it says
(`hear`), then all take their share of each batch, and add up gradients, losses, and whether one was asked to stop.
Alone, a group has one process, and everything here is trivial: nothing is imported and nobody is asked.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from groundup.cores import process_of_run
from groundup.errors import EXIT_OK, EXIT_OURS, EXIT_STOPPED, EXIT_USER, Lost, Stopped, UserError
from groundup.runs import StopRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from groundup.parallel.meeting import Meeting

COLLECTIVE_SECONDS = 7200  # main alone saves and draws samples in the meantime; who is dead is known by its heartbeat
DEAD_SECONDS = 2.0  # without a beat: who lives has written four


class Group:
    """`size` processes, of which this is the one of number `rank`."""

    def __init__(self, meeting: "Meeting | None" = None) -> None:
        self._meeting = meeting
        self.rank, self.size = (meeting.rank, meeting.size) if meeting else (0, 1)
        self.connected = False
        self.broken = False
        """Whether a sum failed, because of another process or the network."""
        self._stop = meeting.stop if meeting else StopRequest()
        self._agreed: str | None = None
        """By what all were asked to stop, once all know it."""

    @property
    def is_main(self) -> bool:
        """Whether this process prepares, decides, writes and prints."""
        return self.rank == 0

    def heed(self, stop: StopRequest) -> None:
        """From now on `poll` raises when `stop` was asked for, or another process was."""
        stop.name = stop.name or self._stop.name
        self._stop = stop
        if self._meeting:
            self._meeting.stop = stop

    def poll(self) -> None:
        """Raise Stopped once any process was asked to stop: in the preparation at once; once connected, in all
        processes after the same `sum`, so that none is left waiting for the others."""
        if self._meeting is None:
            self._stop.poll()
        elif self.connected:
            if self._agreed:
                raise Stopped(f"stopped by {self._agreed}")
        elif name := self._stop.name or self._meeting.asked_elsewhere:
            raise Stopped(f"stopped by {name}")

    def give_up_after(self, seconds: float) -> None:
        """End this process once another one shows no sign of life for so long."""
        if self._meeting:
            self._meeting.give_up_after(seconds)

    def share(self, count: int) -> range:
        """This process's part of `count` rows: in one piece, and as large as the others' or one less or more."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def tell(self, value: Any) -> Any:
        """Let main say `value` (as JSON) to the others, which `hear` it; return it."""
        if self._meeting:
            with self._breaking():
                self._meeting.tell(value)
        return value

    def hear(self) -> Any:
        """What main says next; waits as long as main is alive. Raises SystemExit with main's code when it ended."""
        assert self._meeting and not self.is_main
        with self._breaking():
            return self._meeting.hear()

    def agree(self, value: Any) -> Any:
        """Main's `value`, in every process."""
        return self.tell(value) if self.is_main else self.hear()

    def connect(self, device: "torch.device") -> None:
        """Begin to compute together on `device`: gloo between processors, NCCL between GPUs, one for each process."""
        if self._meeting is None or self.connected:
            return
        import torch
        import torch.distributed as dist

        if device.type == "cuda":
            torch.cuda.set_device(self._meeting.gpu(torch.cuda.device_count()))
        with self._breaking():
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
                store=self._meeting.store,
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=COLLECTIVE_SECONDS),
            )
        self.connected, self._meeting.open = True, False

    def sum(self, figures: Sequence[float]) -> list[float]:
        """The sum of each figure over the processes, in float64; whether one was asked to stop is agreed with it.

        Every process must come to the same sums in the same order. Raises Lost when another one is gone.
        """
        if not self.connected:
            return list(figures)
        import torch
        import torch.distributed as dist

        assert self._meeting
        name = self._stop.name
        sums = torch.tensor([*figures, name is not None], dtype=torch.float64)
        with self._breaking():
            if name:
                self._meeting.store.set("asked", name)  # before the sum, after which all look for it
            dist.all_reduce(sums)
            *totals, asked = sums.tolist()
            if asked and not self._agreed:
                self._agreed = self._meeting.store.get("asked").decode()
        return totals

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process."""
        return self.sum([flag])[0] > 0

    def data_parallel(
        self, model: "nn.Module", function: "Callable[..., tuple[Tensor, Tensor]]"
    ) -> "Callable[..., tuple[Tensor, Tensor]]":
        """`function(model, inputs, targets)` as a function of (inputs, targets, last).

        Where it is differentiated with `last`, gradients are added up over all processes, with what came before: true
        for the last microbatch of a step. They are sums, not the means that DDP takes by itself.
        """
        if not self.connected:
            return lambda inputs, targets, last: function(model, inputs, targets)
        import torch.distributed as dist
        from torch.nn.parallel import DistributedDataParallel

        from groundup.parallel.applied import Applied

        def added(future: Any) -> Any:
            try:
                return future.value()[0]
            except RuntimeError:
                self.broken = True
                raise

        def add_up(_, bucket):  # DDP accepts only its own private names as types
            work = dist.all_reduce(bucket.buffer(), async_op=True)
            assert work
            return work.get_future().then(added)

        with self._breaking(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 renames the argument; 2.7 has no other
            everywhere = DistributedDataParallel(Applied(function, model), broadcast_buffers=False)
        everywhere.register_comm_hook(None, add_up)

        def forward(inputs: "Tensor", targets: "Tensor", last: bool) -> "tuple[Tensor, Tensor]":
            with nullcontext() if last else everywhere.no_sync():
                return everywhere(inputs, targets)

        return forward

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError:  # what gloo and NCCL raise has no name of its own
            self.broken = True
            raise

    def lost(self, error: BaseException) -> Lost:
        """The error of a process that another one left alone; waits a moment to learn which one that was. Raises
        SystemExit where main has ended: it has said why."""
        assert self._meeting
        gone = self._meeting.give_up(DEAD_SECONDS)
        who = ", ".join(gone) if gone else "another process"
        detail = str(error).strip().split("\n")[0][:200]
        return Lost(
            f"{who} ended, or the network between failed ({detail})",
            fix="started again, the run continues from its last checkpoint; `torchrun --max-restarts 3` does that by"
            " itself",
        )


@contextmanager
def group_of_processes() -> Iterator[Group]:
    """The group of which torchrun's environment makes this process a member; a group of one without it.

    At its end the others wait for main, and leave with its exit code (as SystemExit, since main has said why). Raises
    Lost where another process is gone, UserError where the processes do not find each other.
    """
    if process_of_run()[1] == 1:
        yield Group()
        return
    from groundup.parallel.meeting import Meeting

    meeting = Meeting.join(*process_of_run())
    meeting.heed_sigterm()
    group = Group(meeting)
    try:
        yield group
    except BaseException as error:
        if group.broken and isinstance(error, RuntimeError):
            raise group.lost(error) from None
        code = EXIT_STOPPED if isinstance(error, Stopped) else EXIT_USER if isinstance(error, UserError) else EXIT_OURS
        meeting.close(code, together=isinstance(error, Stopped))
        raise
    meeting.close(EXIT_OK, together=True)
