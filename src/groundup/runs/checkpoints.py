"""The protocol that publishes checkpoints.

Invariants, at every moment and after a crash at any of them:
1. A directory named `step-XXXXXXXX` was complete and on the disk before it got that name: its files are written
   and fsynced in a hidden temporary directory, `manifest.json` with every size and SHA-256 is written last,
   then one rename publishes it and the parent directory is fsynced.
2. A published checkpoint never changes. It is deleted by a rename to a hidden name first.
3. `best` is a hint: what counts is what `verify` says of the directory it points at.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from groundup.errors import UserError
from groundup.runs.files import fsync_directory, read_json

MANIFEST_VERSION = 1
_NAME = re.compile(r"step-(\d{8,})")


def published(run: Path) -> dict[int, Path]:
    """Every published checkpoint of a run, by step, oldest first."""
    found = {int(match[1]): path for path in run.iterdir() if (match := _NAME.fullmatch(path.name)) and path.is_dir()}
    return dict(sorted(found.items()))


def publish(run: Path, step: int, write: Callable[[Path], None]) -> Path:
    """Publish what `write(directory)` writes as the checkpoint of `step`; return its directory.

    A checkpoint of that step that is already published is left as it is: it holds the same bytes.
    Raises UserError when the disk is full, with every earlier checkpoint intact.
    """
    target = run / f"step-{step:08d}"
    if target.exists():
        return target
    for stale in run.glob(".step-*"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = run / f".{target.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        write(temporary)
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        manifest = {
            "version": MANIFEST_VERSION,
            "step": step,
            "files": {
                path.relative_to(temporary).as_posix(): {
                    "bytes": path.stat().st_size,
                    "sha256": _sha256(path),
                }
                for path in files
            },
        }
        for path in files:
            _fsync(path)
        listing = temporary / "manifest.json"
        listing.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _fsync(listing)
        for directory in [*(path for path in temporary.rglob("*") if path.is_dir()), temporary]:
            fsync_directory(directory)
        temporary.rename(target)
        fsync_directory(run)
    except BaseException as error:
        needed = (
            sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file()) if temporary.exists() else 0
        )
        shutil.rmtree(temporary, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        free = shutil.disk_usage(run).free
        raise UserError(
            f"the checkpoint of step {step} could not be saved: {error} ({needed:,} bytes written, {free:,} free)",
            where=run,
            fix="make room on this disk, then `groundup resume` continues",
        ) from error
    return target


def verify(checkpoint: Path) -> list[str]:
    """What is wrong with a published checkpoint: one line per damaged file; empty when every hash holds."""
    try:
        manifest = read_json(checkpoint / "manifest.json")
        files = manifest["files"]
        if manifest["version"] != MANIFEST_VERSION:
            return [f"{checkpoint / 'manifest.json'}: version {manifest['version']} is not known to this groundup"]
        expected = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except UserError as error:
        return [str(error)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"{checkpoint / 'manifest.json'}: not a manifest ({error!r})"]
    problems = []
    root = checkpoint.resolve()
    for name, (size, digest) in expected.items():
        path = checkpoint / name
        try:
            if not path.resolve().is_relative_to(root):
                problems.append(f"{checkpoint / 'manifest.json'}: {name!r} leads out of the checkpoint")
            elif not path.is_file():
                problems.append(f"{path}: missing")
            elif path.stat().st_size != size:
                problems.append(f"{path}: {path.stat().st_size} bytes instead of {size}")
            elif _sha256(path) != digest:
                problems.append(f"{path}: its content changed after it was saved")
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # a failing disk, no file name at all, links in a circle
            problems.append(f"{checkpoint / 'manifest.json'}: {name!r} cannot be read: {error}")
    return problems


def newest_good(run: Path, notice: Callable[[str], None]) -> tuple[int, Path] | None:
    """The newest checkpoint whose every hash holds; damaged ones are named through `notice` and set aside."""
    for step, path in reversed(published(run).items()):
        problems = verify(path)
        if not problems:
            return step, path
        aside = run / f"damaged-{path.name}"
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        notice(f"checkpoint of step {step} is damaged and was set aside as {aside.name}: {'; '.join(problems)}")
    return None


def link_best(run: Path, checkpoint: Path) -> None:
    """Point `best` at `checkpoint`: a relative link, or a copy where links cannot be made."""
    best, temporary = run / "best", run / f".best.{os.getpid()}.tmp"
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(checkpoint.name, target_is_directory=True)
    except OSError:
        shutil.copytree(checkpoint, temporary)
    if best.is_dir() and not best.is_symlink():  # a copy, made above or by a program that follows links
        shutil.rmtree(best)
    temporary.replace(best)
    fsync_directory(run)


def prune(run: Path, *, keep: int, spare: Collection[int], every: Callable[[int], bool]) -> None:
    """Delete old checkpoints: all but the newest `keep`, those in `spare`, and never the newest one.

    One whose step `every` does not call scheduled was made by a signal, and goes once a newer one stands.
    """
    steps = list(published(run))
    scheduled = [step for step in steps if every(step)]
    kept = {*spare, *scheduled[-keep:], *steps[-1:]}
    for step in steps:
        if step not in kept:
            path = run / f"step-{step:08d}"
            hidden = run / f".{path.name}.deleted"
            path.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
