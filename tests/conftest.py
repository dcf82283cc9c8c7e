"""What the tests of training and of the verbs share: one thread, a text written by a grammar, one finished run."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: figures are compared to the last bit

import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# the same examples every time, however slow the machine
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

WORDS = {
    "noun": [
        "river",
        "mountain",
        "teacher",
        "lantern",
        "garden",
        "engine",
        "letter",
        "winter",
        "harbor",
        "window",
        "machine",
        "forest",
        "story",
        "clock",
    ],
    "adjective": [
        "old",
        "quiet",
        "bright",
        "small",
        "patient",
        "broken",
        "early",
        "distant",
        "green",
        "careful",
        "heavy",
        "simple",
    ],
    "verb": [
        "watches",
        "carries",
        "follows",
        "repairs",
        "remembers",
        "finds",
        "leaves",
        "crosses",
        "opens",
        "paints",
        "measures",
    ],
    "adverb": ["slowly", "often", "never", "again", "quietly", "at once", "in the morning", "without a word"],
    "place": [
        "behind the mill",
        "near the shore",
        "under the bridge",
        "in the northern town",
        "on the long road",
        "by the gate",
    ],
}
SENTENCES = (
    "The {adjective} {noun} {verb} the {noun} {place}.",
    "A {noun} {verb} every {adjective} {noun}, and the {noun} {verb} it {adverb}.",
    "{place}, where the {noun} is {adjective}, nobody {verb} the {noun}.",
    "Is the {noun} {adjective}? It {verb} the {adjective} {noun} {adverb}.",
    "When the {noun} {verb} the {noun}, {n} of the {noun}s stay {place}.",
)


def compose(seed: int, paragraphs: int) -> str:
    """English-like text, always the same for a seed."""
    draw = random.Random(seed)

    def sentence() -> str:
        text = draw.choice(SENTENCES)
        while "{" in text:
            name = text[text.index("{") + 1 : text.index("}")]
            word = str(draw.randrange(2, 90)) if name == "n" else draw.choice(WORDS[name])
            text = text.replace("{" + name + "}", word, 1)
        return text[0].upper() + text[1:]

    return "\n\n".join(" ".join(sentence() for _ in range(draw.randrange(2, 6))) for _ in range(paragraphs)) + "\n"


@pytest.fixture(scope="session")
def write_text() -> Callable[[int, int], str]:
    """`compose`: (seed, paragraphs) to text."""
    return compose


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 texts, about 25 KB."""
    folder = tmp_path_factory.mktemp("library") / "documents"
    folder.mkdir()
    for number in range(20):
        (folder / f"text-{number:02d}.txt").write_text(compose(number, 6), encoding="utf-8")
    return folder


TINY = {
    "model.layers": 2,
    "model.width": 32,
    "model.context": 32,
    "training.tokens_per_update": 256,
    "training.log_every": 2,
    "evaluation.every": 8,
    "evaluation.tokens": 1_000,
    "checkpoint.every": 4,
    "samples.max_new_tokens": 8,
    "device.precision": "float32",
}


@pytest.fixture(scope="session")
def tiny_settings() -> dict[str, Any]:
    """Settings of a model that trains 20 steps in less than a second."""
    return TINY


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The same, to be changed."""
    return dict(TINY)


@pytest.fixture(scope="session")
def corpus_dir(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `prepare` makes of `documents`: training on it starts at once."""
    from groundup import verbs

    out = tmp_path_factory.mktemp("prepared") / "corpus"
    verbs.prepare([documents], out=out)
    return out


@pytest.fixture(scope="session")
def finished(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps on `documents`, finished. Not to be changed: copy it first."""
    from groundup import verbs

    out = tmp_path_factory.mktemp("finished") / "run"
    verbs.train(documents, out=out, steps=20, settings=TINY)
    return out


@pytest.fixture(scope="session")
def in_child() -> Callable[..., int]:
    """Run a function in a forked process: its exit code, or minus the signal that ended it, as subprocess says it.

    A fork is a process of its own to every lock, signal and kill, and saves the seconds that imports take. It is
    killed after `kill_after` seconds, and what it prints goes to the file `output`.
    """
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")

    def run(work: Callable[[], object], *, kill_after: float | None = None, output: Path | None = None) -> int:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                signal.alarm(60)
                if output:
                    sys.stdout = sys.stderr = output.open("w", encoding="utf-8")
                work()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return run


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own: `command("train", ..., env={}, cwd=...)`."""

    def run(*arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "groundup", *map(str, arguments)],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
