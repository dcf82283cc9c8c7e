"""Preparation in tasks: the corpus is that of one process, and what failed is done again alone."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("datatrove")

from groundup import verbs
from groundup.corpus import Corpus
from groundup.documents import pieces
from groundup.errors import UserError
from groundup.events import Progress

REPEATED = "This notice stands below every note of the collection, and says nothing that is new: it was "
REPEATED += "put there by the printer, who was paid by the line and had a family to feed in the town behind the mill.\n"


def note(n: int, lines: int = 25) -> str:
    return "".join(
        f"The {n}th note tells of {n:x}{m:x} and the {m * 7 + n}th day, when {m * n:o} people saw it. "
        for m in range(lines)
    )


def write_folder(folder: Path, count: int = 24) -> Path:
    (folder / "more").mkdir(parents=True)
    for n in range(count):
        text = note(n) + "\n\n" + REPEATED + "\n" + note(900 + n % 5, 3) + "\n"
        (folder / ("more" if n % 3 else "") / f"{n:02d}.txt").write_text(text)
    (folder / "copy.txt").write_text((folder / "00.txt").read_text())
    (folder / "near.txt").write_text(note(3).replace("25th day", "25th night") + "\n")
    (folder / "page.html").write_text(f"<html><body><article><h1>Page</h1><p>{note(300)}</p></article></body></html>")
    (folder / "code.py").write_text("def f(x):\n    return x + 1\n" * 20)
    (folder / "empty.txt").write_text("")
    (folder / "binary.bin").write_bytes(bytes(range(256)) * 20)
    with zipfile.ZipFile(folder / "pack.zip", "w") as archive:
        for n in range(3):
            archive.writestr(f"inner-{n}.md", "# Packed\n\n" + note(500 + n))
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": note(600 + n)}) + "\n" for n in range(12)))
    return folder


def contents(out: Path) -> dict[str, Any]:
    names = ("tokenizer.json", "manifest.json", "documents.jsonl", "duplicates.jsonl")
    found: dict[str, Any] = {name: (out / name).read_text() for name in names}
    found |= {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".ds", ".index")}
    found["ledger"] = [{**row, "seconds": 0} for row in Corpus(out).ledger()]
    return found


def in_tasks(paths: list[Path], out: Path, tasks: int = 2, executor: str = "local", options=None, **settings) -> Corpus:
    given = {key.replace("__", "."): value for key, value in settings.items()}
    return verbs.prepare(paths, out=out, executor=executor, tasks=tasks, options=options, settings=given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("cluster") / "docs")


@pytest.fixture(scope="module")
def whole(folder) -> dict[str, Any]:
    """The corpus that one process makes, with the JSONL file in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_BYTES", 5000)
        verbs.prepare([folder], out=folder.parent / "whole")
    return contents(folder.parent / "whole")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 5000)


@pytest.mark.parametrize("tasks", [1, 2, 8])
def test_any_number_of_tasks_makes_the_corpus_of_one_process(tmp_path, folder, whole, tasks):
    kinds = {json.loads(line)["kind"] for line in whole["duplicates.jsonl"].splitlines()}
    assert {"exact", "near", "paragraph"} <= kinds
    assert any("rows.jsonl#@" in row["path"] for row in whole["ledger"])
    corpus = in_tasks([folder], tmp_path / "corpus", tasks)
    found = contents(corpus.path)
    for name in whole:
        assert found[name] == whole[name], name
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize("dedup", ["exact", "documents"])
def test_other_deduplication_is_that_of_one_process(tmp_path, folder, dedup):
    corpus = in_tasks([folder], tmp_path / "corpus", 3, data__dedup=dedup)
    verbs.prepare([folder], out=tmp_path / "whole", settings={"data.dedup": dedup})
    assert contents(corpus.path) == contents(tmp_path / "whole")


def test_few_documents_are_cut_as_by_one_process(tmp_path):
    (tmp_path / "docs").mkdir()
    for n in range(2):
        text = "\n\n".join(note(n * 50 + m, 4) for m in range(40)) + "\n"
        (tmp_path / "docs" / f"{n}.txt").write_text(text)
    corpus = in_tasks([tmp_path / "docs"], tmp_path / "corpus", 3)
    verbs.prepare([tmp_path / "docs"], out=tmp_path / "whole")
    assert "were cut into" in corpus.manifest["notes"][0]
    assert contents(corpus.path) == contents(tmp_path / "whole")


