"""Which files are read: a sorted walk over the given paths that names everything it leaves out."""

import difflib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from groundup.documents.databases import Server, find_server
from groundup.documents.document import FileRecord
from groundup.documents.git import Repository, open_repository
from groundup.documents.gitignore import Ignores
from groundup.errors import UserError

_LEFT_OUT = {
    ".git": "version control data",
    ".hg": "version control data",
    ".svn": "version control data",
    "CVS": "version control data",
    "node_modules": "installed packages",
    "__pycache__": "compiled Python",
    "__MACOSX": "data of macOS, not of yours",
}
_DEEPEST = 200  # the walk is recursive


@dataclass
class _Walk:
    """What holds for all of a walk."""

    roots: list[str]
    """The given paths, all links resolved."""
    excluded: Ignores = field(default_factory=Ignores)
    begin: int = 0
    """Parts of the given path that is walked."""


def as_sources(paths: Sequence[Path | Server | str]) -> list[Path | Server]:
    """`paths` with every text as what it names: a server where it is a URL, otherwise a file or folder.

    Raises UserError for a URL of another kind and for a bad one."""
    return [(find_server(path) or Path(path)) if isinstance(path, str) else path for path in paths]


def find_files(
    paths: Sequence[Path | Server | str], exclude: Sequence[str] = ()
) -> Iterator[Path | Server | FileRecord]:
    """The regular files in `paths`, folders walked in the order of their names, each file once; servers as they are.

    Of a folder that is a Git repository the tracked files are read, hidden ones too; as long as none is tracked, those
    that are not ignored. What is not read becomes a FileRecord: hidden files, version control, virtual environments
    and installed packages (one record for the whole folder), untracked and ignored files (one record for all of a
    repository), links that lead outside the given paths, loops, FIFOs, sockets, devices (all "skipped"), unreadable
    folders and indexes ("failed"). So do files and folders that match `exclude`, patterns as in .gitignore relative to
    the given folder. A path given by name is read even if it is hidden, excluded or a link. Raises UserError for a path
    that does not exist."""
    sources = as_sources(paths)
    given = [path for path in sources if isinstance(path, Path)]
    for path in given:
        if not os.path.lexists(path):
            raise UserError("no such file or folder", where=show(path), fix=_nearest(path))
    walk = _Walk([os.path.realpath(path) for path in given])
    walk.excluded.take(exclude)
    seen: set[str] = set()
    for path in sources:
        if isinstance(path, Server):
            yield path
            continue
        walk.begin = len(path.parts)
        for found in _look_at(path, walk, given=True):
            if isinstance(found, Path):
                # By name and not by inode: a link to a file is that file's text twice, and duplicates are
                # found by content later; only the same path given twice is dropped here.
                if (key := str(found.absolute())) in seen:
                    continue
                if len(given) > 1:  # a million names are 200 MB
                    seen.add(key)
            yield found


def why_left_out(name: str) -> str:
    """Why a file or folder called `name` is not read when it is met in a folder or archive; "" if it is."""
    if name in _LEFT_OUT:
        return _LEFT_OUT[name]
    return "hidden" if name.startswith(".") else ""


def show(path: str | Path) -> str:
    """`path` as printable text: undecodable bytes and control characters are escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _look_at(
    path: Path,
    walk: _Walk,
    given: bool = False,
    repository: Repository | None = None,
    inside: tuple[str, ...] = (),
) -> Iterator[Path | FileRecord]:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            try:
                target = path.stat()
            except OSError as error:
                loop = error.errno not in (2, 20)
                yield _skipped(path, "a loop of links" if loop else "a link to nothing")
                return
            if not given:
                if stat.S_ISDIR(target.st_mode):
                    yield _skipped(path, "a link to a folder")
                    return
                real = os.path.realpath(path)
                if not any(real == root or real.startswith(root.rstrip("/") + "/") for root in walk.roots):
                    yield _skipped(path, "a link to a file outside the given folders")
                    return
            mode = target.st_mode
    except OSError as error:
        yield _failed(path, error)
        return
    if stat.S_ISREG(mode):
        yield path
    elif stat.S_ISDIR(mode):
        yield from _walk(path, walk, repository, inside)
    else:
        kinds = {
            stat.S_IFIFO: "a FIFO",
            stat.S_IFSOCK: "a socket",
            stat.S_IFBLK: "a device",
            stat.S_IFCHR: "a device",
        }
        yield _skipped(path, f"{kinds.get(stat.S_IFMT(mode), 'a special file')}, not a regular file")


def _walk(
    folder: Path, walk: _Walk, repository: Repository | None, inside: tuple[str, ...]
) -> Iterator[Path | FileRecord]:
    """`inside` is where the folder is in the repository."""
    if len(folder.parts) > _DEEPEST:
        yield _skipped(folder, f"nested deeper than {_DEEPEST} folders")
        return
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    except OSError as error:
        yield _failed(folder, error)
        return
    names = sorted(found)
    if "pyvenv.cfg" in names:
        yield _skipped(folder, "a Python virtual environment")
        return
    # `groundup train . --out ./checkpoints` must not learn from its own run the next time
    if "run.json" in names and {"config.toml", "corpus", ".lock"} & set(names):
        yield _skipped(folder, "a run of groundup")
        return
    if "manifest.json" in names and "tokenizer.json" in names:
        yield _skipped(folder, "a corpus or checkpoint of groundup")
        return
    if is_repository := ".git" in names:
        repository, inside = open_repository(folder), ()
        if repository.trouble:
            yield FileRecord(show(folder / ".git"), "", 0, 0, 0, 0, "failed", repository.trouble)
    if repository:
        repository.ignores.enter(folder, inside)
    for name in names:
        path, place = folder / name, (*inside, name)
        reason = why_left_out(name)
        # what is tracked is wanted, also where its name is hidden: .github/workflows
        if reason and (reason != "hidden" or not repository or not repository.chooses):
            yield _skipped(path, reason)
        elif walk.excluded.ignored(path.parts[walk.begin :], found[name]):
            yield _skipped(path, "left out by data.exclude")
        elif not repository or repository.takes(path, place, found[name]):
            yield from _look_at(path, walk, repository=repository, inside=place)
    if repository and is_repository:
        yield from (_skipped(folder, reason) for reason in repository.left_out())


def _skipped(path: Path, reason: str) -> FileRecord:
    return FileRecord(show(path), "", 0, 0, 0, 0, "skipped", reason)


def _failed(path: Path, error: OSError) -> FileRecord:
    return FileRecord(show(path), "", 0, 0, 0, 0, "failed", (error.strerror or str(error)).lower())


def _nearest(path: Path) -> str:
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        path, parent = parent, parent.parent
    try:
        names = [entry.name for entry in parent.iterdir()]
    except OSError:
        names = []
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"did you mean {show(parent / close[0])}?" if close else "check the spelling"
