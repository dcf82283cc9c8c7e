"""Folders that are Git repositories: real ones, with Git's own word on what is tracked, and hostile ones."""

import hashlib
import os
import random
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from groundup.documents import FileRecord, find_files

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", *IDENTITY, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")


def split(folder: Path) -> tuple[list[str], list[str]]:
    """The files, and what was left out but for `.git`, as text."""
    found = list(find_files([folder]))
    files = [str(item.relative_to(folder)) for item in found if isinstance(item, Path)]
    records = [item for item in found if isinstance(item, FileRecord) and item.path != str(folder / ".git")]
    return files, [f"{Path(r.path).name}: {r.status}: {r.reason}" for r in records]


@pytest.fixture
def repository(tmp_path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def test_tracked_files_are_read_hidden_ones_too_and_the_others_are_counted(repository):
    put(repository, "b/2.txt", "a.txt", ".github/workflows/ci.yml", "b/ü ✓.txt", "gone.txt", ".gitignore")
    (repository / ".gitignore").write_text("*.log\n/build/\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "x")
    put(repository, "new.txt", "b/new.txt", ".env", "x.log", "build/1.o", "build/deep/2.o", "c/d/new.txt")
    (repository / "gone.txt").unlink()
    files, left_out = split(repository)
    assert files == [".github/workflows/ci.yml", ".gitignore", "a.txt", "b/2.txt", "b/ü ✓.txt"]
    assert left_out == [
        "repository: skipped: 4 files not tracked by Git: .env, b/new.txt, c/d/new.txt, new.txt",
        "repository: skipped: 3 files ignored by .gitignore",
        "repository: skipped: 1 file tracked by Git, but deleted or not checked out",
    ]


def test_many_untracked_files_are_named_in_part_and_in_printable_characters(repository):
    put(repository, "a.txt")
    git(repository, "add", ".")
    put(repository, "\x1b[1m.txt", *(f"z/{n}/f.txt" for n in range(8)))
    (reason,) = split(repository)[1]
    names = "\\x1b[1m.txt, z/0/f.txt, z/1/f.txt, z/2/f.txt, z/3/f.txt"
    assert reason == f"repository: skipped: 9 files not tracked by Git: {names} and 4 more"


@pytest.mark.parametrize("version", ["2", "4"])
@pytest.mark.parametrize("hashes", ["sha1", "sha256"])
def test_every_version_of_the_index_gives_what_git_lists(tmp_path, version, hashes):
    git(tmp_path, "init", "-q", f"--object-format={hashes}")
    draw = random.Random(0)
    # long names in common and none: version 4 counts the difference in one, two and three bytes
    names = {"/".join("abc"[draw.randrange(3)] * draw.choice([1, 60, 200]) for _ in range(5)) for _ in range(60)}
    put(tmp_path, *names, "z", *(f"many/{n}.txt" for n in range(300)))
    git(tmp_path, "update-index", "--index-version", version)
    git(tmp_path, "add", ".")
    put(tmp_path, "intended")
    git(tmp_path, "add", "-N", "intended")  # its flags make version 2 a version 3
    git(tmp_path, "update-index", "--skip-worktree", "z")
    listed = git(tmp_path, "ls-files", "-z").rstrip("\0").split("\0")
    assert struct.unpack(">L", (tmp_path / ".git/index").read_bytes()[4:8])[0] == (4 if version == "4" else 3)
    files, left_out = split(tmp_path)
    assert sorted(files) == sorted(listed) and left_out == [] and len(files) > 300


def test_a_sparse_checkout_says_how_many_files_are_not_there(repository):
    put(repository, "docs/a.txt", "src/b.txt", "src/c.txt", "top.txt")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "x")
    git(repository, "sparse-checkout", "set", "docs")
    files, (reason,) = split(repository)
    assert files == ["docs/a.txt", "top.txt"] and "2 files tracked by Git, but deleted or not checked out" in reason


def test_a_worktree_a_submodule_and_a_repository_in_a_folder_are_repositories(repository, tmp_path):
    put(repository, "a.txt")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "x")
    library = tmp_path / "all" / "library"
    library.mkdir(parents=True)
    git(library, "init", "-q")
    git(library, "submodule", "add", "-q", str(repository), "sub")
    git(library, "commit", "-qm", "x")
    git(repository, "worktree", "add", "-q", str(tmp_path / "all" / "tree"))
    put(tmp_path / "all", "library/sub/new.txt", "library/other/.git/x", "library/other/o.txt", "tree/new.txt", "p.txt")
    files, left_out = split(tmp_path / "all")
    assert files == ["library/.gitmodules", "library/sub/a.txt", "p.txt", "tree/a.txt"]
    counts = [line for line in left_out if "not tracked" in line]
    assert counts == [
        "sub: skipped: 1 file not tracked by Git: new.txt",
        "library: skipped: 2 files not tracked by Git: other/o.txt, other/.git/x",
        "tree: skipped: 1 file not tracked by Git: new.txt",
    ]


