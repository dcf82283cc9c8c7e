"""`resume`: killed or stopped anywhere, a run ends with the same bytes as one that was left alone."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.cli import main
from groundup.errors import Stopped, UserError
from groundup.events import Event, Logged, Notice, Phase
from groundup.runs import published, verify

FIGURES = ("metrics.jsonl", "training_metrics.json", "probes.jsonl", "samples.jsonl")
STEPS = 20
InChild = Callable[..., int]


def results(run: Path) -> dict[str, bytes]:
    """What must be byte-equal: the figures, every file of every kept checkpoint, and which one is best."""
    files = {name: (run / name).read_bytes() for name in FIGURES}
    for checkpoint in run.glob("step-*"):
        for path in checkpoint.rglob("*"):
            if path.is_file():
                files[path.relative_to(run).as_posix()] = path.read_bytes()
    return files | {"best": (run / "best").resolve().name.encode()}


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, Any]) -> dict[str, Any]:
    return tiny_settings | {"model.dropout": 0.1}


@pytest.fixture(scope="module")
def whole(corpus_dir: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of the run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return results(verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings).path)


@pytest.fixture(scope="module")
def half(
    corpus_dir: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, in_child: InChild
) -> Path:
    """A run that was killed at step 14: checkpoints 0, 8 and 12. Not to be changed: copy it first."""
    out = tmp_path_factory.mktemp("half") / "run"

    def killed(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 14:
            while sorted(published(out)) != [0, 8, 12]:  # saved beside training
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings, listen=killed)) == -9
    assert sorted(path.name for path in out.glob("step-*")) == [f"step-{n:08d}" for n in (0, 8, 12)]
    return out


@pytest.fixture
def run(half: Path, tmp_path: Path) -> Path:
    """A copy of `half`, to be changed."""
    return Path(shutil.copytree(half, tmp_path / "run", symlinks=True))


def train_killed(
    corpus_dir: Path, out: Path, settings: dict[str, Any], in_child: InChild, before: Callable[[], None], **how: Any
) -> int:
    def work() -> None:
        before()
        verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings)

    return in_child(work, **how)


def kill_at_call(owner: Any, name: str, number: int, chosen: Callable[..., bool] = lambda *_: True) -> None:
    """Replace `owner.name` by itself, with SIGKILL before its call `number` (from 1) of those `chosen`."""
    honest, calls = getattr(owner, name), [0]

    def counting(*arguments: Any, **keywords: Any) -> Any:
        if chosen(*arguments):
            calls[0] += 1
            if calls[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return honest(*arguments, **keywords)

    setattr(owner, name, counting)


# about 140 in a run of 20 steps: between all files of all saves, before manifests and directories, around run.json
@pytest.mark.parametrize("number", sorted(random.Random(0).sample(range(5, 130), 7)))
def test_killed_between_two_writes_to_the_disk(
    corpus_dir: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    in_child: InChild,
    whole: dict[str, bytes],
    number: int,
) -> None:
    out = tmp_path / "run"
    assert train_killed(corpus_dir, out, settings, in_child, lambda: kill_at_call(os, "fsync", number)) == -9
    assert all(verify(path) == [] for path in out.glob("step-*"))
    verbs.resume(out)
    assert results(out) == whole
    assert list(out.glob(".step-*")) == []


@pytest.mark.parametrize("event", ["before the rename that publishes", "while old checkpoints are deleted"])
def test_killed_around_a_rename(
    corpus_dir: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    in_child: InChild,
    whole: dict[str, bytes],
    event: str,
) -> None:
    out = tmp_path / "run"

    def before() -> None:
        if event.startswith("before"):
            kill_at_call(Path, "rename", 4, lambda _, target: Path(target).name.startswith("step-"))
        else:
            kill_at_call(shutil, "rmtree", 1, lambda path, *_: str(path).endswith(".deleted"))

    assert train_killed(corpus_dir, out, settings, in_child, before) == -9
    verbs.resume(out)
    assert results(out) == whole


@pytest.mark.parametrize("seconds", [round(random.Random(1).uniform(0.15, 0.25) * n, 2) for n in (1, 2, 3)])
def test_killed_at_any_moment_and_more_than_once(
    corpus_dir: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    in_child: InChild,
    whole: dict[str, bytes],
    seconds: float,
) -> None:
    out = tmp_path / "run"
    train_killed(corpus_dir, out, settings, in_child, lambda: None, kill_after=seconds)
    if (out / "run.json").exists():
        in_child(lambda: verbs.resume(out), kill_after=seconds)
    verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings)
    assert results(out) == whole


@pytest.mark.parametrize("phase", ["measuring baselines", "training", "evaluating the best checkpoint", "reporting"])
def test_killed_as_a_phase_begins(
    corpus_dir: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    in_child: InChild,
    whole: dict[str, bytes],
    phase: str,
) -> None:
    """Before training there is no checkpoint: `resume` begins at step 0."""
    out = tmp_path / "run"

    def killed(event: Event) -> None:
        if isinstance(event, Phase) and event.name == phase:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings, listen=killed)) == -9
    run = verbs.resume(out)
    assert results(out) == whole
    assert run.info["status"] == "finished"
    assert (out / "report.html").is_file()


def test_the_command_line_killed_and_resumed(
    corpus_dir: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    whole: dict[str, bytes],
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """As a user does it: two processes with nothing in common but the directory."""
    out = tmp_path / "run"
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words = ["train", str(corpus_dir), "--out", str(out), "--steps", str(STEPS), *sets]
    process = subprocess.Popen([sys.executable, "-m", "groundup", *words], stderr=subprocess.DEVNULL)
    while not (out / "step-00000008").exists() and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -9
    done = command("resume", out)
    assert done.returncode == 0, done.stderr
    assert results(out) == whole


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_saves_a_checkpoint_exits_with_75_and_says_how_to_go_on(
    corpus_dir: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    in_child: InChild,
    whole: dict[str, bytes],
    name: str,
) -> None:
    out = tmp_path / "a run"
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]

    def work() -> None:
        from groundup.training import loop

        # in the middle of step 9, between two scheduled checkpoints
        kill = loop._rate

        def signalled(job: Any, step: int) -> float:
            if step == 9 and not job.run.info.get("signalled"):
                job.run.info["signalled"] = True
                os.kill(os.getpid(), getattr(signal, name))
            return kill(job, step)

        loop._rate = signalled
        main(["train", str(corpus_dir), "--out", str(out), "--steps", str(STEPS), *sets])

    assert in_child(work, output=tmp_path / "said") == 75
    said = (tmp_path / "said").read_text()
    assert f"stopped by {name}" in said
    assert f"groundup resume '{out}'" in said
    assert "Traceback" not in said
    assert (out / "step-00000010").is_dir()
    assert verify(out / "step-00000010") == []
    info = json.loads((out / "run.json").read_text())
    assert (info["status"], info["stop_reason"]) == ("stopped", f"stopped by {name}")
    verbs.resume(out)
    assert results(out) == whole


def test_ctrl_c_twice_quits_at_once(
    corpus_dir: Path, settings: dict[str, Any], tmp_path: Path, in_child: InChild, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "run"

    def twice(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 10:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    assert in_child(lambda: verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings, listen=twice)) == 75
    assert json.loads((out / "run.json").read_text())["status"] == "training"
    assert not (out / "step-00000010").exists()
    verbs.resume(out)
    assert results(out) == whole


def test_stopped_while_the_best_checkpoint_is_scored(
    corpus_dir: Path, settings: dict[str, Any], tmp_path: Path, in_child: InChild, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "run"

    def listen(event: Event) -> None:
        if isinstance(event, Phase) and event.name == "evaluating the best checkpoint":
            os.kill(os.getpid(), signal.SIGTERM)

    def work() -> None:
        try:
            verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings, listen=listen)
        except Stopped:
            raise SystemExit(75) from None

    assert in_child(work) == 75
    verbs.resume(out)
    assert results(out) == whole


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", truncate),
        ("model.safetensors", flip_a_bit),
        ("training/optimizer.safetensors", flip_a_bit),
        ("training/state.json", remove),
        ("tokenizer.json", truncate),
        ("manifest.json", truncate),
        ("manifest.json", remove),
    ],
)
def test_row_04_a_damaged_newest_checkpoint_is_named_set_aside_and_the_one_before_used(
    run: Path, whole: dict[str, bytes], name: str, damage: Callable[[Path], None]
) -> None:
    damage(run / "step-00000012" / name)
    notices: list[str] = []
    verbs.resume(run, listen=lambda event: notices.append(event.text) if isinstance(event, Notice) else None)
    assert any("step-00000012" in text and name in text and "damaged" in text for text in notices)
    assert any("continuing from step 8" in text for text in notices)
    assert (run / "damaged-step-00000012").is_dir()
    assert results(run) == whole


def test_when_every_checkpoint_is_damaged_training_begins_again(run: Path, whole: dict[str, bytes]) -> None:
    for checkpoint in run.glob("step-*"):
        flip_a_bit(checkpoint / "model.safetensors")
    verbs.resume(run)
    assert results(run) == whole


def test_row_05_half_directories_and_a_dangling_best_are_ignored(run: Path, whole: dict[str, bytes]) -> None:
    stale = run / ".step-00000016.4711.tmp"
    stale.mkdir()
    (stale / "model.safetensors").write_bytes(b"half")
    (run / "best").unlink()
    (run / "best").symlink_to("step-00000004")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "train_l')
    verbs.resume(run)
    assert results(run) == whole
    assert not stale.exists()


def test_resuming_a_finished_run_changes_nothing(finished: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in finished.rglob("*") if "lock" not in p.name}

    before, notices = state(), []
    verbs.resume(finished, listen=notices.append)
    before.pop(str(finished), None)
    after = state()
    after.pop(str(finished), None)
    assert after == before
    assert any(isinstance(notice, Notice) and "finished" in notice.text for notice in notices)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run"):
        verbs.resume(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"run\.json"):
        verbs.resume(tmp_path)
    (tmp_path / "run.json").write_text("[1, 2")
    with pytest.raises(UserError, match="JSON"):
        verbs.resume(tmp_path)
    (tmp_path / "run.json").write_text('{"version": 1}')
    with pytest.raises(UserError, match="no request"):
        verbs.resume(tmp_path)


def test_another_corpus_in_the_place_of_the_first_is_refused(
    documents: Path, corpus_dir: Path, settings: dict[str, Any], tmp_path: Path, in_child: InChild
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "run"
    shutil.copytree(corpus_dir, corpus)

    def killed(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: verbs.train(corpus, out=out, steps=4, settings=settings, listen=killed)) == -9
    shutil.rmtree(corpus)
    with pytest.raises(UserError):
        verbs.resume(out)
    verbs.prepare([documents / "text-00.txt"], out=corpus)
    with pytest.raises(UserError, match="not the corpus this run began with"):
        verbs.resume(out)
    shutil.rmtree(corpus)
    shutil.copytree(corpus_dir, corpus)
    assert verbs.resume(out).info["status"] == "finished"
