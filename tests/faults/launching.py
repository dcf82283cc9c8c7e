"""Starting the processes of a run, with torchrun and without: forked from one that has torch loaded, which takes two
seconds each time."""

import multiprocessing
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

PRELOADED = ("torch._dynamo", "torch.distributed.run", "groundup.verbs.training", "cyclopts", "rich.console")
# groundup.cli is not among them: it reads the clock when it is imported
PRELOADED += ("matplotlib.figure", "matplotlib.backends.backend_agg")


def work(log: Path, environment: Mapping[str, str], prefix: Sequence[str], module: str, words: list[str]) -> None:
    """Be `python -m MODULE WORDS`; with a `prefix` (a command that runs another) by starting it."""
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.update(environment)
    sys.argv = [module, *words]
    if prefix:
        os.execvp(prefix[0], [*prefix, sys.executable, "-m", module, *words])
    if module == "groundup":
        from groundup.cli.main import main
    else:
        from torch.distributed.run import main
    main(words)


class Launched:
    """A process at work, and what it says."""

    def __init__(self, log: Path, environment: Mapping[str, str], prefix: Sequence[str], module: str, words: list[str]):
        self.log = log
        log.touch()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        environment = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | dict(environment)
        self.process = context.Process(target=work, args=(log, environment, prefix, module, words))
        self.process.start()
        assert self.process.pid
        self.pid = self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text()

    def workers(self) -> list[psutil.Process]:
        """The processes that torchrun started, by rank."""
        found = {}
        for child in psutil.Process(self.pid).children(recursive=True):
            try:
                environment = child.environ()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if "RANK" in environment and "groundup" in " ".join(child.cmdline()):
                found.setdefault(int(environment["RANK"]), child)
        return [found[rank] for rank in sorted(found)]

    def wait_for(self, what: Callable[[], Any], seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.is_alive():
            if found := what():
                return found
            time.sleep(0.005)
        pytest.fail(f"it did not come to that: {self.output}")

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self, seconds: float = 120) -> tuple[int, str]:
        """Its exit code (of a signal, minus its number) and what it said."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            pytest.fail(f"it did not end: {self.output}")
        return self.process.exitcode, self.output

    def codes(self) -> dict[int, int]:
        """Exit codes by rank, as torchrun reports those that are not 0."""
        pairs = re.findall(r"^\s+rank +: (\d+).*\n\s+exitcode +: (-?\d+)", self.output, re.M)
        return {int(rank): int(code) for rank, code in pairs}

    def kill(self) -> None:
        """End it, and all that it started."""
        if self.process.is_alive():
            for process in [*psutil.Process(self.pid).children(recursive=True), psutil.Process(self.pid)]:
                process.kill()
        self.process.join()


class Launcher:
    """Starts processes, each with a log below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._begun = folder, list[Launched]()

    def torchrun(
        self,
        processes: int,
        *arguments: object,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
        **environment: str,
    ) -> Launched:
        """`torchrun OPTIONS -m groundup ARGUMENTS`."""
        where = [] if any("master" in option for option in options) else ["--standalone"]
        words = [*where, f"--nproc-per-node={processes}", *options, "-m", "groundup", *map(str, arguments)]
        return self._start("torch.distributed.run", words, environment, prefix)

    def process(self, rank: int, size: int, port: int, *arguments: object) -> Launched:
        """One process of a group that no torchrun has started, as some schedulers do it."""
        environment = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        return self._start("groundup", [str(word) for word in arguments], {k: str(v) for k, v in environment.items()})

    def group(self, size: int, *arguments: object) -> list[Launched]:
        """All processes of such a group."""
        port = free_port()
        return [self.process(rank, size, port, *arguments) for rank in range(size)]

    def close(self) -> None:
        for launched in self._begun:
            launched.kill()

    def _start(
        self, module: str, words: list[str], environment: Mapping[str, str], prefix: Sequence[str] = ()
    ) -> Launched:
        log = self._folder / f"log-{len(self._begun)}"
        self._begun.append(Launched(log, environment, prefix, module, words))
        return self._begun[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def all_end(group: Sequence[Launched], code: int = 0) -> str:
    """Wait for all of them to end with `code`; return what the first one said."""
    outputs = []
    for launched in group:
        found, output = launched.end()
        assert found == code, output
        outputs.append(output)
    return outputs[0]
