"""Puts mutated files into a run, finished or not, and loads it or goes on with it: an error of ours or data each time,
never a crash, a hang, an execution, much memory, or a write elsewhere.

    python tests/faults/fuzz.py --mutations 10000 --seed 1000     # make fuzz

Each mutation is a function of its seed and of the file's name.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torture import SETTINGS, STEPS, live, record, write_documents  # before torch is imported: it says how many threads

# isort: split
import torch
from mutations import mutate

from groundup import verbs
from groundup.config import Config, load_config
from groundup.corpus import Corpus, Tokenizer
from groundup.errors import UserError
from groundup.events import Event, Logged, Progress
from groundup.model import load_model
from groundup.parallel import Compute
from groundup.reporting import summarize
from groundup.runs import Journal, Run, find_checkpoint, read_entries, verify
from groundup.runs.manifest import write_manifest
from groundup.training import State, build_optimizers, restore
from groundup.verbs import finishing
from groundup.verbs.continuing import decided_config
from groundup.verbs.request import adopt_corpus

STEP = f"step-{STEPS:08d}"
NEWEST = "step-00000012"  # of the unfinished run, which was killed at step 14
MEMORY = 1 << 30  # bytes beyond what the process has: no file here is a thousandth of it
SECONDS = 20
HARMFUL = (
    "os.system",
    "subprocess",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
    "socket.connect",
    "socket.getaddr",
)

Use = Callable[[Path, Path], object]
"""Loads what it is named for of a run; the second path is the run as it was."""


def use_run(run: Path, original: Path) -> None:
    opened = Run.open(run)
    decided_config(opened)
    summarize(run)
    verbs.resume(run)  # it is finished


def use_figures(run: Path, original: Path) -> None:
    summarize(run)
    read_entries(run)
    for name in ("metrics", "probes", "samples"):
        journal = Journal(run / f"{name}.jsonl")
        journal.cut(12)
        journal.close()


def use_corpus(run: Path, original: Path) -> None:
    corpus = Corpus(Run.open(run).corpus)
    adopt_corpus(Config(), corpus)
    corpus.validation_documents()
    corpus.held_out_texts(3)
    corpus.train.read(5, min(100, len(corpus.train)))


def use_tokenizer(run: Path, original: Path) -> None:
    for path in (run / "corpus", run / STEP):
        tokenizer = Tokenizer.load(path / "tokenizer.json")
        ids = tokenizer.encode("The quick brown fox\n\n  e\u0301 " + "a" * 200)
        tokenizer.encode_batch(["and another", "<|endoftext|>"])
        tokenizer.decode(ids)


def use_checkpoint(run: Path, original: Path) -> None:
    verify(run / STEP)
    find_checkpoint(run)


def use_model(run: Path, original: Path) -> None:
    model = load_model(run / STEP)
    with torch.no_grad():
        model(torch.zeros(1, min(4, model.shape.context), dtype=torch.long))


def use_state(run: Path, original: Path) -> None:
    State.load(run / STEP / "training" / "state.json")


def use_optimizer(run: Path, original: Path) -> None:
    config, model = load_config(original / "config.toml"), load_model(original / STEP)
    compute = Compute(torch.device("cpu"), torch.float32, 1, False, "sdpa")
    restore(run / STEP, model, build_optimizers(model, config, compute))


class Enough(Exception):
    """The unfinished run has gone on for more steps than it should have had: how many, is for who wrote it to say."""


def use_unfinished(run: Path, original: Path) -> None:
    """Go on, without the pictures and the page, which take most of the time."""
    finishing.draw = finishing.write_report = lambda *_, **__: None  # type: ignore[assignment]  # in this fork
    use_unfinished_figures(run, original)


def use_unfinished_figures(run: Path, original: Path) -> None:
    (run / NEWEST / "manifest.json").unlink()
    write_manifest(run / NEWEST, 12)  # a stranger makes the hashes right
    steps = 0

    def listen(event: Event) -> None:
        nonlocal steps
        steps += isinstance(event, Progress)
        if steps > STEPS:
            raise Enough

    with contextlib.suppress(Enough):
        verbs.resume(run, listen=listen)


USES: list[Use] = [
    use_run,
    use_figures,
    use_corpus,
    use_tokenizer,
    use_checkpoint,
    use_model,
    use_state,
    use_optimizer,
]
TARGETS: dict[str, Use] = {
    "run.json": use_run,
    "config.toml": use_run,
    "metrics.jsonl": use_figures,
    "probes.jsonl": use_figures,
    "samples.jsonl": use_figures,
    "corpus/manifest.json": use_corpus,
    "corpus/train-00000.ds": use_corpus,
    "corpus/train-00000.index": use_corpus,
    "corpus/tokenizer.json": use_tokenizer,
    "corpus/ledger.jsonl": use_figures,
    f"{STEP}/manifest.json": use_checkpoint,
    f"{STEP}/config.json": use_model,
    f"{STEP}/model.safetensors": use_model,
    f"{STEP}/tokenizer.json": use_tokenizer,
    f"{STEP}/training/state.json": use_state,
    f"{STEP}/training/optimizer.safetensors": use_optimizer,
}

UNFINISHED: dict[str, Use] = {
    "run.json": use_unfinished,
    "events.jsonl": use_unfinished,
    "metrics.jsonl": use_unfinished_figures,
    f"{NEWEST}/training/state.json": use_unfinished,
}


@dataclass
class Harm:
    """What mutations came to: how many were `refused` and how many `loaded` as data, by file, and what must not be."""

    refused: Counter[str] = field(default_factory=Counter)
    loaded: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        refused, loaded = self.refused.total(), self.loaded.total()
        total = (
            f"{refused + loaded} mutations: {refused} refused, {loaded} loaded as data, {len(self.problems)} problems"
        )
        return "\n".join([*self.problems, total])


def storm(
    victim: Path, original: Path, report: Path, each: int, first: int, targets: Mapping[str, Use] = TARGETS
) -> Harm:
    """`each` mutations of every kind of file of the run `victim`, a copy of `original` that is made anew after each."""
    harm = Harm()
    for name, use in targets.items():
        before = _beside(victim)
        code = attack(victim, original, name, use, range(first, first + each), report)
        for line in report.read_text().splitlines():
            if line in ("refused", "loaded"):
                getattr(harm, line)[name] += 1
            else:
                harm.problems.append(line)
        harm.problems += [f"{name}: the process ended with {code}"] if code else []
        harm.problems += [f"{name}: made {path}" for path in _beside(victim) - before - {report}]
        _restore(victim, original)
    return harm


def attack(victim: Path, original: Path, name: str, use: Use, seeds: range, report: Path) -> int:
    """In a process of its own: `use` the run with each mutation of one file, and write a line of `report` for each; the
    exit code, or minus the signal that ended the process."""
    log = report.open("w")
    pid = os.fork()
    if pid:
        log.close()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    path, seed, home = victim / name, -1, victim.resolve()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(HARMFUL):
            say(event)
        for place in changed(event, arguments):
            if place != Path(os.devnull) and not place.is_relative_to(home):
                say(f"{event} of {place}")

    def say(problem: str) -> None:
        print(f"{name} seed {seed}: {problem}".replace("\n", " "), file=log, flush=True)

    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        content, before = path.read_bytes(), _files(victim)
        sys.addaudithook(hook)
        for seed in seeds:
            path.write_bytes(mutate(random.Random(f"{name} {seed}"), name, content))
            signal.alarm(SECONDS)
            try:
                use(victim, original)
                print("loaded", file=log, flush=True)
            except UserError:
                print("refused", file=log, flush=True)
            except BaseException as error:
                say(f"{type(error).__name__}: {str(error)[:300]}")
            if {**_files(victim), path: None} != {**before, path: None}:
                _restore(victim, original)
    except BaseException as error:
        say(f"the test itself: {error!r}")
    finally:
        log.close()
        os._exit(0)


def changed(event: str, arguments: tuple[Any, ...]) -> list[Path]:
    """The files that an operation is about to make, write, rename or remove, all links on the way to them followed."""

    def place(path: Any, folder: int = -1, follow: bool = False) -> list[Path]:
        if isinstance(path, int) or path is None:  # a file that is open already
            return []
        found = Path(f"/proc/self/fd/{folder}" if folder >= 0 else ".") / os.fsdecode(path)
        return [Path(os.path.realpath(found)) if follow else Path(os.path.realpath(found.parent)) / found.name]

    if event == "open":
        path, _, flags = arguments
        return place(path, follow=True) if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else []
    if event in ("os.rename", "os.link"):
        return place(arguments[0], arguments[2]) + place(arguments[1], arguments[3])
    if event == "os.symlink":
        return place(arguments[1], arguments[2])
    if event in ("os.mkdir", "os.remove", "os.rmdir"):
        return place(arguments[0], arguments[-1])
    if event in ("os.chmod", "os.chown", "os.utime"):
        return place(arguments[0], arguments[-1], follow=True)
    return place(arguments[0], follow=True) if event == "os.truncate" else []


def _files(victim: Path) -> dict[Path, Any]:
    """Every folder and file, the latter with when it was last changed."""
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_size) if path.is_symlink() or not path.is_dir() else None
        for path in victim.rglob("*")
    }


def _restore(victim: Path, original: Path) -> None:
    shutil.rmtree(victim)
    shutil.copytree(original, victim, symlinks=True)


def _beside(victim: Path) -> set[Path]:
    return {path for path in victim.parent.rglob("*") if not path.is_relative_to(victim)}


def unfinished(documents: Path, out: Path) -> Path:
    """A run that is killed at step 14."""

    def listen(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 14:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = SETTINGS | {"checkpoint.asynchronous": False}
    live(
        lambda: verbs.train(documents, out=out, steps=STEPS, settings=settings, listen=listen),
        None,
        out,
        Path(os.devnull),
    )
    return out


def main() -> None:
    """The command line: exit code 1 where something came to harm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="a JSON file for the counts")
    asked = parser.parse_args()
    began, each = time.monotonic(), -(-asked.mutations // (len(TARGETS) + len(UNFINISHED)))
    with tempfile.TemporaryDirectory(prefix="groundup-fuzz-") as scratch:
        folder = Path(scratch)
        write_documents(folder / "documents")
        run = verbs.train(folder / "documents", out=folder / "run", steps=STEPS, settings=SETTINGS).path
        (folder / "victim").mkdir()
        victim = Path(shutil.copytree(run, folder / "victim" / "run", symlinks=True))
        harm = storm(victim, run, folder / "report", each, asked.seed)
        run = unfinished(folder / "documents", folder / "unfinished")
        (folder / "second").mkdir()
        victim = Path(shutil.copytree(run, folder / "second" / "run", symlinks=True))
        more = storm(victim, run, folder / "report", each, asked.seed, UNFINISHED)
        for name in UNFINISHED:
            harm.refused[f"unfinished: {name}"] = more.refused[name]
            harm.loaded[f"unfinished: {name}"] = more.loaded[name]
        harm.problems += more.problems
    print(harm)
    record(
        asked.out,
        benchmark="fuzz",
        mutations=harm.refused.total() + harm.loaded.total(),
        refused=harm.refused,
        loaded=harm.loaded,
        problems=harm.problems,
        seed=asked.seed,
        seconds=round(time.monotonic() - began, 1),
    )
    sys.exit(bool(harm.problems))


if __name__ == "__main__":
    main()
