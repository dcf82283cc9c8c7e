"""The fuzzing: whatever a stranger puts into the files of a run ends in an error of ours or loads as data; and no name
in them leads out of it."""

import json
import shutil
from pathlib import Path

import pytest
from fuzz import STEP, TARGETS, storm

from groundup import verbs
from groundup.corpus import Corpus, Tokenizer
from groundup.errors import UserError
from groundup.runs import find_checkpoint


@pytest.fixture(scope="module")
def victim(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of its own, to be damaged and put right again."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("victim") / "run", symlinks=True))


def test_mutated_files_end_in_an_error_of_ours_or_load_as_data(victim: Path, finished: Path, tmp_path: Path) -> None:
    harm = storm(victim, finished, tmp_path / "report", 12, first=0)
    assert harm.problems == []
    assert harm.refused.total() + harm.loaded.total() == 12 * len(TARGETS)
    assert harm.refused.total() > harm.loaded.total() > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutated_files_end_in_an_error_of_ours_or_load_as_data(
    victim: Path, finished: Path, tmp_path: Path
) -> None:
    harm = storm(victim, finished, tmp_path / "report", 625, first=1000)
    assert harm.problems == []
    assert harm.refused.total() + harm.loaded.total() == 10_000


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "train-../../x.ds", "train-00000.ds/../../x"])
def test_a_shard_whose_name_leads_out_of_the_corpus_is_refused(victim: Path, tmp_path: Path, name: str) -> None:
    corpus = Path(shutil.copytree(victim / "corpus", tmp_path / "corpus"))
    manifest = json.loads((corpus / "manifest.json").read_text())
    manifest["shards"][name] = {"bytes": 0, "sha256": "", "index_sha256": ""}
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="manifest"):
        Corpus(corpus).manifest  # noqa: B018


def test_a_file_that_is_a_link_out_of_the_run_is_not_written_through(victim: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(victim, tmp_path / "run", symlinks=True))
    (tmp_path / "mine").write_text("precious")
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="leads out of the run"):
        verbs.resume(run)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_best_that_leads_out_of_the_run_is_not_followed(victim: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(victim, tmp_path / "run", symlinks=True))
    (run / "best").unlink()
    (run / "best").symlink_to(victim / STEP)
    assert find_checkpoint(run).resolve() == (run / STEP).resolve()


def test_a_tokenizer_that_brings_a_pattern_of_its_own_is_refused(victim: Path, tmp_path: Path) -> None:
    """It could take forever on an innocent text."""
    content = json.loads((victim / STEP / "tokenizer.json").read_text())
    (tmp_path / "good.json").write_text(json.dumps(content))
    Tokenizer.load(tmp_path / "good.json")
    pattern = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [pattern, content["pre_tokenizer"]]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path / "tokenizer.json")
