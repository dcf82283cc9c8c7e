"""`prepare`: documents read once, for many runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.errors import UserError
from groundup.events import Notice


def test_training_on_a_prepared_corpus_is_training_on_its_documents(
    finished: Path, corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path
) -> None:
    run = verbs.train(corpus_dir, out=tmp_path / "run", steps=20, settings=tiny).path
    assert json.loads((run / "corpus" / "reference.json").read_text())["path"] == str(corpus_dir)
    for name in ("metrics.jsonl", "samples.jsonl", "step-00000020/model.safetensors"):
        assert (run / name).read_bytes() == (finished / name).read_bytes(), name
    assert verbs.evaluate(run)["loss"] == verbs.evaluate(finished)["loss"]


def test_preparing_twice_gives_the_same_bytes(corpus_dir: Path, documents: Path, tmp_path: Path) -> None:
    again = verbs.prepare([documents], out=tmp_path / "new" / "corpus").path
    names = {path.name for path in corpus_dir.iterdir()}
    assert names == {path.name for path in again.iterdir()} >= {"ledger.jsonl", "texts"}
    for name in names - {"ledger.jsonl", "texts"}:  # they say when, and how many seconds, each file took
        assert (again / name).read_bytes() == (corpus_dir / name).read_bytes(), name


def test_the_share_held_out_is_a_setting(documents: Path, tmp_path: Path) -> None:
    none = verbs.prepare([documents], out=tmp_path / "none", settings={"data.validation": 0}).manifest
    fifth = verbs.prepare([documents], out=tmp_path / "fifth", settings={"data.validation": 0.2}).manifest
    assert none["validation_tokens"] == 0
    total = fifth["train_bytes"] + fifth["validation_bytes"]
    assert fifth["validation_bytes"] / total == pytest.approx(0.2, abs=0.05)


def test_a_prepared_tokenizer_cannot_be_asked_to_be_another(
    corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"data\.tokenizer"):
        verbs.train(corpus_dir, out=tmp_path / "run", steps=1, settings=tiny | {"data.tokenizer": "bpe"})


def test_only_a_corpus_is_replaced(finished: Path, documents: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("not to be lost")
    with pytest.raises(UserError, match="exists already"):
        verbs.prepare([documents], out=tmp_path / "mine")
    assert (tmp_path / "mine" / "diary.txt").read_text() == "not to be lost"
    with pytest.raises(UserError, match="belongs to a run"):
        verbs.prepare([documents], out=finished / "corpus")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError):
        verbs.prepare([documents], out=tmp_path / "file" / "corpus")
    (tmp_path / "empty").mkdir()
    assert verbs.prepare([documents / "text-00.txt"], out=tmp_path / "empty").manifest["documents"] == 1


def test_a_corpus_is_brought_up_to_date_and_opened(documents: Path, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for path in sorted(documents.glob("*.txt"))[:3]:
        (folder / path.name).write_bytes(path.read_bytes())
    before = verbs.prepare([folder], out=tmp_path / "corpus").manifest
    (folder / "more.txt").write_text("A text that came later, with words of its own.\n" * 3)
    after = verbs.prepare([folder], out=tmp_path / "corpus").manifest
    assert after["files"]["read"] == before["files"]["read"] + 1
    assert verbs.prepare(out=tmp_path / "corpus").manifest == after
    with pytest.raises(UserError, match="is not a corpus"):
        verbs.prepare(out=tmp_path / "none")


def test_a_failed_preparation_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "blank.txt").write_text(" ")
    with pytest.raises(UserError, match="no text could be read"):
        verbs.prepare([tmp_path / "blank.txt"], out=tmp_path / "corpus")
    assert [path.name for path in tmp_path.iterdir()] == ["blank.txt"]


@pytest.mark.parametrize("ignored", [{"tasks": 2}, {"options": {"time": "1:00:00"}}])
def test_what_an_executor_takes_is_refused_without_one(documents: Path, tmp_path: Path, ignored: dict) -> None:
    with pytest.raises(UserError, match="an executor's"):
        verbs.prepare([documents], out=tmp_path / "corpus", **ignored)


@pytest.mark.parametrize("ignored", [{"settings": {"data.dedup": "exact"}}, {"executor": "local", "tasks": 2}])
def test_a_corpus_is_not_looked_at_with_settings(corpus_dir: Path, ignored: dict) -> None:
    with pytest.raises(UserError, match="no documents"):
        verbs.prepare(out=corpus_dir, **ignored)


def test_a_corpus_made_of_other_documents_is_replaced_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, Notice) and event.level == "warning":
            notices.append(event.text)

    for name in ("one", "one and more"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").write_text(f"the words of {name}\n" * 20)
    monkeypatch.chdir(tmp_path / "one")
    for same in (tmp_path / "one", Path(), Path("text.txt"), tmp_path):
        verbs.prepare([same], out=tmp_path.with_name(f"{tmp_path.name}-corpus"), listen=listen)
    verbs.prepare([tmp_path / "one"], out=tmp_path / "corpus", listen=listen)
    assert notices == []
    made = verbs.prepare([tmp_path / "one and more"], out=tmp_path / "corpus", listen=listen)
    assert "others take their place" in notices[0] and made.manifest["documents"] == 1


def test_what_is_excluded_is_neither_read_nor_noticed_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "text.txt").write_text("words to keep\n" * 20)
    (tmp_path / "docs" / "run.log").write_text("words to leave\n" * 20)
    settings = {"data.exclude": "*.log"}
    made = verbs.prepare([tmp_path / "docs"], out=tmp_path / "corpus", settings=settings).manifest
    assert made["files"] == {"read": 1, "skipped": 1, "failed": 0}
    (tmp_path / "docs" / "run.log").write_text("other words\n")
    again = verbs.prepare([tmp_path / "docs"], out=tmp_path / "corpus", settings=settings).manifest
    assert again["fingerprint"] == made["fingerprint"]
