"""Rows 10, 18, 20 to 22 and 39: runs that are repeated, made longer, continued otherwise, or short of memory."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torture import FIGURES, SETTINGS, differences, results

from groundup import runs, verbs
from groundup.corpus import IGNORE, Batches, Tokenizer
from groundup.errors import UserError
from groundup.events import Event, Logged, Notice
from groundup.runs import read_entries

pytestmark = pytest.mark.usefixtures("undrawn")
InChild = Callable[..., int]
CONSTANT = {
    **SETTINGS,
    "schedule.shape": "constant",
    "schedule.warmup": 2,
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def killed(corpus_dir: Path, tmp_path_factory: pytest.TempPathFactory, in_child: InChild) -> Path:
    """A run of 20 steps that was killed at step 14: its newest checkpoint is of step 12. Copy it first."""
    out = tmp_path_factory.mktemp("killed") / "run"
    corpus = out.parent / "corpus"
    shutil.copytree(corpus_dir, corpus)

    def listen(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 14:
            os.kill(os.getpid(), signal.SIGKILL)

    waited = {**CONSTANT, "checkpoint.asynchronous": False}
    assert in_child(lambda: verbs.train(corpus, out=out, steps=20, settings=waited, listen=listen)) == -9
    return out


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> Path:
    """A copy of `killed`, to be changed, with its corpus beside it."""
    shutil.copytree(killed.parent / "corpus", tmp_path / "corpus")
    out = Path(shutil.copytree(killed, tmp_path / "run", symlinks=True))
    reference = json.loads((out / "corpus" / "reference.json").read_text())
    (out / "corpus" / "reference.json").write_text(json.dumps({**reference, "path": str(tmp_path / "corpus")}))
    return out


def test_row_10_a_finished_run_that_is_started_again_is_left_as_it_is(finished: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in finished.rglob("*") if "lock" not in p.name}

    before, notices = state(), list[Event]()
    verbs.resume(finished, listen=notices.append)
    assert state() == before
    assert any(isinstance(notice, Notice) and "finished" in notice.text for notice in notices)


def test_row_10_a_finished_run_made_longer_equals_one_that_was_as_long_from_the_start(
    corpus_dir: Path, tmp_path: Path
) -> None:
    planned = {"training.log_every": 4, "evaluation.every": 4, "checkpoint.keep": 9}
    long = verbs.train(corpus_dir, out=tmp_path / "long", steps=16, settings={**CONSTANT, **planned}).path
    short = verbs.train(corpus_dir, out=tmp_path / "short", steps=8, settings={**CONSTANT, **planned}).path
    assert verbs.resume(short).info["actual"]["steps"] == 8
    made = verbs.resume(short, settings={"training.steps": 16})
    assert (made.info["status"], made.info["actual"]["steps"]) == ("finished", 16)
    assert differences(results(short), results(long)) == []
    with pytest.raises(UserError, match="at step 16 already"):
        verbs.resume(short, settings={"training.steps": 12})


@pytest.mark.parametrize("again", [{"training.steps": 12, "optimizer.learning_rate": 1e-3}, {}], ids=["again", "plain"])
@pytest.mark.parametrize("written", [False, True])
def test_row_10_a_run_killed_while_it_is_made_longer_is_longer(
    corpus_dir: Path, tmp_path: Path, in_child: InChild, written: bool, again: dict[str, Any]
) -> None:
    """Before and after config.toml is written: the same command, and a plain `resume`, go on with what was asked."""
    run = verbs.train(corpus_dir, out=tmp_path / "run", steps=8, settings=CONSTANT).path

    def work() -> None:
        write = runs.write_atomic

        def dying(path: Path, *more: Any, **how: Any) -> None:
            if path.name == "config.toml":
                if written:
                    write(path, *more, **how)
                os.kill(os.getpid(), signal.SIGKILL)
            write(path, *more, **how)

        runs.write_atomic = dying
        verbs.resume(run, settings={"training.steps": 12, "optimizer.learning_rate": 1e-3})

    assert in_child(work) == -9
    info = verbs.resume(run, settings=again).info
    assert (info["status"], info["actual"]["steps"]) == ("finished", 12)
    assert [row["key"] for row in info["changes"]] == ["training.steps", "optimizer.learning_rate"]
    config = verbs.resume(run).config()
    assert (config.training.steps, config.optimizer.learning_rate) == (12, 1e-3)
    assert read_entries(run)[-1]["learning_rate"] == 1e-3


def test_row_18_the_same_seed_twice_gives_the_same_bytes_and_another_seed_others(
    corpus_dir: Path, tmp_path: Path
) -> None:
    one = verbs.train(corpus_dir, out=tmp_path / "one", steps=9, settings=SETTINGS).path
    other = verbs.train(corpus_dir, out=tmp_path / "other place", steps=9, settings=SETTINGS).path
    assert differences(results(one), results(other)) == []
    seeded = verbs.train(corpus_dir, out=tmp_path / "seeded", steps=9, settings={**SETTINGS, "training.seed": 1}).path
    assert {*FIGURES, "step-00000009/model.safetensors"} <= {*differences(results(seeded), results(one))}


def test_row_20_another_architecture_is_refused_with_the_difference(run: Path) -> None:
    with pytest.raises(UserError, match=r"model\.layers is 2, not 3"):
        verbs.resume(run, settings={"model.layers": 3})
    config = run / "config.toml"
    config.write_text(config.read_text().replace("layers = 2", "layers = 3"))
    with pytest.raises(UserError, match=r"model\.layers is 2 in the checkpoint, 3 in the run"):
        verbs.resume(run)


def test_row_20_another_tokenizer_is_refused_with_the_difference(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "corpus" / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    path.write_text(json.dumps(content))
    assert Tokenizer.load(path).vocab_size == len(vocabulary)
    with pytest.raises(UserError, match=r"another tokenizer.*2 of 257 entries"):
        verbs.resume(run)


def test_row_20_another_learning_rate_is_allowed_and_on_record(run: Path) -> None:
    done = verbs.resume(run, settings={"optimizer.learning_rate": 1e-3})
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rates = {row["step"]: row["learning_rate"] for row in rows if "event" not in row}
    assert (rates[12], rates[20]) == (pytest.approx(1e-3), pytest.approx(1e-3))
    assert rates[10] == pytest.approx(3e-3)
    (change,) = done.info["changes"]
    assert (change["key"], change["before"], change["now"], change["step"]) == (
        "optimizer.learning_rate",
        3e-3,
        1e-3,
        12,
    )
    assert "changed at step 12, 0.003 before" in (run / "config.toml").read_text()
    assert '"changed"' in (run / "events.jsonl").read_text()


def test_row_21_another_corpus_is_refused_with_what_changed_unless_it_is_accepted(
    run: Path, documents: Path, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "corpus")
    verbs.prepare(sorted(documents.glob("*.txt"))[:15], out=tmp_path / "corpus")
    with pytest.raises(UserError, match=r"not the corpus this run began with.*documents 20, now 15") as caught:
        verbs.resume(run)
    assert "--accept-corpus" in caught.value.fix
    done = verbs.resume(run, accept_corpus=True)
    assert (done.info["status"], done.info["corpus"]["documents"]) == ("finished", 15)
    assert "documents 20, now 15" in done.info["changes"][0]["now"]


class Stream:
    """Tokens that are their own positions."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, count: int) -> np.ndarray:
        return np.arange(start, start + count, dtype=np.int64) % self.length


