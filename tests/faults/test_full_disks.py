"""Row 3: a disk that fills at any operation, for real too, costs nothing that was there."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import disks
import pytest
from small_checkpoints import write_files
from torture import SETTINGS, STEPS, before_operations, differences, results

import groundup
from groundup.cli import main
from groundup.errors import UserError
from groundup.runs import newest_good, publish, published

FULL = OSError(errno.ENOSPC, "No space left on device")


def test_row_03_a_disk_without_room_is_named_with_the_size_before_anything_is_written(tmp_path: Path) -> None:
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


def test_row_03_a_run_on_a_disk_that_is_really_full_can_go_on_once_there_is_room(
    corpus_dir: Path, killed: Path, whole: dict[str, bytes], tmp_path: Path, in_child: Callable[..., int]
) -> None:
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    checkpoint = sum(path.stat().st_size for path in (killed / "step-00000012").rglob("*") if path.is_file())
    sets = [f"--set={key}={value}" for key, value in SETTINGS.items()]

    def work() -> None:
        disks.mount(disk, int(2.6 * checkpoint))
        with pytest.raises(SystemExit) as end:
            main(["train", str(corpus_dir), "--out", str(disk / "run"), "--steps", str(STEPS), *sets])
        assert end.value.code == 2
        assert 4 in published(disk / "run")
        disks.change(disk, 200 << 20)
        groundup.resume(disk / "run")
        shutil.copytree(disk / "run", out, symlinks=True)

    code, said = in_child(work, output=tmp_path / "said"), (tmp_path / "said").read_text()
    if code == disks.REFUSED:
        pytest.skip("this machine lets nobody mount a disk")
    assert code == 0, said
    assert "Traceback" not in said
    assert f"free on the disk at {disk}" in said and " needs " in said, said
    assert differences(results(out), whole) == []


def test_row_03_a_full_disk_is_named_whatever_meets_it_first(
    corpus_dir: Path, killed: Path, tmp_path: Path, in_child: Callable[..., int]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()

    def work() -> None:
        disks.mount(disk, 100 << 20)
        run = shutil.copytree(killed, disk / "run", symlinks=True)
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(1 << 16)):
                pass
        for words in (["resume", run], ["resume", run, "--set=training.log_every=3"], ["train", corpus_dir, "--out"]):
            with pytest.raises(SystemExit) as end:
                main([str(word) for word in ([*words, disk / "new"] if words[-1] == "--out" else words)])
            assert end.value.code == 2
        (disk / "filler").unlink()
        assert groundup.resume(run).info["status"] == "finished"

    code, said = in_child(work, output=tmp_path / "said"), (tmp_path / "said").read_text()
    if code == disks.REFUSED:
        pytest.skip("this machine lets nobody mount a disk")
    assert code == 0, said
    assert "Traceback" not in said
    assert said.count(f"free on the disk at {disk}, and each checkpoint needs") == 2
    assert said.count("make room on this disk; then `groundup resume") == 2
    assert f"free on the disk at {disk})" in said
    assert said.count("make room on this disk, or give another --out") == 1


@pytest.mark.parametrize("first", range(1, 40, 3))
def test_row_03_a_disk_that_fills_at_any_operation_of_a_resume_is_named(
    run: Path, tmp_path: Path, in_child: Callable[..., int], first: int
) -> None:
    """Nothing can be written from then on: neither the lock, the settings, the figures nor a checkpoint."""

    def work() -> None:
        def fail(number: int) -> None:
            if number >= first:
                raise FULL

        before_operations(fail)
        with pytest.raises(UserError, match=r"No space left on device.* free on the disk at "):
            groundup.resume(run, settings={"training.log_every": 3})

    code = in_child(work, output=tmp_path / "said")
    assert code == 0, (tmp_path / "said").read_text()
