"""The examples for Slurm and Kubernetes, each run by a local stand-in that ends its jobs and starts them again."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import groundup
from groundup.runs import Run, read_journal

EXAMPLES = Path(__file__).parents[2] / "examples"
STEPS = 400
SETTINGS = {
    "model.layers": 2,
    "model.width": 32,
    "model.context": 32,
    "training.tokens_per_update": 256,
    "training.log_every": 10,
    "evaluation.every": 200,
    "evaluation.tokens": 1_000,
    "checkpoint.every": 50,
    "samples.max_new_tokens": 8,
    "device.precision": "float32",
    "device.compile": "off",
}
BUDGET = ["--steps", str(STEPS), *(f"--set={key}={value}" for key, value in SETTINGS.items())]
# `groundup` of this environment, and one thread wherever it runs
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def results(run: Path) -> dict[str, bytes]:
    """What must be byte-equal: the figures, every file of every kept checkpoint, and which one is best."""
    figures = ("metrics.jsonl", "training_metrics.json", "probes.jsonl", "samples.jsonl")
    files = {name: (run / name).read_bytes() for name in figures}
    files |= {path.relative_to(run).as_posix(): path.read_bytes() for path in run.glob("step-*/**/*") if path.is_file()}
    return files | {"best": (run / "best").resolve().name.encode()}


@pytest.fixture(scope="module")
def whole(corpus_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return groundup.train(corpus_dir, out=out, steps=STEPS, settings=SETTINGS).path


def progress(run: Path) -> int:
    return len(list(read_journal(run / "metrics.jsonl")))


# As Slurm's: starts the tasks of the job, signals them when its time is nearly over (here, in the first two jobs, after
# some progress), and ends with the highest of their codes.
SRUN = """#!{python}
import os, subprocess, sys, time
from pathlib import Path
metrics = Path(os.environ["STANDIN_RUN"]) / "metrics.jsonl"
def progress():
    return metrics.read_bytes().count(b"\\n") if metrics.exists() else 0
count, before, told = int(os.environ["SLURM_NTASKS"]), progress(), int(os.environ["SLURM_RESTART_COUNT"]) >= 2
numbers = [dict(SLURM_PROCID=str(n), SLURM_LOCALID=str(n)) for n in range(count)]
tasks = [subprocess.Popen(sys.argv[1:], env=os.environ | number) for number in numbers]
while any(task.poll() is None for task in tasks):
    if not told and progress() >= before + 3:
        told = True
        for task in tasks:
            task.send_signal(int(os.environ["STANDIN_SIGNAL"]))
    time.sleep(0.005)
sys.exit(max(task.returncode if task.returncode >= 0 else 128 - task.returncode for task in tasks))
"""
SCONTROL = """#!/bin/sh
case "$1" in
    show) echo "$3" ;;
    requeue) echo "$2" >> "$STANDIN_QUEUE" ;;
