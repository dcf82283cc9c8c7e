"""`read`: the text that training would see."""

import json
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.documents import Document, FileRecord
from groundup.errors import UserError


def test_read_shows_what_a_run_learned_from(finished: Path, documents: Path) -> None:
    items = list(verbs.read([documents]))
    texts = {Path(item.source).name: item.text for item in items if isinstance(item, Document)}
    assert texts == {path.name: path.read_text(encoding="utf-8") for path in documents.iterdir()}
    learned = [json.loads(line) for line in (finished / "corpus" / "documents.jsonl").read_text().splitlines()]
    assert {Path(row["source"]).name for row in learned} == set(texts)
    # one byte is one token here
    for row in learned:
        if "characters" not in row:
            assert row["tokens"] == len(texts[Path(row["source"]).name].encode())


def test_every_file_has_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.bin").write_bytes(bytes(range(256)) * 8)
    rows = [item for item in verbs.read([tmp_path]) if isinstance(item, FileRecord)]
    assert {Path(row.path).name: row.status for row in rows} == {"a.txt": "read", "b.bin": "skipped"}


def test_a_missing_file_is_the_users_error(tmp_path: Path, tiny: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"nothing\.txt"):
        list(verbs.read([tmp_path / "nothing.txt"]))