def test_nothing_that_can_be_read_is_an_error_that_says_so(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "empty.txt").write_text("")
    with pytest.raises(UserError, match="no text could be read"):
        in_tasks([tmp_path / "docs"], tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_a_failed_task_is_done_again_alone(tmp_path, folder, whole):
    """The texts of one part are damaged between two steps, and come back."""
    place, damaged = tmp_path / ".corpus.preparing", []

    def damage(event) -> None:
        if isinstance(event, Progress) and event.note == "documents":
            path = place / "clean" / "00001.docs"
            damaged.append(path.read_bytes())
            path.write_bytes(b"no header\n")

    with pytest.raises(RuntimeError, match="part 1"):
        verbs.prepare([folder], out=tmp_path / "corpus", executor="local", tasks=3, listen=damage)
    assert not (tmp_path / "corpus").exists()
    done = {path.relative_to(place / "logs").as_posix() for path in (place / "logs").glob("*/completions/*")}
    assert {f"read/completions/{n:05d}" for n in range(3)} <= done
    assert not any(name.startswith("encode") for name in done)
    before = (place / "clean" / "00000.docs").stat().st_mtime_ns
    (place / "clean" / "00001.docs").write_bytes(damaged[0])
    seen = []

    def look(event) -> None:
        if isinstance(event, Progress) and event.note == "encode":
            seen.append((place / "clean" / "00000.docs").stat().st_mtime_ns)

    verbs.prepare([folder], out=tmp_path / "corpus", executor="local", tasks=3, listen=look)
    assert seen == [before]
    assert contents(tmp_path / "corpus") == whole


def test_a_killed_task_is_an_error_and_no_hang(tmp_path, folder, whole):
    place, killed = tmp_path / ".corpus.preparing", []

    def kill() -> None:
        while not killed:
            for process in psutil.Process().children(recursive=True):
                try:
                    if "groundup.corpus.preparation.worker" in process.cmdline() and str(place) in process.cmdline():
                        process.kill()
                        killed.append(process)
                        return
                except psutil.Error:
                    continue
            time.sleep(0.01)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    began = time.monotonic()
    with pytest.raises(UserError, match="killed in stage read"):
        in_tasks([folder], tmp_path / "corpus", 3)
    assert time.monotonic() - began < 30
    assert len(list((place / "logs" / "read" / "completions").iterdir())) == 2
    in_tasks([folder], tmp_path / "corpus", 3)
    assert contents(tmp_path / "corpus") == whole


def fail_at(step: str):
    def listen(event) -> None:
        if isinstance(event, Progress) and event.note == step:
            raise KeyboardInterrupt

    return listen


def test_another_request_or_a_changed_file_begins_anew(tmp_path):
    docs = write_folder(tmp_path / "docs", 8)
    settings = {"data.dedup": "exact"}

    def stop_after_reading(**given) -> set[int]:
        with pytest.raises(KeyboardInterrupt):
            verbs.prepare(
                [docs], out=tmp_path / "corpus", executor="local", listen=fail_at("read"), **{"tasks": 2, **given}
            )
        return {path.stat().st_mtime_ns for path in (tmp_path / ".corpus.preparing" / "clean").iterdir()}

    first = stop_after_reading(settings=settings)
    assert stop_after_reading(settings=settings) == first
    (docs / "00.txt").write_text(note(77))
    second = stop_after_reading(settings=settings)
    assert not second & first
    third = stop_after_reading(settings={"data.dedup": "exact", "data.mask": ("emails",)})
    assert not third & second
    assert len(stop_after_reading(settings=settings, tasks=3)) == 3
    corpus = in_tasks([docs], tmp_path / "corpus", 3, data__dedup="exact")
    verbs.prepare([docs], out=tmp_path / "whole", settings=settings)
    assert contents(corpus.path) == contents(tmp_path / "whole")


def test_a_corpus_that_is_there_is_replaced(tmp_path, folder, whole):
    small = write_folder(tmp_path / "docs", 6)
    in_tasks([small], tmp_path / "corpus", data__dedup="exact")
    in_tasks([folder], tmp_path / "corpus")
    assert contents(tmp_path / "corpus") == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "docs"]


