"""Rows 2, 12, 14, 19, 45 and 46: several processes train one run, started by torchrun, computing through gloo."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import groundup
from groundup import runs

if not shutil.which("torchrun", path=str(Path(sys.executable).parent)):
    pytest.skip("torchrun is not installed beside this Python", allow_module_level=True)

STEPS = 160
TOLERANCE = 1e-3  # relative, of losses and gradient norms; what differs is the order in which float32 sums are taken
SETTINGS = {
    "model.layers": 2,
    "model.width": 16,
    "model.context": 16,
    "training.tokens_per_update": 8 * 16,
    "training.microbatch": 2,
    "training.log_every": 10,
    "evaluation.every": 80,
    "evaluation.tokens": 500,
    "checkpoint.every": 20,
    "samples.max_new_tokens": 4,
    "device.precision": "float32",
    "device.compile": "off",
}
# every figure and tensor that a run leaves and that no clock is in
FIGURES = ("metrics.jsonl", "training_metrics.json", "probes.jsonl", "samples.jsonl")
TENSORS = ("model.safetensors", "training/optimizer.safetensors", "training/state.json")


@pytest.fixture(scope="module")
def corpus(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("groups") / "corpus"
    groundup.prepare([documents], out=out, settings={"data.tokenizer": "bytes"})
    return out


class Torchrun:
    """torchrun at work, with the processes that it started."""

    def __init__(self, log: Path, options: list[str], arguments: list[str], prefix: list[str], env: dict[str, str]):
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "torch.distributed.run", *options, "-m", "groundup", *arguments],
                stdout=file,
                stderr=file,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | env,
            )

    def workers(self) -> list[psutil.Process]:
        """The processes of the run by rank."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                environment = child.environ()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if "RANK" in environment and "groundup" in " ".join(child.cmdline()):
                found.setdefault(int(environment["RANK"]), child)
        return [found[rank] for rank in sorted(found)]

    def wait_for(self, what: Callable[[], Any], seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := what():
                return found
            time.sleep(0.005)
        pytest.fail(f"it did not come to that: {self.log.read_text()}")

    def end(self, seconds: float = 90) -> tuple[int, str]:
        code = self.process.wait(seconds)
        return code, self.log.read_text()

    def codes(self) -> dict[int, int]:
        """Exit codes by rank, as torchrun reports those that are not 0."""
        text = self.log.read_text()
        return {
            int(rank): int(code)
            for rank, code in re.findall(r"^\s+rank +: (\d+).*\n\s+exitcode +: (-?\d+)", text, re.M)
        }


@pytest.fixture(scope="module")
def torchrun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Torchrun]]:
    """Start `torchrun ... -m groundup ARGUMENTS` and go on beside it."""
    folder, begun = tmp_path_factory.mktemp("torchrun"), list[Torchrun]()

    def start(
        processes: int, *arguments: object, options: tuple[str, ...] = (), prefix: tuple[str, ...] = (), **env: str
    ) -> Torchrun:
        where = [] if any("rdzv" in option or "master" in option for option in options) else ["--standalone"]
        begun.append(
            Torchrun(
                folder / f"log-{len(begun)}",
                [*where, f"--nproc-per-node={processes}", "--shutdown-timeout=5", *options],
                [str(argument) for argument in arguments],
                list(prefix),
                env,
            )
        )
        return begun[-1]

    yield start
    for running in begun:
        if running.process.poll() is None:
            for process in [*running.workers(), psutil.Process(running.process.pid)]:
                process.kill()


def said(output: str) -> str:
    """What the processes wrote, before torchrun's own account of how they ended."""
    return output.split("torch/distributed")[0]


def sets(**changed: Any) -> list[str]:
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changed.items()}
    return [f"--set={key}={value}" for key, value in settings.items()]


def command(corpus: Path, out: Path, steps: int = STEPS, **changed: Any) -> list[object]:
    return ["train", corpus, "--out", out, "--steps", steps, *sets(**changed)]


def steps_of(run: Path) -> int:
    """The step of the newest entry of the metrics."""
    entries = runs.read_entries(run) if (run / "metrics.jsonl").is_file() else []
    return entries[-1]["step"] if entries else -1


def contents(run: Path) -> dict[str, bytes]:
    step, newest = list(runs.published(run).items())[-1]
    assert step == STEPS and runs.verify(newest) == []
    return {name: (run / name).read_bytes() for name in FIGURES} | {n: (newest / n).read_bytes() for n in TENSORS}


