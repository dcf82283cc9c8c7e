import os
import socket
from pathlib import Path

import pytest

from groundup.documents import FileRecord, find_files
from groundup.errors import UserError


def split(*paths: Path) -> tuple[list[Path], dict[str, FileRecord]]:
    found = list(find_files(paths))
    records = [item for item in found if isinstance(item, FileRecord)]
    return [item for item in found if isinstance(item, Path)], {Path(r.path).name: r for r in records}


def test_files_come_sorted_whatever_the_order_of_creation(tmp_path):
    for name in ("b/2.txt", "a.txt", "b/1.txt", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files, _ = split(tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in files] == ["a.txt", "b/1.txt", "b/2.txt", "c.txt"]


def test_a_path_given_twice_is_read_once(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    files, _ = split(tmp_path / "a.txt", tmp_path, tmp_path / "a.txt")
    assert files == [tmp_path / "a.txt"]


def test_folders_of_tools_are_left_out_with_one_record_each(tmp_path):
    for name in (".git", "node_modules", "__pycache__", "env"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text("x")
        (tmp_path / name / "y.txt").write_text("y")
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = /usr")
    (tmp_path / ".hidden.txt").write_text("x")
    files, records = split(tmp_path)
    assert files == []
    assert set(records) == {".git", "node_modules", "__pycache__", "env", ".hidden.txt"}
    assert all(record.status == "skipped" and record.reason for record in records.values())


def test_a_hidden_file_given_by_name_is_read(tmp_path):
    (tmp_path / ".notes.txt").write_text("x")
    assert split(tmp_path / ".notes.txt")[0] == [tmp_path / ".notes.txt"]


def test_what_is_no_regular_file_is_skipped_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.txt"))
        (tmp_path / "self").symlink_to("self")
        (tmp_path / "up").symlink_to("..")
        (tmp_path / "dangling.txt").symlink_to("nowhere.txt")
        files, records = split(tmp_path)
    assert files == []
    reasons = {name: record.reason for name, record in records.items()}
    assert "FIFO" in reasons["pipe.txt"] and "socket" in reasons["s.txt"]
    assert "loop" in reasons["self"] and "folder" in reasons["up"] and "nothing" in reasons["dangling.txt"]
    assert {record.status for record in records.values()} == {"skipped"}


def test_links_are_followed_within_the_given_folders_only(tmp_path):
    (tmp_path / "outside.txt").write_text("secret")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").symlink_to("a.txt")
    (folder / "c.txt").symlink_to("../outside.txt")
    files, records = split(folder)
    assert [file.name for file in files] == ["a.txt", "b.txt"]
    assert "outside" in records["c.txt"].reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_an_unreadable_folder_is_a_failure(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    _, records = split(tmp_path)
    assert records["closed"].status == "failed" and "permission" in records["closed"].reason


def test_a_wrong_path_names_the_nearest_right_one(tmp_path):
    (tmp_path / "library").mkdir()
    with pytest.raises(UserError, match=r"did you mean .*library"):
        list(find_files([tmp_path / "libary"]))


def test_names_that_cannot_be_printed_are_escaped(tmp_path, read):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/name_\xff.txt")).write_text("text")
    (tmp_path / "new\nline.txt").write_text("text")
    _, records = read(tmp_path)
    assert sorted(Path(record.path).name for record in records) == ["name_\\xff.txt", "new\\nline.txt"]
    assert all(record.status == "read" for record in records)


def test_what_the_user_excludes_is_left_out_and_named(tmp_path: Path) -> None:
    for name in ("a.txt", "b.log", "drafts/c.txt", "deep/drafts/d.txt", "deep/keep.log", "deep/e.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("words")
    given = [tmp_path, tmp_path / "drafts" / "c.txt"]
    found = list(find_files(given, ["*.log", "!keep.log", "/drafts/"]))
    read = [str(path.relative_to(tmp_path)) for path in found if isinstance(path, Path)]
    assert read == ["a.txt", "deep/drafts/d.txt", "deep/e.md", "deep/keep.log", "drafts/c.txt"]
    rows = [(row.path, row.status, row.reason) for row in found if isinstance(row, FileRecord)]
    assert rows == [
        (str(tmp_path / "b.log"), "skipped", "left out by data.exclude"),
        (str(tmp_path / "drafts"), "skipped", "left out by data.exclude"),
    ]
