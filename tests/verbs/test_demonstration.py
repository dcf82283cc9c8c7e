"""The demo trains on the documents that come along."""

from pathlib import Path

from groundup import verbs
from groundup.runs import read_journal


def test_the_demo_reads_the_library_and_python_and_ends_with_a_report(tmp_path: Path) -> None:
    run = verbs.demo(out=tmp_path / "demo", minutes=0.2)
    assert run.info["status"] == "finished" and (run.path / "report.html").is_file()
    rows = list(read_journal(run.path / "corpus" / "ledger.jsonl"))
    kinds = {row["reader"] for row in rows if row["status"] == "read"}
    assert kinds >= {"text", "code", "html", "docx", "pdf", "pdf+ocr", "ocr"}
    assert not [row for row in rows if row["status"] == "failed"]
    assert {"uniform", "unigram", "bigram", "5-gram", "gzip"} == run.info["baselines"].keys()


def test_a_second_demo_finds_the_finished_run(tmp_path: Path) -> None:
    # the documents that the demo writes keep their times, so that the same command is the same run
    verbs.demo(out=tmp_path / "demo", minutes=0.1)
    before = (tmp_path / "demo" / "metrics.jsonl").read_bytes()
    verbs.demo(out=tmp_path / "demo", minutes=0.1)
    assert (tmp_path / "demo" / "metrics.jsonl").read_bytes() == before
