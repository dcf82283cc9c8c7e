"""Git repositories as data: which files of a folder are tracked, read from its index.

The git program never runs, and no configuration, hook, filter or object is looked at: a repository may be hostile. The
names in an index only choose among the files that a walk over the folder meets; none of them is opened."""

import hashlib
import itertools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from groundup.documents.gitignore import Ignores, read_small

_MOST_BYTES = 128 << 20  # of an index; Chromium's has 60 MB
_LONGEST_NAME = 4096
_MOST_COUNTED = 100_000
_MOST_NAMED = 5
_LINK = 0o160000  # the mode of a submodule


@dataclass
class Repository:
    """A folder with `.git` in it, while it is walked."""

    folder: Path
    tracked: set[str] = field(default_factory=set)
    """The tracked files, "docs/a.txt"; empty where there are none, and everything that is not ignored is read."""
    folders: set[str] = field(default_factory=set)
    """The folders of tracked files and the submodules."""
    met: int = 0
    """Tracked files that were met."""
    trouble: str = ""
    """Why the index could not be read."""
    ignores: Ignores = field(default_factory=Ignores)
    ignored: int = 0
    untracked: int = 0
    named: list[str] = field(default_factory=list)
    """The first of the untracked files, "docs/b.txt"."""

    @property
    def chooses(self) -> bool:
        """Whether anything is tracked: then only that is read."""
        return bool(self.tracked or self.folders)

    def takes(self, path: Path, parts: tuple[str, ...], is_folder: bool) -> bool:
        """Whether the file or folder at `path`, which is at `parts` in the repository, is read; else it is counted."""
        name = "/".join(parts)
        if self.chooses and name in (self.folders if is_folder else self.tracked):
            self.met += not is_folder
            return True
        if self.ignores.ignored(parts, is_folder):
            self.ignored += _count(path, is_folder)
            return False
        if self.chooses:
            self.untracked += _count(path, is_folder)
            self.named += itertools.islice(_names(path, name, is_folder), _MOST_NAMED - len(self.named))
        return not self.chooses

    def left_out(self) -> list[str]:
        """Why how many files of the repository were not read."""
        missing = 0
        if self.met < len(self.tracked):
            missing = sum(not os.path.lexists(self.folder / name) for name in self.tracked)
        counts = (
            (self.untracked, f"not tracked by Git: {self._named()}"),
            (self.ignored, "ignored by .gitignore"),
            (missing, "tracked by Git, but deleted or not checked out"),
        )
        return [f"{_files(count)} {why}" for count, why in counts if count]

    def _named(self) -> str:
        more = self.untracked - len(self.named)
        # Names may hold anything, a terminal's control characters too.
        names = [name if name.isprintable() else ascii(name)[1:-1] for name in self.named]
        return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


def open_repository(folder: Path) -> Repository:
    """The repository in `folder`, whose `.git` is a folder or, in a worktree or submodule, a file that names one."""
    repository = Repository(folder)
    home = folder / ".git"
    if not home.is_dir():
        link = (read_small(home, _LONGEST_NAME) or b"").removeprefix(b"gitdir:").strip()
        if not link or b"\0" in link:
            repository.trouble = "names no Git folder"
            return repository
        home = folder / os.fsdecode(link)
    repository.ignores.add(home / "info" / "exclude", ())
    index = home / "index"
    if not os.path.lexists(index):
        return repository  # nothing was ever added
    data = read_small(index, _MOST_BYTES)
    try:
        if data is None:
            raise ValueError("not a file, or too large")
        left = 4 * len(data)  # version 4 shortens names by what they have in common, but not endlessly
        for name, mode in _entries(data):
            left -= len(name)
            (repository.folders if mode == _LINK else repository.tracked).add(name)
            while (name := name.rpartition("/")[0]) and name not in repository.folders:
                repository.folders.add(name)
                left -= len(name)
            if left < 0:
                raise ValueError("its names are longer than it could hold")
    except (ValueError, IndexError, struct.error) as error:
        repository.tracked.clear()
        repository.folders.clear()
        repository.trouble = f"its index is damaged or of an unknown kind ({error})"
    return repository


def _entries(data: bytes) -> Iterator[tuple[str, int]]:
    """The names and modes in an index: Documentation/gitformat-index in Git's source, versions 2 to 4.

    Our own, because dulwich 1.2 takes version 4's numbers above 127 for others, and quadratic time for a long name.
    Raises ValueError or struct.error for one that is damaged."""
    # The checksum at the end says how long the names of objects are; it may be switched off, which is zeros.
    digests = {20: hashlib.sha1(data[:-20]).digest(), 32: hashlib.sha256(data[:-32]).digest()}
    size = next((n for n, digest in digests.items() if data[-n:] in (digest, bytes(n))), 0)
    magic, version, count = struct.unpack_from(">4sLL", data)
    if not size or magic != b"DIRC" or version not in (2, 3, 4):
        raise ValueError("not an index, or changed")
    at, end, name = 12, len(data) - size, b""
    for _ in range(count):
        start = at
        (mode,) = struct.unpack_from(">L", data, start + 24)
        (flags,) = struct.unpack_from(">H", data, start + 40 + size)
        at = start + 42 + size + 2 * bool(flags & 0x4000)
        if version == 4:
            strip, at = _number(data, at)
            if strip > len(name):
                raise ValueError("a name is shorter than nothing")
        stop = data.index(b"\0", at, min(end, at + _LONGEST_NAME))
        name = name[: len(name) - strip] + data[at:stop] if version == 4 else data[at:stop]
        if len(name) > _LONGEST_NAME:
            raise ValueError("a name is too long")
        at = stop + 1 if version == 4 else start + ((stop - start + 8) & ~7)
        yield os.fsdecode(name), mode
    while at + 8 <= end:
        if data[at : at + 4] == b"link":
            raise ValueError("it is split, and only the changes are in it")
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = data[at] & 127
    while data[at] & 128 and value <= _LONGEST_NAME:
        at += 1
        value = ((value + 1) << 7) + (data[at] & 127)
    return value, at + 1


def _count(path: Path, is_folder: bool) -> int:
    if not is_folder:
        return 1
    count = 0
    for _, _, files in os.walk(path):
        count += len(files)
        if count >= _MOST_COUNTED:
            break
    return count


def _names(path: Path, name: str, is_folder: bool) -> Iterator[str]:
    if not is_folder:
        yield name
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        for file in sorted(files):
            yield f"{name}/{(Path(folder) / file).relative_to(path).as_posix()}"


def _files(count: int) -> str:
    more = "or more " if count >= _MOST_COUNTED else ""
    return f"{count:,} {more}file{'s' * (count != 1)}"
