"""The fuzzing: whatever a stranger puts into the files of a run ends in an error of ours or loads as data; and no name
in them leads out of it."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import STEP, TARGETS, UNFINISHED, storm

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


def test_an_unfinished_run_with_mutated_files_is_refused_or_goes_on(killed: Path, tmp_path: Path) -> None:
    victim = Path(shutil.copytree(killed, tmp_path / "victim" / "run", symlinks=True))
    harm = storm(victim, killed, tmp_path / "report", 3, first=0, targets=UNFINISHED)
    assert harm.problems == []
    assert harm.refused.total() + harm.loaded.total() == 3 * len(UNFINISHED)
    assert harm.loaded.total() > 0 and harm.refused.total() > 0


HARM: dict[str, Callable[[Path], object]] = {
    "open": lambda folder: (folder / "file").open("a").close(),
    "os.mkdir": lambda folder: (folder / "new").mkdir(),
    "os.remove": lambda folder: (folder / "file").unlink(),
    "os.rmdir": lambda folder: shutil.rmtree(folder),
    "os.rename": lambda folder: (folder / "file").rename(folder / "other"),
    "os.symlink": lambda folder: (folder / "link").symlink_to("file"),
    "os.link": lambda folder: (folder / "link").hardlink_to(folder / "file"),
    "os.truncate": lambda folder: os.truncate(folder / "file", 1),
    "os.chmod": lambda folder: (folder / "file").chmod(0o777),
    "os.system": lambda folder: os.system("true"),
    "subprocess": lambda folder: subprocess.run(["true"], check=True),
    "os.fork": lambda folder: os.fork() or os._exit(0),
}


@pytest.mark.parametrize("event", HARM)
def test_the_storm_sees_what_is_done_beside_the_run(victim: Path, finished: Path, tmp_path: Path, event: str) -> None:
    folder, report = tmp_path / "folder", tmp_path / "report"
    folder.mkdir()
    (folder / "file").write_text("precious")
    beside = storm(victim, finished, report, 1, first=0, targets={"run.json": lambda *_: HARM[event](folder)})
    assert any(problem.startswith(f"run.json seed 0: {event}") for problem in beside.problems)
    inside = storm(victim, finished, report, 2, first=0, targets={"run.json": lambda run, _: (run / "new").mkdir()})
    assert inside.problems == []  # and the second time it is not there


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutated_files_end_in_an_error_of_ours_or_load_as_data(
    victim: Path, finished: Path, killed: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(killed, tmp_path / "victim" / "run", symlinks=True))
    harm = storm(victim, finished, tmp_path / "report", 500, first=1000)
    more = storm(again, killed, tmp_path / "report", 500, first=1000, targets=UNFINISHED)
    assert harm.problems + more.problems == []
    assert sum(counts.total() for each in (harm, more) for counts in (each.refused, each.loaded)) == 10_000


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