@settings(max_examples=60)
@given(st.integers(16, 300), st.integers(1, 24), st.integers(1, 7), st.integers(0, 5), st.data())
def test_row_22_every_sample_comes_once_an_epoch_also_across_a_resume_in_mid_epoch(
    length: int, context: int, batch: int, seed: int, data: Any
) -> None:
    def batches() -> Batches:
        return Batches(Stream(length), context=context, batch=batch, seed=seed)  # type: ignore[arg-type]

    blocks = batches().blocks
    steps = -(-3 * blocks // batch)
    stopped = data.draw(st.integers(0, steps))
    rows = []
    for part, dealt in ((range(stopped), batches()), (range(stopped, steps), batches())):  # two processes
        for step in part:
            rows += dealt.at(step)[1].tolist()
    for epoch in range(3):
        targets = [t for row in rows[epoch * blocks : (epoch + 1) * blocks] for t in row if t != IGNORE]
        assert sorted(targets) == list(range(length))


def test_row_39_memory_that_runs_out_names_the_setting_to_reduce(corpus_dir: Path, tmp_path: Path) -> None:
    def greedy(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 2:
            torch.empty(1 << 50)

    with pytest.raises(UserError, match="memory ran out while training") as caught:
        verbs.train(corpus_dir, out=tmp_path / "run", steps=4, settings=CONSTANT, listen=greedy)
    assert "--set training.microbatch=4" in caught.value.fix
    done = verbs.resume(tmp_path / "run", settings={"training.microbatch": 4})
    assert done.info["status"] == "finished"