def test_what_cannot_be_done_is_said_before_anything_is_written(tmp_path, folder):
    for given, message in (
        ({"executor": "cloud"}, "there is no executor"),
        ({"tasks": 0}, "0 tasks"),
        ({"options": {"speed": "9"}}, "does not take 'speed'"),
        ({"options": {"logging_dir": "/tmp"}}, "does not take 'logging_dir'"),
        ({"options": {"workers": "many"}}, "workers=many"),
        ({"executor": "ray", "options": {"nothing.workers": "2"}}, "does not take 'nothing.workers'"),
        ({"executor": "slurm"}, "Slurm needs a time"),
        ({"executor": "slurm", "options": {"time": "1:00"}}, "Slurm needs a partition"),
        (
            {"executor": "slurm", "options": {"time": "1:00", "partition": "cpu", "sbatch_args": "account=me"}},
            "sbatch_args=account=me",
        ),
    ):
        with pytest.raises(UserError, match=message):
            in_tasks([folder], tmp_path / "corpus", **{"tasks": 2, **given})
        assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="no such file"):
        in_tasks([tmp_path / "nowhere"], tmp_path / "corpus")
    assert not list(tmp_path.iterdir())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is no corpus"):
        in_tasks([folder], tmp_path / "other")
    assert (tmp_path / "other" / "mine.txt").read_text() == "mine"


# A cluster of one: jobs wait in a folder, and `run-jobs` runs those whose predecessors went well, as Slurm does.
SBATCH = """
import json, os, pathlib, re, sys
queue = pathlib.Path(os.environ["QUEUE"])
number = 100 + len(list(queue.glob("*.json")))
script = pathlib.Path(sys.argv[-1]).read_text()
given = dict(arg[2:].split("=", 1) for arg in sys.argv[1:-1])
inside = dict(re.findall(r"^#SBATCH --([\\w-]+)=?(.*)$", script, re.M))
if inside["partition"] != "cpu":
    sys.exit("sbatch: error: invalid partition specified: " + inside["partition"])
job = {**inside, **given, "script": script, "directory": os.getcwd(), "state": "waiting"}
(queue / f"{number}.json").write_text(json.dumps(job))
print(f"Submitted batch job {number}")
"""
SQUEUE = """
import json, os, pathlib, sys
ids = next(arg for arg in sys.argv if arg.startswith("--jobs=")).removeprefix("--jobs=").split(",")
for number in ids:
    if json.loads((pathlib.Path(os.environ["QUEUE"]) / f"{number}.json").read_text())["state"] == "waiting":
        print(number)
"""
SRUN = """
import os, sys
command = next(n for n, arg in enumerate(sys.argv[1:], 1) if arg == "launch_pickled_pipeline")
os.execvp(sys.argv[command], sys.argv[command:])
"""
SCONTROL = """
import sys
print(sys.argv[-1])
"""


