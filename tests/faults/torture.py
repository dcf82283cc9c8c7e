"""Kills a small run with SIGKILL, over and over, at random moments, before file operations and while it saves, and
compares all that it leaves in the end with the run that nothing disturbed.

    python tests/faults/torture.py --kills 500 --seed 1     # make torture
    python tests/faults/torture.py --minutes 10 --out benchmarks/results/kills.json

Each trial is a function of its seed, but for what the clock decides of the moments: `--kills 1 --seed S` repeats it.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: what is compared is compared to the last bit

FIGURES = ("metrics.jsonl", "training_metrics.json", "probes.jsonl", "samples.jsonl")
STEPS = 20
SETTINGS = {
    "model.layers": 2,
    "model.width": 32,
    "model.context": 32,
    "model.dropout": 0.1,
    "training.tokens_per_update": 256,
    "training.log_every": 2,
    "evaluation.every": 8,
    "evaluation.tokens": 1_000,
    "checkpoint.every": 4,
    "samples.max_new_tokens": 8,
    "device.precision": "float32",
}
OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
HUNG = 120  # seconds after which a process that was not killed is taken to hang

Work = Callable[[], object]


def results(run: Path) -> dict[str, bytes]:
    """What must be byte-equal: the figures, every file of every kept checkpoint, and which one is best."""
    files = {name: (run / name).read_bytes() for name in FIGURES}
    for checkpoint in run.glob("step-*"):
        for path in checkpoint.rglob("*"):
            if path.is_file():
                files[path.relative_to(run).as_posix()] = path.read_bytes()
    return files | {"best": (run / "best").resolve().name.encode()}


def differences(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    """The names of files that are missing, too many, or other than they should be."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


@dataclass(frozen=True)
class Blow:
    """How a process is killed: after seconds, before its n-th file operation, or some time into its n-th save."""

    kind: Literal["time", "operation", "save"]
    number: int = 0
    seconds: float = 0.0

    @classmethod
    def draw(cls, draw: random.Random, seconds: float, operations: int) -> "Blow":
        """A blow to a run that takes `seconds` and so many file operations."""
        kind = draw.choices(["time", "operation", "save"], [3, 5, 2])[0]
        if kind == "time":
            return cls("time", seconds=draw.uniform(0, seconds))
        if kind == "operation":
            return cls("operation", number=draw.randint(1, operations))
        return cls("save", number=draw.randint(1, 4), seconds=draw.choice([0, 1e-4, 1e-3, 3e-3, 1e-2]))


def before_operations(act: Callable[[int], None]) -> list[int]:
    """Call `act(n)` before the n-th operation, from now on, that changes a file or a folder; the list holds n."""
    count, honest = [0], os.fsync

    def happened() -> None:
        count[0] += 1
        act(count[0])

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writing or event in OPERATIONS:
            happened()

    def fsync(descriptor: Any) -> None:
        happened()
        honest(descriptor)

    sys.addaudithook(hook)
    os.fsync = fsync
    return count


def live(work: Work, blow: Blow | None, run: Path, log: Path) -> int:
    """Run `work` in a process of its own and deal the blow; its exit code, or minus the signal that ended it.

    A fork is a process of its own to every lock, signal and kill, and saves the seconds that imports take.
    """
    pid = os.fork()
    if not pid:
        code = 1
        try:
            signal.alarm(HUNG)
            sys.stdout = sys.stderr = log.open("a", encoding="utf-8")
            if blow and blow.kind == "operation":
                at = blow.number
                before_operations(lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == at else None)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    if blow and blow.kind != "operation":
        if blow.kind == "save":
            _await_save(run, blow.number, pid)
        time.sleep(blow.seconds)
        os.kill(pid, signal.SIGKILL)  # a process that has ended is there until it is waited for
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _await_save(run: Path, number: int, pid: int) -> None:
    """Return in the `number`-th save from now on, or when the process has ended."""
    seen: set[str] = set()
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        seen |= {path.name for path in run.glob(".step-*.tmp")}
        if len(seen) >= number:
            return
        time.sleep(5e-4)


