"""The protocol that publishes checkpoints.

Invariants, at every moment and after a crash or a power cut at any of them:
1. A directory named `step-XXXXXXXX` is complete: everything is written into a hidden temporary directory,
   `manifest.json` with every size and SHA-256 last; its files and directories are fsynced; one rename publishes it;
   the parent directory is fsynced. Once `publish` has returned, that checkpoint is found after any crash.
2. A published checkpoint never changes. It is deleted by a rename to a hidden name, and its files go only when that
   rename is on the disk: otherwise a power cut could bring the name back without the files.
3. Nothing is pruned unless as many newer checkpoints as are to be kept are good: each one's content was compared with
   its hashes once by this process, when it was saved or first counted, and its names and sizes at that moment. The
   newest good one stays, whatever happens. Only `retract` deletes newer ones than it leaves: what a run did not go on
   from when it went back.
4. `best` is replaced by one rename and names a checkpoint that was published before. It is a hint: what counts is
   what `verify` says of the directory it points at.

tests/runs/test_power_cuts.py replays every prefix of the file operations and holds 1, 2 and 4.
"""

import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from groundup.errors import UserError
from groundup.runs.files import fsync_directory, fsync_tree, mount_point
from groundup.runs.manifest import verify, write_manifest

_NAME = re.compile(r"step-(\d{8,})")


def published(run: Path) -> dict[int, Path]:
    """Every published checkpoint of a run, by step, oldest first."""
    found = {int(match[1]): path for path in run.iterdir() if (match := _NAME.fullmatch(path.name)) and path.is_dir()}
    return dict(sorted(found.items()))


def publish(run: Path, step: int, write: Callable[[Path], None], *, size: int = 0) -> Path:
    """Publish what `write(directory)` writes, about `size` bytes, as the checkpoint of `step`; return its directory.

    A checkpoint of that step that is already published is left as it is: it holds the same bytes.
    Raises UserError when the disk has no room for it or fails, with every earlier checkpoint intact.
    """
    target = run / f"step-{step:08d}"
    for stale in run.glob(".step-*"):
        shutil.rmtree(stale, ignore_errors=True)
    if target.exists():
        fsync_directory(run)  # whoever renamed it may have been killed before that
        return target
    if size > (free := shutil.disk_usage(run).free):
        raise _not_saved(run, step, "there is no room", size, free)
    temporary = run / f".{target.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        write(temporary)
        write_manifest(temporary, step)
        fsync_tree(temporary)
        temporary.rename(target)
        fsync_directory(run)
    except BaseException as error:
        written = (
            sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file()) if temporary.exists() else 0
        )
        free = shutil.disk_usage(run).free
        shutil.rmtree(temporary, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise _not_saved(run, step, str(error), max(size, written), free) from error
    return target


def newest_good(run: Path, notice: Callable[[str], None]) -> tuple[int, Path] | None:
    """The newest checkpoint whose every hash holds; damaged ones are named through `notice` and set aside."""
    for step, path in reversed(published(run).items()):
        problems = verify(path)
        if not problems:
            return step, path
        aside = set_aside(path, "damaged")
        notice(f"checkpoint of step {step} is damaged and was set aside as {aside.name}: {'; '.join(problems)}")
    return None


def set_aside(checkpoint: Path, why: str) -> Path:
    """Rename a published checkpoint to `WHY-step-XXXXXXXX`, where nothing uses it; return that directory."""
    aside = checkpoint.with_name(f"{why}-{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    return checkpoint.rename(aside)


def link_best(run: Path, checkpoint: Path) -> None:
    """Point `best` at a published checkpoint: a relative link, or a copy where links cannot be made."""
    best, temporary, before = run / "best", run / f".best.{os.getpid()}.tmp", run / ".best.before"
    for stale in run.glob(".best.*"):
        stale.unlink() if stale.is_symlink() or not stale.is_dir() else shutil.rmtree(stale)
    try:
        temporary.symlink_to(checkpoint.name, target_is_directory=True)
    except OSError:
        shutil.copytree(checkpoint, temporary)
        fsync_tree(temporary)
    if best.is_dir() and not best.is_symlink():  # a copy, made above or by a program that follows links
        best.rename(before)
    temporary.replace(best)
    fsync_directory(run)
    if before.exists():
        shutil.rmtree(before)


def prune(
    run: Path,
    *,
    keep: int,
    spare: Collection[int],
    every: Callable[[int], bool],
    needs: Callable[[int], int | None] = lambda _: None,
    hashed: set[int] | None = None,
) -> None:
    """Delete old checkpoints: all but the newest `keep` good ones, those in `spare`, and never the newest good one.

    With each stays the one that it `needs`: going on from it would otherwise lack its best so far. One whose step
    `every` does not call scheduled was made by a signal, and goes once a newer one stands. A damaged one does not count
    and is left for `newest_good` to name. `hashed` are the steps whose content this process has read back: of these
    only names and sizes are compared again, and what is hashed here joins them.
    """
    found, hashed = published(run), set() if hashed is None else hashed
    scheduled = [step for step in found if every(step)]
    if found.keys() <= {*spare, *scheduled[-keep:], *list(found)[-1:]}:
        return
    kept, stands = set(spare), False
    for step, path in reversed(found.items()):
        if not stands or (keep and every(step)):
            kept.add(step)
            if not verify(path, contents=step not in hashed):
                hashed.add(step)
                stands = True
                keep -= every(step)
    kept |= {need for step in kept & found.keys() if (need := needs(step)) is not None}
    _delete(run, [path for step, path in found.items() if step not in kept])


def retract(run: Path, steps: Collection[int]) -> None:
    """Delete the checkpoints of `steps`, whatever there is beside them."""
    if gone := [path for step, path in published(run).items() if step in steps]:
        for stale in run.glob(".step-*"):  # a crash in the middle of this may have left the names in use
            shutil.rmtree(stale, ignore_errors=True)
        _delete(run, gone)


def _delete(run: Path, checkpoints: list[Path]) -> None:
    hidden = [path.rename(run / f".{path.name}.deleted") for path in checkpoints]
    fsync_directory(run)
    for path in hidden:
        shutil.rmtree(path, ignore_errors=True)


def _not_saved(run: Path, step: int, why: str, size: int, free: int) -> UserError:
    return UserError(
        f"the checkpoint of step {step} could not be saved: {why}"
        f" (it needs {size:,} bytes, and {free:,} are free on the disk at {mount_point(run)})",
        where=run,
        fix="make room on this disk, then `groundup resume` continues",
    )
