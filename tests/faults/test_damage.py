"""Rows 4, 5 and 9: damaged files and pointers, half directories, retention that is interrupted."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_checkpoints import write_files
from torture import differences, results

import groundup
from groundup.errors import UserError
from groundup.events import Notice
from groundup.runs import find_checkpoint, newest_good, prune, publish, published, verify

pytestmark = pytest.mark.usefixtures("undrawn")


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


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "damage"),
    [("training/optimizer.safetensors", flip_a_bit), ("training/state.json", Path.unlink)],
)
def test_row_04_resume_names_a_damaged_checkpoint_and_goes_on_from_the_one_before(
    run: Path, whole: dict[str, bytes], name: str, damage: Callable[[Path], None]
) -> None:
    damage(run / "step-00000012" / name)
    notices: list[str] = []
    groundup.resume(run, listen=lambda event: notices.append(event.text) if isinstance(event, Notice) else None)
    assert any("step-00000012" in text and name in text and "damaged" in text for text in notices)
    assert any("continuing from step 8" in text for text in notices)
    assert (run / "damaged-step-00000012").is_dir()
    assert differences(results(run), whole) == []


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
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "train_l')
    (run / "best").unlink()
    damage(run / "best")
    assert find_checkpoint(run) == run / "step-00000012"
    groundup.resume(run)
    assert differences(results(run), whole) == []
    assert not stale.exists()


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


@pytest.mark.parametrize("damaged", [(8, 12), (0, 8, 12)], ids=["all newer ones", "all"])
def test_row_09_when_all_newer_ones_are_damaged_the_oldest_is_continued(
    run: Path, whole: dict[str, bytes], damaged: tuple[int, ...]
) -> None:
    for step in damaged:
        (run / f"step-{step:08d}" / "model.safetensors").write_bytes(b"damaged")
    notices: list[str] = []
    groundup.resume(run, listen=lambda event: notices.append(event.text) if isinstance(event, Notice) else None)
    assert any("continuing from step 0" in text for text in notices) == (0 not in damaged)
    assert sorted(path.name for path in run.glob("damaged-*")) == [f"damaged-step-{step:08d}" for step in damaged]
    assert differences(results(run), whole) == []


@pytest.mark.parametrize("kept", [0, 0.5])
def test_row_04_figures_that_were_lost_are_missed(killed: Path, tmp_path: Path, kept: float) -> None:
    run = shutil.copytree(killed, tmp_path / "run", symlinks=True)
    content = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(content[: int(kept * len(content))])
    notices: list[str] = []
    groundup.resume(run, listen=lambda event: notices.append(event.text) if isinstance(event, Notice) else None)
    assert any("metrics.jsonl lacks" in text and "have a gap" in text for text in notices)


def test_row_04_a_configuration_that_was_deleted_is_named(killed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(killed, tmp_path / "run", symlinks=True)
    (run / "config.toml").unlink()
    with pytest.raises(UserError, match=r"config\.toml"):
        groundup.resume(run)
    assert [*published(run)] == [*published(killed)]