@dataclass
class Tally:
    """What became of the trials."""

    kills: int = 0
    equal: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    """Kills by the kind of blow."""
    trials: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    """Seed of each trial that did not end equal, with what was wrong."""

    def __str__(self) -> str:
        lines = [f"seed {seed}: {why}" for seed, why in self.failures.items()]
        return "\n".join([*lines, f"{self.kills} kills, {self.equal} equal"])


def torture(
    corpus: Path,
    folder: Path,
    *,
    kills: int,
    seed: int,
    deadline: float = math.inf,
    steps: int = STEPS,
    settings: Mapping[str, Any] = SETTINGS,
) -> Tally:
    """Trials from `seed` on, until there were so many kills or time.monotonic() is past `deadline`; each in `folder`,
    on a corpus that is prepared."""
    from groundup import verbs

    def train(out: Path) -> Work:
        return lambda: verbs.train(corpus, out=out, steps=steps, settings=settings)

    train(folder / "warm")()  # what it loads and caches, each process would load again
    whole, log, counted = folder / "whole", folder / "log", folder / "operations"

    def counting() -> None:
        count = before_operations(lambda _: None)
        train(whole)()
        done = count[0]
        counted.write_text(str(done))

    began = time.monotonic()
    if live(counting, None, whole, log):
        raise RuntimeError(f"the run that is not disturbed failed: {log.read_text()}")
    seconds, operations, expected = time.monotonic() - began, int(counted.read_text()), results(whole)

    tally = Tally()
    while tally.kills < kills and time.monotonic() < deadline:
        draw, out, killed = random.Random(seed), folder / f"run {seed}", 0
        log.write_text("")
        code = -signal.SIGKILL
        for _ in range(min(draw.randint(1, 5), kills - tally.kills)):
            again = (out / "run.json").is_file() and draw.random() < 0.7
            work = (lambda out=out: verbs.resume(out)) if again else train(out)
            blow = Blow.draw(draw, seconds, operations)
            code = live(work, blow, out, log)
            if code != -signal.SIGKILL:
                break
            killed += 1
            tally.by_kind[blow.kind] += 1
        if code == -signal.SIGKILL:
            code = live(train(out), None, out, log)
        wrong = [f"exit code {code}: {log.read_text()[-2000:]}"] if code else differences(results(out), expected)
        wrong += [path.name for path in out.glob(".step-*")]
        tally.kills += killed
        tally.trials += 1
        if wrong:
            tally.failures[seed] = ", ".join(wrong)
        else:
            tally.equal += killed
            shutil.rmtree(out)
        seed += 1
    return tally


def write_documents(folder: Path) -> None:
    """20 texts of made-up words, always the same."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghiklmnoprstuw", k=draw.randint(2, 9))) for _ in range(400)]
    folder.mkdir()
    for number in range(20):
        lines = [" ".join(draw.choices(words, k=12)) for _ in range(16)]
        (folder / f"{number:02d}.txt").write_text(".\n".join(lines) + ".\n")


def record(out: Path | None, **figures: Any) -> None:
    """Write what was counted, with the day, the machine and the versions, to `out`, if there is one."""
    from groundup.parallel import describe_machine

    if out:
        facts = {**figures, "time": datetime.now(UTC).isoformat(timespec="seconds"), "machine": describe_machine()}
        out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """The command line: exit code 1 where a result was not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="end after the trial in which so many are over")
    parser.add_argument("--out", type=Path, help="a JSON file for the counts")
    asked = parser.parse_args()
    from groundup import verbs

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="groundup-torture-") as scratch:
        folder = Path(scratch)
        write_documents(folder / "documents")
        corpus = verbs.prepare([folder / "documents"], out=folder / "corpus").path
        deadline = began + 60 * asked.minutes if asked.minutes else math.inf
        tally = torture(corpus, folder, kills=asked.kills, seed=asked.seed, deadline=deadline)
    print(tally)
    record(
        asked.out,
        benchmark="kills",
        kills=tally.kills,
        equal=tally.equal,
        by_kind=tally.by_kind,
        trials=tally.trials,
        failures=tally.failures,
        seed=asked.seed,
        seconds=round(time.monotonic() - began, 1),
    )
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
