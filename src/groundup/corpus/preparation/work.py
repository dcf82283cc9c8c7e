"""The working directory of a preparation, and the child processes that work on its parts."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from groundup.config import Config
from groundup.corpus.preparation.store import part_path
from groundup.corpus.tokenizer import Tokenizer
from groundup.errors import UserError
from groundup.runs import read_json, write_atomic


@dataclass(frozen=True)
class Work:
    """Names of the files that the stages hand on to each other; stages know nothing else of the preparation."""

    path: Path

    @classmethod
    def begin(cls, path: Path, config: Config) -> "Work":
        """Write down the settings for every process that will work in `path`."""
        planned = {key.removeprefix("data.") for key in config.planned}
        data = {name: None if name in planned else value for name, value in asdict(config.data).items()}
        settings = {"data": data, "seed": config.training.seed, "minutes": config.training.minutes}
        write_atomic(path / "settings.json", json.dumps(settings))
        return cls(path)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """`data` as in the configuration, `seed` and `minutes`."""
        return read_json(self.path / "settings.json")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that was learned."""
        return Tokenizer.load(self.path / "tokenizer.json")

    def note(self, name: str, value: Any) -> None:
        """Write a small decision for later stages."""
        write_atomic(self.path / f"{name}.json", json.dumps(value), durable=False)

    def noted(self, name: str) -> Any:
        """A decision of an earlier stage."""
        return read_json(self.path / f"{name}.json")

    def folder(self, name: str) -> Path:
        """A folder of one file for each part."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    def texts(self, part: int) -> Path:
        """Texts and ledger rows as they were read."""
        return part_path(self.folder("texts"), part)

    def clean(self, part: int) -> Path:
        """The same after cleaning."""
        return part_path(self.folder("clean"), part)

    def save(self, name: str, part: int, **arrays: np.ndarray) -> None:
        """Write arrays of a part under `name`, whole or not at all."""
        path = self.folder(name) / f"{part:05d}.npz"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)

    def load(self, name: str, part: int, *keys: str) -> dict[str, np.ndarray]:
        """The arrays of a part, or those named `keys`."""
        with np.load(self.folder(name) / f"{part:05d}.npz") as arrays:
            return {key: arrays[key] for key in keys or arrays}

    def has(self, name: str, part: int = 0) -> bool:
        """Whether `save` was called with this name and part."""
        return (self.path / name / f"{part:05d}.npz").is_file()


Stage = Callable[[Work, int], None]


class Crew:
    """Child processes that run stages on parts of a working directory; each part on one core."""

    def __init__(self, work: Work, size: int) -> None:
        self._work = work
        self._threads = ThreadPoolExecutor(size, "groundup-stage")
        self._local = threading.local()
        self._children: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, stage: Stage, part: int) -> Future[None]:
        """Run `stage`, one of groundup.corpus.preparation.stages, on a part."""
        return self._threads.submit(self._ask, stage.__name__, part)

    def close(self) -> None:
        """Stop the children, at once."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.process.kill()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.process.wait()

    def _ask(self, stage: str, part: int) -> None:
        child: _Child | None = getattr(self._local, "child", None)
        if child is None:
            with self._lock:
                if self._closed:
                    return
                child = self._local.child = _Child.start(self._work)
                self._children.add(child)
        answer = child.ask([stage, part])
        if not answer:
            self._local.child = None  # the next part has a child that lives
            if self._closed:
                return
        child.check(answer, stage, part)


@dataclass(frozen=True, eq=False)
class _Child:
    process: subprocess.Popen[str]
    log: IO[str]

    @classmethod
    def start(cls, work: Work) -> "_Child":
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the child)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "groundup.corpus.preparation.worker", str(work.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C goes to the parent alone
            env={**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"},
        )
        return cls(process, log)

    def ask(self, request: list[Any]) -> str:
        """The answer, or "" when the process died."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            return self.process.stdout.readline()
        except OSError:
            return ""

    def check(self, answer: str, stage: str, part: int) -> None:
        """Raise what `answer` says; UserError or RuntimeError where there is none, because the process died."""
        if answer:
            if error := json.loads(answer):
                raise UserError(error[0], where=error[1], fix=error[2])
            return
        code = self.process.wait()
        if code == -signal.SIGKILL:
            raise UserError(
                f"a process was killed in stage {stage} of part {part}, most likely because memory ran out",
                fix="run it again with fewer processes: OMP_NUM_THREADS=1; what was read is kept",
            )
        self.log.seek(0)
        raise RuntimeError(f"stage {stage} of part {part} ended with code {code}:\n{self.log.read()[-4000:]}")


def ask_once(work: Work, stage: str, part: int) -> None:
    """Run a stage in a child process of its own."""
    child = _Child.start(work)
    try:
        child.check(child.ask([stage, part]), stage, part)
    finally:
        child.process.kill()
        child.process.wait()


def await_each(futures: Iterable[Future[None]], poll: Callable[[], None]) -> Iterator[None]:
    """Wait for each of `futures` in turn, and raise what it raises; `poll` is called at least five times a second."""
    for future in futures:
        while not future.done():
            poll()
            wait([future], timeout=0.2)
        future.result()
        yield