def test_before_the_first_add_everything_but_the_ignored_is_read(repository):
    put(repository, "a.txt", "b/c.txt", "b/x.log", "b/keep.log", "out/1.txt", ".hidden", ".git/info/exclude")
    (repository / ".gitignore").write_text("*.log\nout/\n")
    (repository / "b" / ".gitignore").write_text("!keep.log\n")
    (repository / ".git" / "info" / "exclude").write_text("a.*\n")
    files, left_out = split(repository)
    assert files == ["b/c.txt", "b/keep.log"]
    assert left_out[-1] == "repository: skipped: 3 files ignored by .gitignore"
    assert [line for line in left_out if "hidden" in line and ".hidden" in line]


def test_patterns_mean_what_they_mean_to_git(repository):
    patterns = """
        # comment
        \\#hash
        \\!bang
        a
        !a/b
        /b
        c/
        d/e
        **/f
        g/**
        h/**/i
        *.o
        !keep.o
        j*k?l
        [m-o]x
        [!p-z]y
        [^a]z
        sp\\ ace
        trail\x20\x20\x20
        q\\*r
        /s/*
        !/s/t
        **/u/**/v
        w**x
        [
        y[z
    """
    (repository / ".gitignore").write_text("\n".join(line.strip() for line in patterns.split("\n")) + "\n*.p\r\n")
    draw = random.Random(1)
    words = [*"abcdefghistuv", "#hash", "!bang", "x.o", "keep.o", "jk1l", "jkk", "nx", "qx", "ay", "py", "az", "bz",
             "sp ace", "trail", "q*r", "qxr", "w/x", "wx", "wabx", "[", "y[z", "x.p"]  # fmt: skip
    made = []
    for number in range(1500):
        # mostly in a folder of its own, because a name met as a file is no folder any more
        top = [] if number % 4 == 0 else [f"k{number}"]
        name = "/".join([*top, *(draw.choice([*words, "k", "l"]) for _ in range(draw.choice([1, 1, 2, 3, 4])))])
        try:
            put(repository, name)
            made.append(name)
        except OSError:
            pass
    kept = git(repository, "ls-files", "-z", "--others", "--exclude-standard").rstrip("\0").split("\0")
    files, _ = split(repository)
    assert sorted(files) == sorted(set(kept) - {".gitignore"})
    assert 300 < len(files) < len(made) - 300


def test_nothing_of_a_hostile_repository_runs(repository, tmp_path):
    put(repository, "a.txt")
    git(repository, "add", ".")
    mark = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    hooks = [
        repository / ".git" / "hooks" / name for name in ("post-index-change", "post-checkout", "fsmonitor-watchman")
    ]
    for hook in hooks:
        hook.parent.mkdir(exist_ok=True)
        shutil.copy(script, hook)
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n")
    with (repository / ".git" / "config").open("a") as config:
        config.write(f"[core]\nfsmonitor = {script}\nexcludesFile = /etc/passwd\npager = {script}\n")
        config.write(f'[filter "evil"]\nclean = {script}\nsmudge = {script}\n[diff "evil"]\ntextconv = {script}\n')
    subprocess.run(["git", "-C", repository, "status"], capture_output=True)
    assert mark.exists()  # Git itself runs it
    mark.unlink()
    assert split(repository)[0] == ["a.txt"]
    assert not mark.exists()