@pytest.fixture(scope="module")
def alone(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run as one process makes it, in whole batches."""
    out = tmp_path_factory.mktemp("alone") / "run"
    groundup.train(corpus, out=out, steps=STEPS, settings=SETTINGS | {"training.microbatch": 8})
    return out


@pytest.fixture(scope="module")
def whole(corpus: Path, torchrun: Callable[..., Torchrun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing disturbed. Not to be changed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    code, output = torchrun(2, *command(corpus, run)).end()
    assert code == 0, output
    return run


@pytest.mark.slow
def test_row_02_kill_9_of_one_process_restarts_the_group_to_the_same_result(tmp_path, corpus, torchrun, whole):
    running = torchrun(2, *command(corpus, tmp_path / "run"), options=("--max-restarts=1",))
    running.wait_for(lambda: steps_of(tmp_path / "run") >= 50)
    running.workers()[1].kill()
    code, output = running.end()
    assert code == 0, output
    assert re.search(r"groundup: process 1 \(\d+ on \S+\) ended, or the network", output), output
    assert re.search(r"continuing from step [1-9]", output), output
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.slow
def test_row_12_a_stop_of_one_process_saves_the_same_step_in_all(tmp_path, corpus, torchrun, whole):
    running = torchrun(2, *command(corpus, tmp_path / "run"))
    running.wait_for(lambda: steps_of(tmp_path / "run") >= 50)
    running.workers()[1].send_signal(signal.SIGTERM)
    code, output = running.end()
    assert code != 0 and running.codes() == {0: 75, 1: 75}, output
    assert "groundup: stopped by SIGTERM" in output and "Traceback" not in said(output)
    step = max(runs.published(tmp_path / "run"))
    assert 50 <= step < STEPS
    code, output = torchrun(2, "resume", tmp_path / "run").end()
    assert code == 0 and f"continuing from step {step}" in output, output
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.slow
def test_row_12_a_stop_of_torchrun_stops_all(tmp_path, corpus, torchrun):
    running = torchrun(2, *command(corpus, tmp_path / "run", steps=100_000))
    running.wait_for(lambda: steps_of(tmp_path / "run") >= 10)
    running.process.send_signal(signal.SIGINT)  # what Ctrl-C is: torchrun hands it on
    _, output = running.end()
    assert "groundup: stopped by SIGINT" in output, output
    assert runs.Run.open(tmp_path / "run").info["status"] == "stopped"


@pytest.mark.slow
def test_row_14_a_process_that_is_suspended_is_named_with_stacks(tmp_path, corpus, torchrun):
    running = torchrun(2, *command(corpus, tmp_path / "run", steps=100_000, parallel__timeout=2))
    running.wait_for(lambda: steps_of(tmp_path / "run") >= 10)
    suspended = running.workers()[1]
    suspended.suspend()
    began = time.monotonic()
    running.wait_for(lambda: "did not answer" in running.log.read_text(), seconds=20)
    assert time.monotonic() - began >= 1.5
    code, output = running.end()
    assert code != 0 and running.codes()[0] == 1, output
    assert re.search(rf"process 0: process 1 \({suspended.pid} on .*\) did not answer for 2 seconds", output), output
    assert "Thread 0x" in output and "in fit" in output, output


@pytest.mark.parametrize(("processes", "microbatch"), [(1, 3), (2, 2), (4, 1)])
def test_row_19_any_number_of_processes_and_microbatches_learns_the_same(
    tmp_path, corpus, torchrun, alone, whole, processes, microbatch
):
    out = tmp_path / "run"
    if processes == 1:
        groundup.train(corpus, out=out, steps=STEPS, settings=SETTINGS | {"training.microbatch": microbatch})
    elif processes == 2:
        out = whole
    else:
        code, output = torchrun(processes, *command(corpus, out, training__microbatch=microbatch)).end()
        assert code == 0, output
    entries, expected = runs.read_entries(out), runs.read_entries(alone)
    assert [entry["tokens"] for entry in entries] == [entry["tokens"] for entry in expected]
    for name in ("train_loss", "val_loss", "grad_norm"):
        for entry, one in zip(entries, expected, strict=True):
            assert entry[name] == (one[name] and pytest.approx(one[name], rel=TOLERANCE)), (name, entry["step"])
    assert runs.Run.open(out).info["processes"] == processes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main_process(port: int, arguments: list[object]) -> subprocess.CompletedProcess[str]:
    """Process 0 of 2, started by no torchrun, until it gives up."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": "0", "WORLD_SIZE": "2"}
    words = [sys.executable, "-m", "groundup", *map(str, arguments)]
    return subprocess.run(words, env=os.environ | where, capture_output=True, text=True, timeout=100)


def test_row_19_fewer_sequences_than_processes_are_refused(tmp_path, corpus):
    done = main_process(free_port(), command(corpus, tmp_path / "run", training__tokens_per_update=16))
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "an update learns from 1 sequences, and there are 2 processes" in done.stderr
    assert "--set training.tokens_per_update=32 or more" in done.stderr


