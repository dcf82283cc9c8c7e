"""Databases as documents: what the verbs keep of a URL, and how they end when there is nothing at its address."""

import json
from pathlib import Path

import pytest

import groundup
from groundup.errors import UserError

pytest.importorskip("psycopg")
URL = "postgresql://ann:s3cr3t@127.0.0.1:1/blog"
SHOWN = "postgresql://ann@127.0.0.1:1/blog"
QUERY = {"data.query": "select body from posts"}


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_run_keeps_the_address_without_the_password_and_can_be_asked_again(tmp_path):
    for _ in range(2):
        with pytest.raises(UserError, match=r"(?s)127\.0\.0\.1:1/blog: .*onnection.*PGPASSWORD") as error:
            groundup.train([URL], out=tmp_path / "run", steps=5, settings=QUERY)
        assert error.value.where == SHOWN and "s3cr3t" not in str(error.value)
    request = json.loads((tmp_path / "run" / "run.json").read_text())
    assert request["request"]["paths"] == [SHOWN] and SHOWN in request["command"]
    assert b"s3cr3t" not in all_bytes(tmp_path)
    with pytest.raises(UserError) as error:
        groundup.resume(tmp_path / "run")
    assert error.value.where == SHOWN and "no password is kept" in error.value.fix


def test_a_server_without_a_query_stops_before_anything_is_made(tmp_path):
    for verb in (
        lambda: groundup.train([URL], out=tmp_path / "run", steps=5),
        lambda: groundup.prepare([tmp_path, URL], out=tmp_path / "corpus"),
        lambda: groundup.plan([URL], steps=5),
        lambda: next(groundup.read([URL])),
    ):
        with pytest.raises(UserError, match="a query is needed"):
            verb()
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_ends_with_2_and_shows_no_password(command, tmp_path):
    arguments = ("prepare", URL, "--set", f"data.query={QUERY['data.query']}", "--out", tmp_path / "corpus")
    done = command(*arguments)
    assert done.returncode == 2 and f"groundup: {SHOWN}: " in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr and b"s3cr3t" not in all_bytes(tmp_path)
    assert "Traceback" not in done.stderr