esac
"""


class Slurm:
    """Runs a batch script as often as it puts itself back into the queue."""

    def __init__(self, folder: Path, script: Path) -> None:
        self.script, self.queue, self.bin = script, folder / "queue", folder / "bin"
        self.bin.mkdir()
        for name, content in (("srun", SRUN.replace("{python}", sys.executable)), ("scontrol", SCONTROL)):
            (self.bin / name).write_text(content)
            (self.bin / name).chmod(0o755)
        lines = re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script.read_text(), re.M)
        self.options: dict[str, str] = dict(lines)

    def run(self, out: Path, arguments: list[str], tasks: int) -> list[int]:
        """The exit codes of all jobs."""
        codes = list[int]()
        assert "requeue" in self.options and self.options["open-mode"] == "append"
        name, _ = self.options["signal"].split("@")
        environment = ENVIRONMENT | {
            "PATH": f"{self.bin}:{ENVIRONMENT['PATH']}",
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NODELIST": "127.0.0.1",
            "SLURM_NTASKS": str(tasks),
            "SLURM_CPUS_PER_TASK": "1",
            "STANDIN_RUN": str(out),
            "STANDIN_SIGNAL": str(int(signal.Signals[f"SIG{name}"])),
            "STANDIN_QUEUE": str(self.queue),
        }
        while len(codes) < 6:
            self.queue.unlink(missing_ok=True)
            command = ["bash", str(self.script), *arguments]
            job = environment | {"SLURM_RESTART_COUNT": str(len(codes))}
            codes.append(subprocess.run(command, env=job, capture_output=True, timeout=200).returncode)
            if not self.queue.exists():
                break
            assert self.queue.read_text() == "4711\n"
        return codes


@pytest.mark.parametrize("tasks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_slurm_example_is_requeued_until_it_is_done_to_the_same_bytes(
    corpus_dir: Path, tmp_path: Path, whole: Path, tasks: int
) -> None:
    slurm, out = Slurm(tmp_path, EXAMPLES / "slurm" / "train.sbatch"), tmp_path / "run"
    assert slurm.run(out, [str(corpus_dir), "--out", str(out), *BUDGET], tasks) == [75, 75, 0]
    assert Run.open(out).info["status"] == "finished"
    if tasks == 1:
        assert results(out) == results(whole)
    else:
        assert [row["step"] for row in read_journal(out / "metrics.jsonl")] == [*range(0, STEPS + 1, 10)]


def test_the_slurm_example_is_not_requeued_when_the_input_is_at_fault(tmp_path: Path) -> None:
    slurm = Slurm(tmp_path, EXAMPLES / "slurm" / "train.sbatch")
    assert slurm.run(tmp_path / "run", [str(tmp_path / "nowhere"), "--out", str(tmp_path / "run")], 1) == [2]


class Kubernetes:
    """Runs the pods of a Job: evicts the first, loses the second, and applies the Job's policy to every end."""

    def __init__(self, job: dict[str, Any], volumes: dict[str, Path]) -> None:
        self.spec, self.pod = job["spec"], job["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]
        self.mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in self.container["volumeMounts"]}

    def place(self, word: str) -> str:
        for path, folder in self.mounts.items():
            if word == path or word.startswith(f"{path}/"):
                return str(folder) + word[len(path) :]
        return word

    def action(self, code: int) -> str:
        for rule in self.spec["podFailurePolicy"]["rules"]:
            if code in rule.get("onExitCodes", {}).get("values", []):
                assert rule["onExitCodes"]["containerName"] == self.container["name"]
                return rule["action"]
        return "Count"

    def run(self, words: list[str], out: Path) -> list[tuple[int, str]]:
        """(exit code, what the policy says of it) of all pods."""
        ends, failures = list[tuple[int, str]](), 0
        while failures <= self.spec["backoffLimit"]:
            before = progress(out)
            pod = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            while pod.poll() is None and len(ends) < 2 and progress(out) < before + 3:
                time.sleep(0.005)
            if len(ends) == 0:
                pod.terminate()  # the node is drained
                try:
                    pod.wait(self.pod["terminationGracePeriodSeconds"])
                except subprocess.TimeoutExpired:
                    pod.kill()
            elif len(ends) == 1:
                pod.kill()  # the node is lost
            code = pod.wait()
            code = code if code >= 0 else 128 - code
            ends.append((code, "Complete" if code == 0 else self.action(code)))
            failures += ends[-1][1] == "Count"
            if ends[-1][1] in ("Complete", "FailJob"):
                break
        return ends


@pytest.fixture
def job(corpus_dir: Path, tmp_path: Path) -> tuple[Kubernetes, list[str], Path]:
    """The stand-in for the example, the command of its container with the small settings, and the run it makes."""
    parsed = yaml.safe_load((EXAMPLES / "kubernetes" / "train.yaml").read_text())
    kubernetes = Kubernetes(parsed, {"documents": corpus_dir, "runs": tmp_path})
    words = [kubernetes.place(word) for word in (*kubernetes.container["command"], *kubernetes.container["args"])]
    at = words.index("--epochs")
    words[at : at + 2] = BUDGET
    return kubernetes, words, Path(words[words.index("--out") + 1])


def test_the_kubernetes_example_survives_eviction_and_loss_of_a_node_to_the_same_bytes(
    job: tuple[Kubernetes, list[str], Path], whole: Path
) -> None:
    kubernetes, words, out = job
    assert kubernetes.pod["restartPolicy"] == "Never"  # a policy of failures needs that
    assert kubernetes.run(words, out) == [(75, "Ignore"), (137, "Count"), (0, "Complete")]
    assert results(out) == results(whole)


def test_the_kubernetes_example_gives_up_when_the_input_is_at_fault(job: tuple[Kubernetes, list[str], Path]) -> None:
    kubernetes, words, out = job
    words[words.index("train") + 1] += "/nowhere"
    assert kubernetes.run(words, out) == [(2, "FailJob")]


def test_the_examples_leave_more_time_than_groundup_takes() -> None:
    batch = (EXAMPLES / "slurm" / "train.sbatch").read_text()
    pods = (EXAMPLES / "kubernetes" / "train.yaml").read_text()
    (seconds,) = re.findall(r"--signal=TERM@(\d+)", batch)
    (period,) = re.findall(r"terminationGracePeriodSeconds: (\d+)", pods)
    for text, limit in ((batch, seconds), (pods, period)):
        (grace,) = re.findall(r"training\.grace=(\d+)", text)
        assert int(grace) < int(limit)