@pytest.mark.slow
def test_row_46_a_port_that_is_taken_is_named_with_the_fix(tmp_path, corpus):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = main_process(port, command(corpus, tmp_path / "run"))
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"groundup: 127.0.0.1:{port}: another program listens there" in done.stderr
    assert "set MASTER_PORT to a free port" in done.stderr


@pytest.mark.slow
def test_row_46_torchrun_names_a_port_that_is_taken(tmp_path, corpus, torchrun):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ("--master-addr=127.0.0.1", f"--master-port={port}")
        code, output = torchrun(2, *command(corpus, tmp_path / "run"), options=options).end()
    assert code != 0 and "EADDRINUSE" in output and str(port) in output
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_row_46_a_node_that_comes_late_is_waited_for(tmp_path, corpus, torchrun, whole):
    where = ("--nnodes=2", "--master-addr=127.0.0.1", f"--master-port={free_port()}")
    late = time.monotonic() + 5
    first = torchrun(1, *command(corpus, tmp_path / "run"), options=(*where, "--node-rank=0"))
    first.wait_for(lambda: time.monotonic() > late)
    second = torchrun(1, *command(corpus, tmp_path / "run"), options=(*where, "--node-rank=1"))
    assert second.end()[0] == 0, second.end()[1]
    assert first.end()[0] == 0, first.end()[1]
    assert contents(tmp_path / "run") == contents(whole)


@pytest.fixture
def two_hosts() -> Iterator[list[tuple[str, str]]]:
    """(network namespace, network interface) of two hosts on one cable: 10.231.7.1 and 10.231.7.2."""
    if sys.platform != "linux" or not shutil.which("ip") or os.geteuid() != 0:
        pytest.skip("network namespaces need Linux, iproute2 and root")
    name = f"gu{os.getpid()}"
    hosts = [(f"{name}a", f"{name}a"), (f"{name}b", f"{name}b")]
    try:
        for space, _ in hosts:
            ip("netns", "add", space)
        ip(
            "link",
            "add",
            hosts[0][1],
            "netns",
            hosts[0][0],
            "type",
            "veth",
            "peer",
            "name",
            hosts[1][1],
            "netns",
            hosts[1][0],
        )
        for number, (space, link) in enumerate(hosts, 1):
            ip("-n", space, "addr", "add", f"10.231.7.{number}/24", "dev", link)
            ip("-n", space, "link", "set", link, "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield hosts
    finally:
        for space, _ in hosts:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"`ip {' '.join(words)}` failed here: {done.stderr.strip()}")


def on_hosts(
    hosts: list[tuple[str, str]], torchrun: Callable[..., Torchrun], arguments: list[object]
) -> list[Torchrun]:
    """The same command on both hosts."""
    return [
        torchrun(
            1,
            *arguments,
            options=("--nnodes=2", "--master-addr=10.231.7.1", "--master-port=29400", f"--node-rank={rank}"),
            prefix=("ip", "netns", "exec", space),
            GLOO_SOCKET_IFNAME=link,
        )
        for rank, (space, link) in enumerate(hosts)
    ]


@pytest.mark.slow
def test_row_45_a_partition_ends_both_sides_and_the_run_continues_to_the_same_result(
    tmp_path, corpus, torchrun, whole, two_hosts
):
    arguments = command(corpus, tmp_path / "run", parallel__timeout=4)
    both = on_hosts(two_hosts, torchrun, arguments)
    both[0].wait_for(lambda: steps_of(tmp_path / "run") >= 50)
    space, link = two_hosts[1]
    ip("-n", space, "link", "set", link, "down")
    for rank, running in enumerate(both):
        running.wait_for(lambda: "did not answer for 4 seconds" in running.log.read_text(), seconds=30)  # noqa: B023
        code, output = running.end()
        assert code != 0 and re.search(rf"process {rank}: process {1 - rank} \(.*\) did not answer", output), output
    ip("-n", space, "link", "set", link, "up")
    both = on_hosts(two_hosts, torchrun, arguments)
    for running in both:
        code, output = running.end()
        assert code == 0, output
    assert re.search(r"continuing from step [1-9]", both[0].log.read_text())
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.slow
def test_row_45_loss_and_delay_change_nothing(tmp_path, corpus, torchrun, whole, two_hosts):
    for space, link in two_hosts:
        words = ["ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", link, "root", "netem"]
        done = subprocess.run([*words, "delay", "5ms", "2ms", "loss", "2%"], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"netem is not to be had here: {done.stderr.strip()}")
    for running in on_hosts(two_hosts, torchrun, command(corpus, tmp_path / "run")):
        code, output = running.end(240)
        assert code == 0, output
    assert contents(tmp_path / "run") == contents(whole)