class Slurm:
    """Stub programs of Slurm on the PATH, and the queue that they keep."""

    def __init__(self, folder: Path) -> None:
        self.queue, programs = folder / "queue", folder / "bin"
        self.queue.mkdir(parents=True)
        programs.mkdir()
        for name, body in (("sbatch", SBATCH), ("squeue", SQUEUE), ("srun", SRUN), ("scontrol", SCONTROL)):
            (programs / name).write_text(f"#!{sys.executable}\n{body}")
            (programs / name).chmod(stat.S_IRWXU)
        self.path = f"{programs}:/usr/bin:/bin"

    def jobs(self) -> dict[str, dict[str, str]]:
        return {path.stem: json.loads(path.read_text()) for path in sorted(self.queue.iterdir())}

    def run(self) -> list[str]:
        """Run what waits, in any order that dependencies allow; the names of the jobs that failed."""
        states = {number: job["state"] for number, job in self.jobs().items()}
        failed = []
        for number, job in self.jobs().items():
            if job["state"] != "waiting":
                continue
            needed = [part.partition(":")[2] for part in job.get("dependency", "").split(",") if part]
            assert all(states[other] != "waiting" for other in needed)
            state = "done"
            if any(states[other] != "done" for other in needed):
                state = "cancelled" if job.get("kill-on-invalid-dep") == "yes" else "never"
            elif "merge_stats" not in job["script"]:  # which nothing depends on, and which takes a second
                first, last = map(int, job["array"].partition("%")[0].split("-"))
                for task in range(first, last + 1):
                    script = self.queue.parent / "script.sh"
                    script.write_text(job["script"])
                    environment = {
                        **os.environ,
                        "PATH": self.path,
                        "SLURM_ARRAY_TASK_ID": str(task),
                        "SLURM_JOB_ID": number,
                        "SLURM_NODELIST": "localhost",
                        "RUN_OFFSET": job.get("export", "=0").rpartition("=")[2],
                    }
                    if subprocess.run(
                        ["bash", script], env=environment, cwd=job["directory"], capture_output=True, check=False
                    ).returncode:
                        state = "failed"
            if state != "done":
                failed.append(f"{job['job-name']} {state}")
            states[number] = job["state"] = state
            (self.queue / f"{number}.json").write_text(json.dumps(job))
        return failed


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Slurm:
    made = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("QUEUE", str(made.queue))
    monkeypatch.setenv("PATH", made.path)
    return made


USUAL = {"time": "1:00:00", "partition": "cpu"}


@pytest.mark.timeout(600)
def test_a_chain_of_slurm_jobs_makes_the_corpus_of_one_process(tmp_path, slurm, monkeypatch):
    docs = write_folder(tmp_path / "docs", 5)
    monkeypatch.chdir(tmp_path)
    settings = {"data__dedup": "exact"}
    verbs.prepare([Path("docs")], out=Path("whole"), settings={"data.dedup": "exact"})

    def submit(**given) -> Corpus:
        return in_tasks([Path("docs")], Path("corpus"), 2, "slurm", {**USUAL, **given}, **settings)

    with pytest.raises(UserError, match="sbatch did not take"):
        submit(partition="gpu")
    assert slurm.jobs() == {}
    corpus = submit(**{"documents.mem_per_cpu_gb": "9"})
    jobs = [job for job in slurm.jobs().values() if "launch_pickled_pipeline" in job["script"]]
    assert [job["job-name"].removeprefix("groundup-") for job in jobs] == [
        "read",
        "documents",
        "cut",
        "split",
        "sample",
        "vocabulary",
        "encode",
        "finish",
    ]
    assert jobs[0].get("dependency") is None and all(job["dependency"].startswith("afterok:") for job in jobs[1:])
    assert [job["mem-per-cpu"] for job in jobs[:3]] == ["2G", "9G", "2G"]
    with pytest.raises(UserError, match="queued or running"):
        submit()
    inputs = tmp_path / ".corpus.preparing" / "inputs" / "00001.jsonl"
    rows = inputs.read_text()
    inputs.write_text("no json\n")
    failed = slurm.run()
    assert failed[0] == "groundup-read failed" and all(name.endswith("cancelled") for name in failed[1:])
    inputs.write_text(rows)
    before = len(slurm.jobs())
    submit()
    again = list(slurm.jobs().values())[before]
    assert again["job-name"] == "groundup-read" and again["array"] == "0-0"  # the one of two tasks that is missing
    assert slurm.run() == []
    assert contents(corpus.path) == contents(Path("whole"))
    assert {path.name for path in (tmp_path / ".corpus.preparing").iterdir() if path.is_dir()} == {"logs"}
    before = len(slurm.jobs())
    submit()
    assert len(slurm.jobs()) == before
    (docs / "00.txt").write_text(note(99))
    submit()
    assert len(slurm.jobs()) > before  # what is done is done anew where files have changed


def test_without_sbatch_the_place_to_run_it_is_named(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no sbatch here"):
        in_tasks([folder], tmp_path / "corpus", 2, "slurm", USUAL)


@pytest.mark.timeout(600)
def test_ray_makes_the_corpus_of_one_process(tmp_path, folder, whole, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.chdir(folder.parent)
    corpus = in_tasks([folder], tmp_path / "corpus", 2, "ray", {"mem_per_cpu_gb": "0.5"})
    assert contents(corpus.path) == whole
