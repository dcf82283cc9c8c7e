"""Checkpoints saved beside training: a step stalls for a copy in memory, and a thread of its own makes it durable."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from groundup import runs
from groundup.config import Config
from groundup.corpus import Tokenizer
from groundup.errors import UserError
from groundup.events import Listener, Notice, Saved
from groundup.model import Transformer
from groundup.training.checkpoint import Staging, writer
from groundup.training.metrics import Metrics
from groundup.training.optimizers import Optimizers
from groundup.training.state import State

MORE_BYTES = 1 << 16
"""Of a checkpoint, beside its tensors and its tokenizer: JSON files and headers."""


def scheduled(config: Config, step: int) -> bool:
    """Whether a run saves at `step` unasked: at evaluations, and every `checkpoint.every` steps."""
    return any(step % (every or 1) == 0 for every in (config.evaluation.every, config.checkpoint.every))


@dataclass(frozen=True)
class _Durable:
    """A save that is done: where, when, and seconds from its beginning."""

    path: Path
    time: str
    seconds: float


class Saver:
    """Saves the checkpoints of one run, one at a time, and points `best` at them.

    With `checkpoint.asynchronous` what is saved is copied first, and training goes on while it is written; at most one
    save is under way. Everything that touches the run's checkpoints happens on that one thread, in the order asked
    for; events are reported on the caller's. Leaving the context waits for what is under way.
    """

    def __init__(self, run: Path, config: Config, tokenizer: Tokenizer, metrics: Metrics, listen: Listener) -> None:
        self._run, self._config = run, config
        self._tokenizer, self._eos_id = tokenizer.to_json().encode(), tokenizer.eos_id
        self._metrics, self._listen = metrics, listen
        self._thread = ThreadPoolExecutor(1, "checkpoint") if config.checkpoint.asynchronous else None
        self._under_way: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()
        self._weights, self._moments = Staging(), Staging()
        self._hashed: set[int] = set()
        self._best_of: dict[int, int | None] = {}

    def save(self, model: Transformer, optimizers: Optimizers, state: State) -> None:
        """Save `state`, which must not change any more, with the weights and moments of this moment.

        Waits for the save before; raises UserError where that one, or without a thread this one, has failed.
        """
        began = time.monotonic()
        self.wait()
        weights: Mapping[str, Tensor] = model.state_dict()
        moments: Mapping[str, Tensor] = optimizers.state_tensors()
        if self._thread:
            weights, moments = self._weights.copy(weights), self._moments.copy(moments)
        stalled = time.monotonic() - began
        tensors = sum(tensor.nbytes for held in (weights, moments) for tensor in held.values())
        size = tensors + len(self._tokenizer) + MORE_BYTES
        write = writer(model, self._tokenizer, self._eos_id, weights, moments, state)

        def report(done: _Durable) -> None:
            self._metrics.event(
                "saved",
                time=done.time,
                step=state.step,
                seconds=round(done.seconds, 3),
                stall_seconds=round(stalled if self._thread else done.seconds, 3),
            )
            self._listen(Saved(state.step, done.path, done.seconds))

        self._do(lambda: self._publish(state, write, size, began), report)

    def link_best(self, step: int) -> None:
        """Point `best` at the checkpoint of `step`, once it is published; a warning where there is none."""
        checkpoint = self._run / f"step-{step:08d}"

        def link() -> bool:
            if there := checkpoint.is_dir():
                runs.link_best(self._run, checkpoint)
            return there

        def report(there: bool) -> None:
            if not there:
                self._listen(Notice(f"`best` stays as it was: there is no checkpoint of step {step}", "warning"))

        self._do(link, report)

    def check(self) -> None:
        """Report what is done by now; raise UserError where it failed."""
        while self._under_way and self._under_way[0][0].done():
            work, report = self._under_way.popleft()
            report(work.result())

    def wait(self) -> None:
        """Return when everything asked for is on the disk; raise UserError where it failed."""
        while self._under_way:
            self._under_way[0][0].exception()
            self.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.wait()
        except Exception as failure:
            if error is None:
                raise
            self._listen(Notice(str(failure), "error"))  # what ended the run is on its way already
        finally:
            if self._thread:
                self._thread.shutdown()

    def _do(self, work: Callable[[], Any], report: Callable[[Any], None]) -> None:
        if self._thread:
            self._under_way.append((self._thread.submit(work), report))
        else:
            report(work())

    def _publish(self, state: State, write: Callable[[Path], None], size: int, began: float) -> _Durable:
        self._metrics.sync()  # the figures of the steps before are on the disk before the checkpoint is
        path = runs.publish(self._run, state.step, write, size=size)
        durable = _Durable(path, datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic() - began)
        self._hashed.add(state.step)
        self._best_of[state.step] = state.best_step
        self._prune()
        return durable

    def _prune(self) -> None:
        settings = self._config.checkpoint
        lasting = settings.keep_every * (settings.every or 1)
        runs.prune(
            self._run,
            keep=settings.keep,
            spare={0, *(step for step in runs.published(self._run) if lasting and step % lasting == 0)},
            every=lambda step: scheduled(self._config, step),
            needs=self._needs,
            hashed=self._hashed,
        )

    def _needs(self, step: int) -> int | None:
        if step not in self._best_of:
            try:
                self._best_of[step] = State.load(self._run / f"step-{step:08d}" / "training" / "state.json").best_step
            except UserError:  # it is damaged, and no run goes on from it
                return None
        return self._best_of[step]
