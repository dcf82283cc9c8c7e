import json
import subprocess
import sys

import pytest

from groundup.errors import UserError
from groundup.runs import fsync_directory, read_json, write_atomic

# a process that may write files of at most 10,000 bytes meets what a full disk is: an OSError in the middle of a write
FULL_DISK = """
import resource, sys
from pathlib import Path
from groundup.runs import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_atomic(Path(sys.argv[1]), "new" * 10_000)
except OSError as error:
    print("refused", error.errno)
"""


@pytest.mark.parametrize("content", ["text\nné\r\n", b"\x00\xff", ""])
@pytest.mark.parametrize("durable", [True, False])
def test_the_file_holds_exactly_the_content_and_nothing_else_is_left(tmp_path, content, durable):
    path = tmp_path / "file"
    path.write_text("a longer text than the new one " * 100)
    write_atomic(path, content, durable=durable)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_intact(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    output = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert output.stdout.startswith("refused"), output.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_cannot_be_encoded_leaves_the_old_file_intact(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_target_that_cannot_be_replaced_leaves_no_temporary_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in it").touch()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_reader_who_opened_the_old_file_goes_on_reading_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        write_atomic(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_fsync_directory_takes_any_directory_and_refuses_none(tmp_path):
    fsync_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        fsync_directory(tmp_path / "none")


def test_read_json_gives_back_what_was_written(tmp_path):
    value = {"a": [1, 0.1, None, "é\u2028"]}
    write_atomic(tmp_path / "x.json", json.dumps(value))
    assert read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1} x'])
def test_read_json_names_a_damaged_file(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not readable as") as caught:
        read_json(path)
    assert caught.value.where == str(path)


def test_read_json_names_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="missing") as caught:
        read_json(tmp_path / "x.json")
    assert caught.value.where == str(tmp_path / "x.json")


def test_half_a_character_is_refused_and_a_whole_one_read(tmp_path):
    (tmp_path / "whole.json").write_text('{"a": "\\ud83d\\uDE00 \\\\ud800"}')
    assert read_json(tmp_path / "whole.json") == {"a": "\U0001f600 \\ud800"}
    (tmp_path / "half.json").write_text('{"a": ["\\uD800"]}')
    with pytest.raises(UserError, match=r"half\.json: is not readable as JSON"):
        read_json(tmp_path / "half.json")
