"""Rows 3 to 9 and 17: full disks, damaged, half and hostile checkpoints, saves beside training, retention."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

import groundup
from groundup.corpus import Tokenizer
from groundup.errors import UserError
from groundup.events import Event, Logged, Notice, Progress
from groundup.inference import SamplingSettings
from groundup.model import load_model
from groundup.runs import find_checkpoint, newest_good, prune, publish, published, read_journal, verify
from groundup.training import checkpoint as checkpoint_module
from groundup.training import loop

STEPS = 20
FULL = OSError(errno.ENOSPC, "No space left on device")


def results(run: Path) -> dict[str, bytes]:
    """What must be byte-equal: the figures, every file of every kept checkpoint, and which one is best."""
    names = ("metrics.jsonl", "training_metrics.json", "probes.jsonl", "samples.jsonl")
    files = {name: (run / name).read_bytes() for name in names}
    for path in run.glob("step-*/**/*"):
        if path.is_file():
            files[path.relative_to(run).as_posix()] = path.read_bytes()
    return files | {"best": (run / "best").resolve().name.encode()}


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, Any]) -> dict[str, Any]:
    return tiny_settings | {"model.dropout": 0.1}


@pytest.fixture(scope="module")
def whole(corpus_dir: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of the run that nothing disturbed and whose every save was waited for."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return results(groundup.train(corpus_dir, out=out, steps=STEPS, settings=settings | SYNCHRONOUS).path)


SYNCHRONOUS = {"checkpoint.asynchronous": False}


@pytest.fixture(scope="module")
def killed(
    corpus_dir: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, in_child: Callable[..., int]
) -> Path:
    """A run killed at step 14, with checkpoints 0, 8 and 12. Not to be changed."""
    out = tmp_path_factory.mktemp("killed") / "run"

    def work(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 14:
            os.kill(os.getpid(), 9)

    train = {"out": out, "steps": STEPS, "settings": settings | SYNCHRONOUS, "listen": work}
    assert in_child(lambda: groundup.train(corpus_dir, **train)) == -9
    assert list(published(out)) == [0, 8, 12]
    return out


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> Path:
    """A copy of `killed`, to be changed."""
    return Path(shutil.copytree(killed, tmp_path / "run", symlinks=True))


def write_files(directory: Path) -> None:
    (directory / "training").mkdir()
    for name in ("config.json", "model.safetensors", "training/state.json"):
        (directory / name).write_text(name * 50)


def test_row_03_a_disk_without_room_is_named_with_the_size_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, 4, write_files)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(UserError) as caught:
        publish(tmp_path, 8, lambda _: pytest.fail("written"), size=10 * free)
    mount = tmp_path
    while not mount.is_mount():
        mount = mount.parent
    assert f"needs {10 * free:,} bytes" in caught.value.what
    assert caught.value.what.endswith(f"free on the disk at {mount})")
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000004"]


@pytest.mark.parametrize("size", [0, 1_234_567])
def test_row_03_a_disk_that_fills_at_any_operation_spares_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """In a shard, a manifest, a directory, the rename: whichever operation meets it."""
    publish(tmp_path, 4, write_files)
    left = [0]

    def filling(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **keywords: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise FULL
            return real(*arguments, **keywords)

        return operation

    for owner, name in ((os, "fsync"), (os, "mkdir"), (os, "rename"), (Path, "write_text")):
        monkeypatch.setattr(owner, name, filling(getattr(owner, name)))
    failed = 0
    while True:
        left[0] = failed + 1
        try:
            publish(tmp_path, 8, write_files, size=size)
        except UserError as error:
            failed += 1
            assert "step 8 could not be saved" in error.what and "No space left" in error.what
            assert f"needs {size:,} bytes" in error.what or not size
            # the fsync after the rename may fail too: the checkpoint is whole then, only not promised
            assert newest_good(tmp_path, pytest.fail) in (
                (4, tmp_path / "step-00000004"),
                (8, tmp_path / "step-00000008"),
            )
            shutil.rmtree(tmp_path / "step-00000008", ignore_errors=True)
            assert [path.name for path in tmp_path.iterdir()] == ["step-00000004"]
        else:
            break
    assert failed >= 12
    assert newest_good(tmp_path, pytest.fail) == (8, tmp_path / "step-00000008")


ON_A_SMALL_DISK = """
mount -t tmpfs -o size={size} none {disk} || exit 99
{groundup} train {corpus} --out {disk}/run --steps 20 {sets}
echo "ended with $?"
ls -d {disk}/run/step-*
mount -o remount,size=200m none {disk}
{groundup} resume {disk}/run > /dev/null && cp -r {disk}/run {out}
"""


def test_row_03_a_run_on_a_disk_that_is_really_full_can_go_on_once_there_is_room(
    corpus_dir: Path, settings: dict[str, Any], killed: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    checkpoint = sum(path.stat().st_size for path in (killed / "step-00000012").rglob("*") if path.is_file())
    script = ON_A_SMALL_DISK.format(
        size=int(2.6 * checkpoint),
        disk=tmp_path / "disk",
        groundup=f"{sys.executable} -m groundup",
        corpus=corpus_dir,
        sets=" ".join(f"--set {key}={value}" for key, value in settings.items()),
        out=tmp_path / "out",
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if "ended with" not in done.stdout:
        pytest.skip(f"this machine lets nobody mount a small disk: {done.stderr}")
    assert "ended with 2" in done.stdout, done
    assert "Traceback" not in done.stderr
    assert f"free on the disk at {tmp_path / 'disk'}" in done.stderr and " needs " in done.stderr, done.stderr
    assert "step-00000004" in done.stdout
    assert results(tmp_path / "out") == whole


def damages(path: Path) -> list[bytes | None]:
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 16
    return [b"", content[:1], content[: len(content) // 2], content[:-1], content + b"\0", bytes(flipped), None]


def test_row_04_every_damage_to_every_file_is_named_and_the_checkpoint_before_is_used(
    killed: Path, tmp_path: Path
) -> None:
    for name in ("step-00000008", "step-00000012"):
        shutil.copytree(killed / name, tmp_path / "good" / name)
    files = [path.relative_to(tmp_path / "good") for path in (tmp_path / "good" / "step-00000012").rglob("*.*")]
    assert len(files) >= 8
    for file in files:
        for damaged in damages(tmp_path / "good" / file):
            if (
                file.name == "manifest.json"
                and damaged is not None
                and damaged.strip() == (tmp_path / "good" / file).read_bytes().strip()
            ):
                continue  # a manifest says the same without its last line end
            run = shutil.copytree(tmp_path / "good", tmp_path / "run")
            (run / file).unlink()
            if damaged is not None:
                (run / file).write_bytes(damaged)
            notices: list[str] = []
            assert newest_good(run, notices.append) == (8, run / "step-00000008"), (file, damaged)
            assert len(notices) == 1 and file.name in notices[0]
            assert (run / "damaged-step-00000012").is_dir()
            shutil.rmtree(run)


def best_is_a_dangling_link(best: Path) -> None:
    best.symlink_to("step-00000777")


def best_is_a_link_to_itself(best: Path) -> None:
    best.symlink_to("best")


def best_is_a_file(best: Path) -> None:
    best.write_bytes(b"\x80\x04step")


def best_is_an_empty_directory(best: Path) -> None:
    best.mkdir()


@pytest.mark.parametrize(
    "damage", [best_is_a_dangling_link, best_is_a_link_to_itself, best_is_a_file, best_is_an_empty_directory]
)
def test_row_05_stale_directories_and_damaged_pointers_are_ignored(
    run: Path, whole: dict[str, bytes], damage: Callable[[Path], None]
) -> None:
    stale = run / ".step-00000016.4711.tmp"
    shutil.copytree(run / "step-00000012", stale)
    (stale / "manifest.json").unlink()
    (run / "step-00000099").write_text("not a directory")
    (run / "latest").write_text("step-00000777")
    (run / "best").unlink()
    damage(run / "best")
    assert find_checkpoint(run) == run / "step-00000012"
    groundup.resume(run)
    assert results(run) == whole
    assert not stale.exists()


class Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.fuse),)


def seal(checkpoint: Path) -> None:
    """Make the manifest fit, as a stranger would who gives a checkpoint away."""
    files = {path.relative_to(checkpoint): path.read_bytes() for path in checkpoint.rglob("*.*")}
    del files[Path("manifest.json")]
    shutil.rmtree(checkpoint)

    def write(directory: Path) -> None:
        (directory / "training").mkdir()
        for name, content in files.items():
            (directory / name).write_bytes(content)

    publish(checkpoint.parent, int(checkpoint.name.removeprefix("step-")), write)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "training/optimizer.safetensors", "training/state.json", "tokenizer.json", "config.json"],
)
@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_row_06_a_pickle_bomb_in_a_checkpoint_is_refused_and_nothing_executed(
    run: Path, tmp_path: Path, name: str, protocol: int
) -> None:
    fuse, checkpoint = tmp_path / "exploded", run / "step-00000012"
    for path in (run / "step-00000000", run / "step-00000008"):
        shutil.rmtree(path)
    bomb = pickle.dumps(Bomb(fuse), protocol=protocol)
    (checkpoint / name).write_bytes(bomb)
    for decoy in ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "tokenizer.pkl"):
        (checkpoint / decoy).write_bytes(bomb)
    seal(checkpoint)
    assert verify(checkpoint) == []
    (run / "best").unlink()
    (run / "best").symlink_to(checkpoint.name)
    with nullcontext() if name.startswith("training/") else pytest.raises(UserError):
        groundup.generate(checkpoint, ["a"], SamplingSettings(max_new_tokens=1))
    # resuming reads neither tokenizer.json nor config.json; finishing the run may
    with pytest.raises(UserError) if name.endswith(("safetensors", "state.json")) else suppress(UserError):
        groundup.resume(run)
    assert not fuse.exists()
    pickle.loads(bomb)  # it would have
    assert fuse.exists()


def test_row_06_a_pickle_bomb_offered_as_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path / "tokenizer.json")
    assert not (tmp_path / "exploded").exists()


class SlowDisk:
    """Writing the weights of step N waits until training has come to step N + 3."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._moved, self._step = threading.Condition(), 0
        self.overlaps: list[tuple[int, int]] = []
        save_files = checkpoint_module.save_files

        def slowly(model: Any, directory: Path, **how: Any) -> None:
            step = int(directory.name.split("-")[1].split(".")[0])
            with self._moved:
                assert self._moved.wait_for(lambda: self._step >= min(step + 3, STEPS), 60)
                self.overlaps.append((step, self._step))
            save_files(model, directory, **how)

        monkeypatch.setattr(checkpoint_module, "save_files", slowly)

    def listen(self, event: Event) -> None:
        if isinstance(event, Progress):
            with self._moved:
                self._step = event.done
                self._moved.notify_all()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_row_07_what_is_saved_is_step_n_while_the_optimizer_goes_on(
    corpus_dir: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    settings = settings | {"optimizer.name": optimizer, "checkpoint.keep": 9}
    waited = groundup.train(corpus_dir, out=tmp_path / "a", steps=STEPS, settings=settings | SYNCHRONOUS)
    disk = SlowDisk(monkeypatch)
    beside = groundup.train(corpus_dir, out=tmp_path / "b", steps=STEPS, settings=settings, listen=disk.listen)
    assert [step for step, _ in disk.overlaps] == [0, 4, 8, 12, 16, 20]
    assert all(now >= step + 3 for step, now in disk.overlaps[:-1])
    assert results(beside.path) == results(waited.path)
    saved = [row for row in read_journal(beside.path / "events.jsonl") if row["event"] == "saved"]
    assert [row["step"] for row in saved] == [0, 4, 8, 12, 16, 20]
    assert all(0 <= row["stall_seconds"] <= row["seconds"] for row in saved)


def failing_save(monkeypatch: pytest.MonkeyPatch, step: int) -> threading.Event:
    """The disk fails while the checkpoint of `step` is written; the event that it has."""
    save_files, failed = checkpoint_module.save_files, threading.Event()

    def failing(model: Any, directory: Path, **how: Any) -> None:
        save_files(model, directory, **how)
        if f"step-{step:08d}" in directory.name:
            failed.set()
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(checkpoint_module, "save_files", failing)
    return failed


def test_row_08_a_failed_save_is_reported_at_the_next_step_and_never_counted(
    corpus_dir: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]
) -> None:
    out, came = tmp_path / "run", [0]
    with monkeypatch.context() as patch:
        failed = failing_save(patch, 8)

        def listen(event: Event) -> None:
            if isinstance(event, Progress):
                came[0] = event.done
                if event.done == 9:
                    assert failed.wait(60)
                    while list(out.glob(".step-*")):  # what it wrote is cleared first
                        time.sleep(0.01)
                    time.sleep(0.2)

        with pytest.raises(UserError, match=r"step 8 could not be saved: .*Input/output error.* needs [\d,]+ bytes"):
            groundup.train(corpus_dir, out=out, steps=STEPS, settings=settings, listen=listen)
    assert came[0] == 9
    assert list(published(out)) == [0, 4]
    assert 8 not in [row["step"] for row in read_journal(out / "events.jsonl") if row["event"] == "saved"]
    assert (out / "best").resolve().name == "step-00000000"
    assert not list(out.glob(".step-*"))
    groundup.resume(out)
    assert results(out) == whole


