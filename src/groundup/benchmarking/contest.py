"""Contests: each entrant keeps its model alive in a process of its own, and one at a time works for a turn.

Every round gives each entrant a turn, in an order that is reversed in every second round: whatever else the machine
does then falls on all of them alike, and ratios are taken within rounds.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

import psutil

from groundup.cores import usable_cores
from groundup.errors import UserError
from groundup.events import Listener, Phase, Progress, nobody

REQUEST_SECONDS = 1_800.0
_CONTESTANT = Path(__file__).with_name("contestant.py")


@dataclass(frozen=True)
class Entrant:
    """Who takes part: a file that defines `make(settings)`, as contestant.py says."""

    name: str
    file: Path
    settings: dict[str, Any]
    pythons: Sequence[str] = (sys.executable,)
    """Interpreters, the first of which has all that is needed runs it."""
    memory_bytes: int = 0
    """What it is expected to hold at its peak; it is left out where less is free."""
    limit_seconds: float = REQUEST_SECONDS
    """After which its process is ended when it has not answered."""


@dataclass
class Outcome:
    """How an entrant fared."""

    name: str
    status: Literal["measured", "not installed", "left out", "died"]
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    """What it told after its warm-up, and at its end `peak_memory_bytes`."""
    rounds: list[dict[str, Any]] = field(default_factory=list)
    """What it did in each round, with `seconds` of wall clock and `cpu_seconds`."""

    def rates(self, unit: str) -> list[float]:
        """`unit` per second in each round."""
        return [turn[unit] / turn["seconds"] for turn in self.rounds]


def contest(
    entrants: Sequence[Entrant], *, rounds: int, seconds: float, threads: int, name: str, listen: Listener = nobody
) -> list[Outcome]:
    """Start all entrants one after the other, give each `rounds` turns of `seconds`, and end them.

    `threads` is each process's OMP_NUM_THREADS; `name` is what the listener hears.
    """
    with ExitStack() as stack:
        listen(Phase(f"{name}: starting and warming up", len(entrants), "contestants"))
        started: list[tuple[Outcome, _Process | None]] = []
        for entrant in entrants:
            started.append(_start(entrant, threads, stack))
            listen(Progress(len(started), entrant.name))
        taking = [(outcome, process) for outcome, process in started if process]
        listen(Phase(f"{name}: measuring", rounds * len(taking), "turns"))
        turns = [pair for turn in range(rounds) for pair in (reversed(taking) if turn % 2 else taking)]
        for done, (outcome, process) in enumerate(turns, 1):
            if outcome.status == "measured":
                _ask(outcome, process, {"run": seconds}, outcome.rounds.append)
            listen(Progress(done, outcome.name))
        for outcome, process in taking:
            if outcome.status == "measured":
                _ask(outcome, process, {"end": True}, outcome.facts.update)
    return [outcome for outcome, _ in started]


def check_threads(threads: int) -> None:
    """Raise UserError unless the machine has cores for so many threads: beyond them, waiting would be measured."""
    cores = usable_cores()
    if not 1 <= threads <= cores:
        raise UserError(f"is {threads}", where="--threads", fix=f"use 1 to {cores}, the cores of this machine")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": median(values), "min": min(values), "max": max(values)}


class _Died(Exception):
    """The process ended without an answer; says why."""


class _Process:
    """A contestant's process."""

    def __init__(self, entrant: Entrant, python: str, threads: int) -> None:
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")
        # `import groundup` set it here; a peer must not have it, and our own contestants set it again
        environment.pop("GOMP_SPINCOUNT", None)
        self._limit, self._late = entrant.limit_seconds, False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(
            [python, str(_CONTESTANT), str(entrant.file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            encoding="utf-8",
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to `request`; raises _Died."""
        assert self._process.stdin and self._process.stdout
        late = threading.Timer(self._limit, self._take_too_long)
        late.daemon = True
        late.start()
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            late.cancel()
        if not line.endswith("\n"):
            raise _Died(self._why())
        return json.loads(line)

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(OSError):  # what was not read yet cannot be flushed any more
                stream.close()  # pyright: ignore[reportOptionalMemberAccess]

    def _take_too_long(self) -> None:
        self._late = True
        self._process.kill()

    def _why(self) -> str:
        code = self._process.wait()
        if self._late:
            return f"took longer than {self._limit:,g} seconds to answer"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        ended = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"{ended}: {said[-1][:300]}" if said else ended


def _start(entrant: Entrant, threads: int, stack: ExitStack) -> tuple[Outcome, _Process | None]:
    free = psutil.virtual_memory().available
    if free < entrant.memory_bytes:
        reason = f"needs about {entrant.memory_bytes / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free"
        return Outcome(entrant.name, "left out", reason), None
    missing = []
    for python in entrant.pythons:
        try:
            process = _Process(entrant, python, threads)
        except OSError as error:
            missing.append(f"{python}: {error.strerror or error}")
            continue
        stack.callback(process.close)
        try:
            facts = process.ask(entrant.settings)
        except _Died as died:
            return Outcome(entrant.name, "died", str(died)), None
        if "missing" not in facts:
            return Outcome(entrant.name, "measured", facts=facts), process
        asked = "this interpreter" if python == sys.executable else python
        missing.append(f"{asked} has no {facts['missing']}")
    return Outcome(entrant.name, "not installed", "; ".join(missing)), None


def _ask(outcome: Outcome, process: _Process | None, request: dict[str, Any], keep: Any) -> None:
    assert process
    try:
        keep(process.ask(request))
    except _Died as died:
        outcome.status, outcome.reason = "died", str(died)
