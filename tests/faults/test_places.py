"""Rows 23, 24 and 47: directories in use, awkward, read-only or too long; no home and no network."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import disks
import pytest
from torture import SETTINGS

import groundup
from groundup import verbs
from groundup.cli import main
from groundup.errors import UserError
from groundup.events import Event, Logged, Phase
from groundup.inference import SamplingSettings

InChild = Callable[..., int]


def test_row_23_a_second_run_in_the_directory_is_refused_and_the_first_ones_process_named(
    corpus_dir: Path, tmp_path: Path, in_child: InChild
) -> None:
    """It meets the first one in the middle of its training; the first does not notice."""
    refusals: list[tuple[int, str]] = []

    def second() -> None:
        try:
            verbs.train(corpus_dir, out=tmp_path / "run", steps=5, settings=SETTINGS)
        except UserError as error:
            (tmp_path / "refusal").write_text(str(error))
            raise SystemExit(2) from None

    def listen(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 4:
            refusals.append((in_child(second), (tmp_path / "refusal").read_text()))

    run = verbs.train(corpus_dir, out=tmp_path / "run", steps=5, settings=SETTINGS, listen=listen)
    assert run.info["status"] == "finished"
    code, message = refusals[0]
    assert code == 2
    assert f"process {os.getpid()} on {os.uname().nodename}" in message


def test_row_23_the_lock_of_a_killed_process_is_no_obstacle(
    corpus_dir: Path, tmp_path: Path, in_child: InChild
) -> None:
    def killed(event: Event) -> None:
        if isinstance(event, Phase) and event.name == "training":
            os.kill(os.getpid(), signal.SIGKILL)

    out = tmp_path / "run"
    assert in_child(lambda: verbs.train(corpus_dir, out=out, steps=2, settings=SETTINGS, listen=killed)) == -9
    assert (out / ".lock-holder").exists()
    assert verbs.train(corpus_dir, out=out, steps=2, settings=SETTINGS).info["status"] == "finished"


@pytest.mark.parametrize(
    "out", ["file", "file/run", "x" * 300, "d/" * 2_500 + "run"], ids=["a file", "below a file", "long name", "long"]
)
def test_row_24_a_directory_that_cannot_be_made_is_named_before_anything_is_read(
    documents: Path, tmp_path: Path, out: str
) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(UserError) as error:
        verbs.train(documents, out=tmp_path / out, steps=1)
    assert error.value.where == str(tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_row_24_unicode_spaces_quotes_and_a_very_long_path_work(documents: Path, tmp_path: Path) -> None:
    """For the documents and for the run, from the first step to the text it writes."""
    source = tmp_path / "mes œuvres" / "日本 'quoted' $HOME; #1 %20.txt"
    source.parent.mkdir()
    shutil.copy(documents / "text-00.txt", source)
    out = tmp_path / "ünïcode-日本" / "with space" / "-'quoted' $HOME;" / "/".join(["deep" * 50] * 8)
    run = verbs.train(source, out=out, steps=2, settings=SETTINGS)
    assert run.info["status"] == "finished" and len(str(out)) > 1_600
    assert verbs.doctor(out)["good"]
    assert groundup.generate(out, ["The"], SamplingSettings(max_new_tokens=2))
    assert source.name in (out / "corpus" / "ledger.jsonl").read_text(encoding="utf-8")


def test_row_24_a_read_only_disk_is_named_and_runs_on_it_can_be_used(
    corpus_dir: Path, finished: Path, killed: Path, tmp_path: Path, in_child: InChild
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()

    def code(*words: object) -> object:
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            return end.code
        return 0

    def work() -> None:
        disks.mount(disk, 100 << 20)
        for run in (finished, killed):
            shutil.copytree(run, disk / run.parent.name, symlinks=True)
        disks.change(disk, 100 << 20, read_only=True)
        done, half = disk / finished.parent.name, disk / killed.parent.name
        assert code("train", corpus_dir, "--out", disk / "new", "--steps", 1) == 2
        assert code("resume", half) == 2
        assert code("doctor", done) == 0
        assert code("generate", done, "--prompt", "The", "--max-new-tokens", 2) == 0
        assert code("evaluate", done) == 0

    exit_code, said = in_child(work, output=tmp_path / "said"), (tmp_path / "said").read_text()
    if exit_code == disks.REFUSED:
        pytest.skip("this machine lets nobody mount a disk")
    assert exit_code == 0, said
    assert f"{disk / 'new'}: cannot be written: Read-only file system" in said
    assert said.count("give another --out") == said.count("; then `groundup resume") == 1 and "Traceback" not in said


GUARD = """
import os, sys

def hook(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        print(event, arguments, file=log, flush=True)

log = open(os.environ["GUARD"], "a")
print("guarded", *sys.argv[:1], file=log, flush=True)
sys.addaudithook(hook)
"""
COMMANDS = """
import json, sys
from groundup.cli import main
for command in json.loads(sys.argv[1]):
    main(command)
"""


def test_row_47_without_home_and_network_all_works_and_no_hub_is_asked(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process, also those that read documents, reports each socket that it connects or name that it looks up."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "guard"))
    monkeypatch.setenv("GUARD", str(tmp_path / "log"))
    run, sets = str(tmp_path / "run"), [f"--set={key}={value}" for key, value in SETTINGS.items()]
    commands = [
        ["train", str(documents), "--out", run, "--steps", "2", *sets],
        ["generate", run, "--prompt", "The", "--max-new-tokens", "70"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)],
        cwd="/proc" if Path("/proc/self").exists() else tmp_path,  # nothing can be written there
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr
    assert (tmp_path / "run" / "training_curve.png").is_file()
    lines = (tmp_path / "log").read_text().splitlines()
    assert sum(line.startswith("guarded") for line in lines) >= 2  # the command and a reader
    assert [line for line in lines if not line.startswith("guarded")] == []


def test_row_47_a_home_that_cannot_be_written_is_no_obstacle(
    finished: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    monkeypatch.setenv("HOME", "/dev/null/home")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    done = cli("generate", finished, "--prompt", "The", "--max-new-tokens", 70)
    assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr
