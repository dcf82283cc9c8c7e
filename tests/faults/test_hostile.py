"""Row 6 and the fuzzing: whatever a stranger puts into the files of a run ends in an error of ours or loads as data;
nothing is executed, nothing hangs, no memory is taken for it, and nothing is written elsewhere."""

import contextlib
import os
import pickle
import random
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mutations import mutate

from groundup import verbs
from groundup.config import Config
from groundup.corpus import Corpus, Tokenizer
from groundup.errors import UserError
from groundup.model import load_model
from groundup.reporting import summarize
from groundup.runs import Journal, Run, find_checkpoint, read_entries, verify
from groundup.training import State, build_optimizers, restore
from groundup.verbs.continuing import decided_config
from groundup.verbs.request import adopt_corpus

STEP = "step-00000020"
MEMORY = 1 << 30  # bytes beyond what the process has: no file here is a thousandth of it
SECONDS = 20


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.fixture(scope="module")
def victim(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of its own, to be damaged and put right again."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("victim") / "run", symlinks=True))


@pytest.mark.parametrize("kind", ["pickle", "torch.save"])
def test_row_06_a_pickle_bomb_as_any_file_of_a_run_is_refused_and_nothing_executed(
    victim: Path, tmp_path: Path, kind: str
) -> None:
    marker, bomb = tmp_path / "executed", tmp_path / "bomb"
    if kind == "pickle":
        bomb.write_bytes(pickle.dumps(Bomb(marker)))
    else:
        torch.save({"weights": Bomb(marker)}, bomb)
    files = sorted(path for path in victim.rglob("*") if path.is_file() and not path.is_symlink())
    assert {"model.safetensors", "optimizer.safetensors", "tokenizer.json", "run.json"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        path.write_bytes(bomb.read_bytes())
        for use in USES.values():
            with contextlib.suppress(UserError):
                use(victim)
        path.write_bytes(content)
    assert not marker.exists()


def _run_json(run: Path) -> None:
    opened = Run.open(run)
    decided_config(opened)
    summarize(run)
    verbs.resume(run)  # it is finished


def _figures(run: Path) -> None:
    summarize(run)
    read_entries(run)
    for name in ("metrics", "probes", "samples"):
        journal = Journal(run / f"{name}.jsonl")
        journal.cut(12)
        journal.close()


def _corpus(run: Path) -> None:
    corpus = Corpus(Run.open(run).corpus)
    adopt_corpus(Config(), corpus)
    corpus.validation_documents()
    corpus.held_out_texts(3)
    corpus.train.read(5, min(100, len(corpus.train)))


def _tokenizer(run: Path) -> None:
    for path in (run / "corpus", run / STEP):
        tokenizer = Tokenizer.load(path / "tokenizer.json")
        ids = tokenizer.encode("The quick brown fox\n\n  e\u0301 " + "a" * 200)
        tokenizer.encode_batch(["and another", "<|endoftext|>"])
        tokenizer.decode(ids)


def _checkpoint(run: Path) -> None:
    verify(run / STEP)
    find_checkpoint(run)


def _model(run: Path) -> None:
    model = load_model(run / STEP)
    with torch.no_grad():
        model(torch.zeros(1, 4, dtype=torch.long))


def _state(run: Path) -> None:
    State.load(run / STEP / "training" / "state.json")


def _optimizer(run: Path) -> None:
    from groundup.config import load_config
    from groundup.parallel import Compute

    config = load_config(ORIGINAL["config.toml"])
    model = load_model(ORIGINAL["model"])
    compute = Compute(torch.device("cpu"), torch.float32, 1, False, "sdpa")
    restore(run / STEP, model, build_optimizers(model, config, compute))


ORIGINAL: dict[str, Path] = {}
USES: dict[str, Callable[[Path], None]] = {
    "run": _run_json,
    "figures": _figures,
    "corpus": _corpus,
    "tokenizer": _tokenizer,
    "checkpoint": _checkpoint,
    "model": _model,
    "state": _state,
    "optimizer": _optimizer,
}
TARGETS = {
    "run.json": _run_json,
    "config.toml": _run_json,
    "metrics.jsonl": _figures,
    "probes.jsonl": _figures,
    "samples.jsonl": _figures,
    "corpus/manifest.json": _corpus,
    "corpus/train-00000.ds": _corpus,
    "corpus/train-00000.index": _corpus,
    "corpus/tokenizer.json": _tokenizer,
    "corpus/ledger.jsonl": _figures,
    f"{STEP}/manifest.json": _checkpoint,
    f"{STEP}/config.json": _model,
    f"{STEP}/model.safetensors": _model,
    f"{STEP}/tokenizer.json": _tokenizer,
    f"{STEP}/training/state.json": _state,
    f"{STEP}/training/optimizer.safetensors": _optimizer,
}


@pytest.fixture(scope="module", autouse=True)
def original(finished: Path) -> None:
    ORIGINAL.update({"config.toml": finished / "config.toml", "model": finished / STEP})


def attack(victim: Path, name: str, seeds: range, report: Path) -> int:
    """In a process of its own: load the run with each mutation of one file. Problems are lines of `report`; the exit
    code, or minus the signal that ended the process."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    log, path, use = report.open("w"), victim / name, TARGETS[name]
    content = {file: file.read_bytes() for file in victim.rglob("*") if file.is_file() and not file.is_symlink()}
    seed = -1

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event.startswith(("os.system", "subprocess", "os.exec", "pickle.find_class")):
            print(f"{name} seed {seed}: {event}", file=log, flush=True)
        elif writing and isinstance(arguments[0], str | Path) and not Path(arguments[0]).is_relative_to(victim):
            print(f"{name} seed {seed}: writes {arguments[0]}", file=log, flush=True)

    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        sys.addaudithook(hook)
        for seed in seeds:
            path.write_bytes(mutate(random.Random(f"{name} {seed}"), name, content[path]))
            signal.alarm(SECONDS)
            try:
                use(victim)
            except UserError:
                pass
            except BaseException as error:
                print(f"{name} seed {seed}: {type(error).__name__}: {str(error)[:300]}", file=log, flush=True)
            for file, data in content.items():
                if not file.is_file() or file.stat().st_size != len(data) or file == path:
                    file.write_bytes(data)
    except BaseException as error:
        print(f"{name} seed {seed}: the test itself: {error!r}", file=log, flush=True)
    finally:
        log.close()
        os._exit(0)


def storm(victim: Path, tmp_path: Path, each: int, first: int = 0) -> list[str]:
    """What went wrong in `each` mutations of every kind of file."""
    problems = []
    for name in TARGETS:
        content, report = (victim / name).read_bytes(), tmp_path / "report"
        before = {path for path in victim.parent.rglob("*") if not path.is_relative_to(victim)}
        code = attack(victim, name, range(first, first + each), report)
        problems += report.read_text().splitlines()
        problems += [f"{name}: the process ended with {code}"] if code else []
        problems += [
            f"{name}: made {path}"
            for path in victim.parent.rglob("*")
            if not path.is_relative_to(victim) and path not in before
        ]
        (victim / name).write_bytes(content)
    return problems


def test_mutated_files_end_in_an_error_of_ours_or_load_as_data(victim: Path, tmp_path: Path) -> None:
    assert storm(victim, tmp_path, 38) == []  # 608 in all


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutated_files_end_in_an_error_of_ours_or_load_as_data(victim: Path, tmp_path: Path) -> None:
    assert storm(victim, tmp_path, 625, first=1000) == []


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "train-../../x.ds", "train-00000.ds/../../x"])
def test_a_shard_whose_name_leads_out_of_the_corpus_is_refused(victim: Path, tmp_path: Path, name: str) -> None:
    import json

    corpus = Path(shutil.copytree(victim / "corpus", tmp_path / "corpus"))
    manifest = json.loads((corpus / "manifest.json").read_text())
    manifest["shards"][name] = {"bytes": 0, "sha256": "", "index_sha256": ""}
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="manifest"):
        Corpus(corpus).manifest  # noqa: B018


def test_a_file_that_is_a_link_out_of_the_run_is_not_written_through(victim: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(victim, tmp_path / "run", symlinks=True))
    (tmp_path / "mine").write_text("precious")
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="leads out of the run"):
        verbs.resume(run)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_best_that_leads_out_of_the_run_is_not_followed(victim: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(victim, tmp_path / "run", symlinks=True))
    (run / "best").unlink()
    (run / "best").symlink_to(victim / STEP)
    assert find_checkpoint(run).resolve() == (run / STEP).resolve()
