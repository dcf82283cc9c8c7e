"""What the tests of faults share: preparation, what it kept, processes to kill, and a run that was killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import groundup
from groundup.cli import main
from groundup.corpus import Corpus
from groundup.events import Event, Logged
from groundup.runs import published
from groundup.verbs import finishing

sys.path.insert(0, str(Path(__file__).parent))  # makes its helpers importable: test folders are not packages

from torture import SETTINGS, STEPS, results

WEIGH = (
    "import resource, subprocess, sys; code = subprocess.call([sys.executable, '-m', 'groundup', *sys.argv[1:]]);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., Corpus]:
    """`groundup.prepare` on a folder; everything it writes must lie in the corpus."""

    def prepared(folder: Path, name: str = "corpus", **settings: Any) -> Corpus:
        before = set(tmp_path.rglob("*"))
        given = {key.replace("__", "."): value for key, value in settings.items()}
        corpus = groundup.prepare([folder], out=tmp_path / name, settings=given)
        outside = {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(tmp_path / name)}
        assert not outside, f"written outside of the corpus: {outside}"
        return corpus

    return prepared


@pytest.fixture(scope="session")
def rows() -> Callable[[Corpus, Path], dict[str, dict[str, Any]]]:
    """The ledger's rows by path in the folder; (status, reason) are what most tests look at."""

    def by_path(corpus: Corpus, folder: Path) -> dict[str, dict[str, Any]]:
        return {row["path"].removeprefix(f"{folder}/"): row for row in corpus.ledger()}

    return by_path


@pytest.fixture(scope="session")
def texts() -> Callable[[Corpus], list[str]]:
    """The texts of a corpus as its tokens give them back, training before validation."""

    def decoded(corpus: Corpus) -> list[str]:
        streams = (corpus.train, corpus.validation)
        return [
            corpus.tokenizer.decode(stream.document(n).tolist())
            for stream in streams
            for n in range(len(stream.document_ends))
        ]

    return decoded


@pytest.fixture(scope="session")
def weigh() -> Callable[..., tuple[subprocess.CompletedProcess[str], int]]:
    """Run the command line: what became of it, and the most memory in bytes that any of its processes held."""

    def run(*arguments: object) -> tuple[subprocess.CompletedProcess[str], int]:
        command = [sys.executable, "-c", WEIGH, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=800)
        return done, int(done.stdout.splitlines()[-1]) * (1 if sys.platform == "darwin" else 1024)

    return run


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a forked process, which saves the seconds that a new Python takes to load torch."""
    folder = tmp_path_factory.mktemp("cli")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        pid = os.fork()
        if not pid:
            code: object = 1
            try:
                signal.alarm(120)
                for name, descriptor in (("out", 1), ("err", 2)):
                    os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
                sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
                main([str(argument) for argument in arguments])
                code = 0
            except SystemExit as end:
                code = end.code or 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code if isinstance(code, int) else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return subprocess.CompletedProcess(arguments, code, (folder / "out").read_text(), (folder / "err").read_text())

    return run


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Runs finish without their pictures and their page, which take half of the time of so small a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finishing, "draw", lambda *_, **__: None)
        patch.setattr(finishing, "write_report", lambda *_: None)
        yield


class Running:
    """The command line at work, with all processes it has started."""

    def __init__(self, arguments: list[str], log: Path, env: dict[str, str]) -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "groundup", *arguments],
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, **env},
            )
        self.family: set[psutil.Process] = {psutil.Process(self.process.pid)}

    def children(self, module: str = "") -> list[psutil.Process]:
        """Living processes below it; those of a module such as "documents.worker"."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if child.status() != psutil.STATUS_ZOMBIE and f"groundup.{module}" in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                pass
        self.family |= set(found)
        return found

    def wait_for(self, what: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait until `what` gives something while the command is at work; that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := what():
                return found
            time.sleep(0.002)
        pytest.fail(f"it did not come to that: {self.log.read_text()}")

    def wait_for_phase(self, name: str) -> None:
        self.wait_for(lambda: f"{name}:" in self.log.read_text())

    def end(self, seconds: float = 30) -> tuple[int, str]:
        """Its exit code and output; none of its processes may outlive it by more than seconds."""
        code = self.process.wait(seconds)
        deadline = time.monotonic() + 10
        while (left := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left, f"left behind: {left}"
        return code, self.log.read_text()

    def alive(self) -> list[psutil.Process]:
        return [p for p in self.family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def kill(self, group: bool) -> None:
        """kill -9 of the command, with or without all that it has started."""
        others = [*self.children("documents.worker"), *self.children("corpus.preparation.worker")]
        self.process.kill()
        for child in others if group else []:
            child.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `groundup ARGUMENTS` and go on beside it."""
    begun: list[Running] = []

    def run(*arguments: object, **env: str) -> Running:
        log = tmp_path.with_name(f"{tmp_path.name}.log-{len(begun)}")
        begun.append(Running([str(argument) for argument in arguments], log, env))
        return begun[-1]

    yield run
    for running in begun:
        for process in running.alive():
            process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="session")
def whole(corpus_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of the run that nothing disturbed and whose every save was waited for."""
    out = tmp_path_factory.mktemp("whole") / "run"
    settings = SETTINGS | {"checkpoint.asynchronous": False}
    return results(groundup.train(corpus_dir, out=out, steps=STEPS, settings=settings).path)


@pytest.fixture(scope="session")
def killed(corpus_dir: Path, tmp_path_factory: pytest.TempPathFactory, in_child: Callable[..., int]) -> Path:
    """A run killed at step 14, with checkpoints 0, 8 and 12. Not to be changed."""
    out = tmp_path_factory.mktemp("killed") / "run"
    settings = SETTINGS | {"checkpoint.asynchronous": False}

    def listen(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 14:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: groundup.train(corpus_dir, out=out, steps=STEPS, settings=settings, listen=listen)) == -9
    assert list(published(out)) == [0, 8, 12]
    return out


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> Path:
    """A copy of `killed`, to be changed."""
    return Path(shutil.copytree(killed, tmp_path / "run", symlinks=True))