def index_of(*entries: tuple[bytes, int], version: int = 2, count: int | None = None) -> bytes:
    data = struct.pack(">4sLL", b"DIRC", version, len(entries) if count is None else count)
    for name, mode in entries:
        start = len(data)
        data += struct.pack(">24xL12x20xH", mode, min(len(name), 0xFFF)) + name + b"\0"
        if version < 4:
            data += bytes(-(len(data) - start) % 8)
    return data + hashlib.sha1(data).digest()


def test_names_in_an_index_choose_among_the_files_of_the_folder_and_open_none(repository, tmp_path):
    put(tmp_path, "secret.txt")
    put(repository, "a.txt", "b.txt")
    names = (b"../secret.txt", str(tmp_path / "secret.txt").encode(), b"a.txt", b".git/config", b"./b.txt", b"a.txt/x")
    (repository / ".git" / "index").write_bytes(index_of(*((name, 0o100644) for name in names)))
    assert split(repository)[0] == ["a.txt"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"DIRC",
        bytes(40),
        index_of((b"a.txt", 0o100644))[:-1] + b"\1",
        index_of((b"a.txt", 0o100644), count=1 << 31),
        index_of((b"a.txt", 0o100644), version=9),
        index_of((b"x" * 5000, 0o100644)),
        index_of((b"\xff" * 4000, 0o100644), version=4),
        index_of(*((b"\0" + b"x" * 4, 0o100644) for _ in range(4000)), version=4),  # each name longer by 4
        index_of(*((b"/".join([b"%d" % n] * 900), 0o100644) for n in range(50))),  # 900 folders for each name
    ],
    ids=["empty", "short", "zeros", "checksum", "count", "version", "long", "number", "growing", "deep"],
)
def test_a_damaged_index_is_noted_and_the_folder_read_as_any_other(repository, data):
    put(repository, "a.txt", "b.log")
    (repository / ".gitignore").write_text("*.log\n")
    (repository / ".git" / "index").write_bytes(data)
    found = list(find_files([repository]))
    assert [item.name for item in found if isinstance(item, Path)] == ["a.txt"]
    (failed,) = [item for item in found if isinstance(item, FileRecord) and item.status == "failed"]
    assert failed.path == str(repository / ".git") and "index is damaged or of an unknown kind" in failed.reason


def test_a_split_index_is_not_taken_for_the_whole(repository):
    put(repository, "a.txt", "b.txt")
    git(repository, "add", "a.txt")
    git(repository, "update-index", "--split-index")
    git(repository, "add", "b.txt")
    files, left_out = split(repository)
    assert files == ["a.txt", "b.txt"]
    assert "split" in "".join(str(item) for item in find_files([repository])) and left_out == []


def test_what_is_no_file_is_not_waited_for(tmp_path):
    for name in ("index", "ignore", "link"):
        (tmp_path / name).mkdir()
        put(tmp_path / name, "a.txt")
    (tmp_path / "index" / ".git").mkdir()
    os.mkfifo(tmp_path / "index" / ".git" / "index")
    (tmp_path / "ignore" / ".git").mkdir()
    os.mkfifo(tmp_path / "ignore" / ".gitignore")
    os.mkfifo(tmp_path / "link" / ".git")
    assert split(tmp_path)[0] == ["ignore/a.txt", "index/a.txt", "link/a.txt"]


def test_a_pattern_made_to_take_for_ever_does_not(repository):
    (repository / ".gitignore").write_text("*a" * 60 + "*b\n" + "**/" * 60 + "b\n")
    put(repository, "/".join(["a" * 200] * 10))
    began = time.monotonic()
    assert len(split(repository)[0]) == 1
    assert time.monotonic() - began < 2


def test_folders_nested_without_end_are_left_at_a_depth(tmp_path):
    folder = tmp_path
    for _ in range(400):
        folder = folder / "d"
    folder.mkdir(parents=True)
    _, (left_out,) = split(tmp_path)
    assert "nested deeper than 200 folders" in left_out