def wait_for_checkpoint(run: Path, step: int) -> None:
    while step not in published(run):
        time.sleep(0.01)


def test_row_08_a_stop_whose_save_fails_is_no_success(
    corpus_dir: Path, settings: dict[str, Any], tmp_path: Path, in_child: Callable[..., int]
) -> None:
    def work() -> None:
        from groundup.cli import main

        save_files, asked = checkpoint_module.save_files, list[bool]()

        def failing(model: Any, directory: Path, **how: Any) -> None:
            if asked:
                raise OSError(errno.EIO, "Input/output error")
            save_files(model, directory, **how)

        checkpoint_module.save_files = failing
        after_update(
            pytest.MonkeyPatch(),
            7,
            lambda job: (wait_for_checkpoint(job.run.path, 4), asked.append(True), os.kill(os.getpid(), 15)),
        )
        sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        main(["train", str(corpus_dir), "--out", str(tmp_path / "run"), "--steps", str(STEPS), *sets])

    assert in_child(work, output=tmp_path / "said") == 2
    assert "could not be saved" in (tmp_path / "said").read_text()
    assert newest_good(tmp_path / "run", pytest.fail) == (4, tmp_path / "run" / "step-00000004")


def test_row_09_interrupted_retention_leaves_what_it_keeps(tmp_path: Path) -> None:
    """Killed before any of its operations; then every newer checkpoint is damaged."""

    class Killed(BaseException):
        pass

    def killing(real: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
        def operation(*arguments: Any, **keywords: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return real(*arguments, **keywords)

        return operation

    moments, ended = 0, False
    while not ended:
        run = tmp_path / f"killed-{moments}"
        run.mkdir()
        for step in (0, 4, 8, 12, 16):
            publish(run, step, write_files)
        left = [moments + 1]
        with pytest.MonkeyPatch.context() as patch:
            for name in ("rename", "fsync", "unlink", "rmdir"):
                patch.setattr(os, name, killing(getattr(os, name), left))
            try:
                prune(run, keep=2, spare={0}, every=lambda step: True)
                ended = True
            except Killed:
                moments += 1
        assert set(published(run)) >= {0, 12, 16}
        assert all(verify(path) == [] for path in published(run).values())
        for step in (16, 12):
            assert newest_good(run, lambda _: None) == (step, run / f"step-{step:08d}")
            (run / f"step-{step:08d}" / "config.json").unlink()
        assert newest_good(run, lambda _: None) is not None
    assert moments >= 12


@pytest.mark.parametrize("damage", ["cut short", "a bit flipped"])
def test_row_09_damaged_checkpoints_do_not_count_among_those_kept(tmp_path: Path, damage: str) -> None:
    for step in (4, 8, 12, 16, 20):
        publish(tmp_path, step, write_files)
    for step in (12, 16, 20):
        path = tmp_path / f"step-{step:08d}" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + (b"" if damage == "cut short" else b"S"))
    prune(tmp_path, keep=1, spare=(), every=lambda step: True)
    assert list(published(tmp_path)) == [8, 12, 16, 20]
    publish(tmp_path, 24, write_files)
    prune(tmp_path, keep=2, spare=(), every=lambda step: True, hashed={24})
    assert list(published(tmp_path)) == [8, 12, 16, 20, 24]
    publish(tmp_path, 28, write_files)
    prune(tmp_path, keep=2, spare=(), every=lambda step: True, hashed={24, 28})
    assert list(published(tmp_path)) == [24, 28]


def test_row_09_when_all_newer_ones_are_damaged_the_oldest_is_continued(run: Path, whole: dict[str, bytes]) -> None:
    for step in (8, 12):
        (run / f"step-{step:08d}" / "model.safetensors").write_bytes(b"damaged")
    notices: list[str] = []
    groundup.resume(run, listen=lambda event: notices.append(event.text) if isinstance(event, Notice) else None)
    assert any("continuing from step 0" in text for text in notices)
    assert sorted(path.name for path in run.glob("damaged-*")) == ["damaged-step-00000008", "damaged-step-00000012"]
    assert results(run) == whole


def after_update(patch: pytest.MonkeyPatch, number: int, act: Callable[[Any], object]) -> None:
    """Call `act(job)` once training has come to step `number`."""
    update = loop._update

    def acting(job: Any, state: Any, forward: Any) -> None:
        update(job, state, forward)
        if state.step == number:
            act(job)

    patch.setattr(loop, "_update", acting)


def poison(job: Any) -> None:
    """NaN in one weight, of a row of the embedding that only pads it."""
    with torch.no_grad():
        job.model.model.embed_tokens.weight[-1, -1] = float("nan")


def test_row_17_weights_that_are_not_finite_are_never_saved_as_good(
    corpus_dir: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, said = tmp_path / "run", list[Event]()
    after_update(monkeypatch, 10, poison)
    with pytest.raises(UserError, match="not finite"):
        groundup.train(corpus_dir, out=out, steps=STEPS, settings=settings, listen=said.append)
    assert list(published(out)) == [0, 4, 8]
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {"step": 12, "event": "weights_not_finite"} in rows
    assert any(isinstance(event, Notice) and "step 12 are not finite" in event.text for event in said)
    assert all(parameter.isfinite().all() for parameter in load_model(find_checkpoint(out)).parameters())
    assert newest_good(out, pytest.fail) == (8, out / "step-00000008")


def test_row_17_nor_are_they_when_a_signal_asks_for_a_stop(
    corpus_dir: Path, settings: dict[str, Any], tmp_path: Path, in_child: Callable[..., int], whole: dict[str, bytes]
) -> None:
    def work() -> None:
        from groundup.cli import main

        after_update(pytest.MonkeyPatch(), 10, lambda job: (poison(job), os.kill(os.getpid(), 15)))
        sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        main(["train", str(corpus_dir), "--out", str(tmp_path / "run"), "--steps", str(STEPS), *sets])

    assert in_child(work, output=tmp_path / "said") == 75
    assert "step 10 are not finite" in (tmp_path / "said").read_text()
    assert list(published(tmp_path / "run")) == [0, 4, 8]
    groundup.resume(tmp_path / "run")  # where nothing poisons them
    assert results(tmp_path / "run") == whole
