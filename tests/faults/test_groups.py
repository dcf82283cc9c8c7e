"""Rows 2, 12, 14, 19, 45 and 46: several processes train one run, computing through gloo."""

import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from group_runs import SETTINGS, STEPS, command, contents, newest
from launching import Launched, Launcher, all_end, free_port

import groundup
from groundup import runs

if "forkserver" not in multiprocessing.get_all_start_methods():
    pytest.skip("this system does not fork", allow_module_level=True)

TOLERANCE = 1e-3  # relative, of losses and gradient norms; what differs is the order in which float32 sums are taken


@pytest.fixture(scope="module")
def corpus(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("groups") / "corpus"
    groundup.prepare([documents], out=out, settings={"data.tokenizer": "bytes"})
    return out


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path_factory.mktemp("logs"))
    yield launcher
    launcher.close()


@pytest.fixture(scope="module")
def alone(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run as one process makes it, in whole batches."""
    out = tmp_path_factory.mktemp("alone") / "run"
    groundup.train(corpus, out=out, steps=STEPS, settings=SETTINGS | {"training.microbatch": 8})
    return out


@pytest.fixture(scope="module")
def whole(corpus: Path, launch: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing disturbed. Not to be changed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    all_end(launch.group(2, *command(corpus, run)))
    return run


def blamed(output: str) -> str:
    """Where a traceback goes through groundup's own code in what the processes said; empty where none does."""
    found = re.search(r'File ".*/groundup/.*(?:\n.*){0,20}', output)
    return found.group() if found else ""


def once_trained(running: Launched, run: Path) -> psutil.Process:
    """Process 1 of a group, a moment after a checkpoint of trained weights, long before the last."""
    running.wait_for(lambda: newest(run) >= 0)
    process = running.workers()[1]  # found before, because that takes as long as several steps
    running.wait_for(lambda: newest(run) >= 10)
    return process


def test_row_02_kill_9_of_one_process_restarts_the_group_to_the_same_result(tmp_path, corpus, launch, whole):
    run = tmp_path / "run"
    running = launch.torchrun(2, *command(corpus, run), options=("--max-restarts=1",))
    once_trained(running, run).kill()
    code, output = running.end()
    assert code == 0, output
    assert re.search(r"groundup: process 1 \(\d+ on \S+\) ended, or the network", output), output
    assert re.search(r"continuing from step [1-9]", output), output
    assert not blamed(output), output
    assert contents(run) == contents(whole)


@pytest.mark.parametrize("started_by", ["us", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_row_12_a_stop_of_one_process_saves_the_same_step_in_all(tmp_path, corpus, launch, whole, started_by):
    run = tmp_path / "run"
    if started_by == "torchrun":  # which sends SIGTERM to the others once one has ended
        running = launch.torchrun(2, *command(corpus, run))
        once_trained(running, run).send_signal(signal.SIGTERM)
        code, output = running.end()
        assert code != 0 and running.codes() == {0: 75, 1: 75}, output
    else:
        main, other = launch.group(2, *command(corpus, run))
        main.wait_for(lambda: newest(run) >= 10)
        other.send(signal.SIGTERM)
        output = all_end([main, other], 75)
    assert "groundup: stopped by SIGTERM" in output and not blamed(output), output
    step = newest(run)
    assert 10 <= step < STEPS
    output = all_end(launch.group(2, "resume", run))
    assert f"continuing from step {step}" in output, output
    assert contents(run) == contents(whole)


@pytest.mark.slow
def test_row_12_a_stop_of_torchrun_stops_all(tmp_path, corpus, launch):
    run = tmp_path / "run"
    running = launch.torchrun(2, *command(corpus, run, steps=100_000))
    running.wait_for(lambda: newest(run) >= 10)
    running.send(signal.SIGINT)  # what Ctrl-C is: torchrun hands it on
    _, output = running.end()
    assert "groundup: stopped by SIGINT" in output, output
    assert runs.Run.open(run).info["status"] == "stopped"


def test_row_14_a_process_that_is_suspended_is_named_with_stacks(tmp_path, corpus, launch):
    run = tmp_path / "run"
    main, other = launch.group(2, *command(corpus, run, steps=100_000, parallel__timeout=2))
    main.wait_for(lambda: newest(run) >= 10)
    for process in (main, other):  # all together, as a laptop sleeps: nobody is missed
        process.send(signal.SIGSTOP)
    time.sleep(3)
    for process in (main, other):
        process.send(signal.SIGCONT)
    step = newest(run)
    main.wait_for(lambda: newest(run) > step)
    other.send(signal.SIGSTOP)
    code, output = main.end()
    assert code == 1, output
    assert re.search(rf"process 0: process 1 \({other.pid} on .*\) did not answer for 2 seconds", output), output
    assert "Thread 0x" in output and re.search(r"in _?fit\b", output), output


def test_a_run_goes_on_with_another_number_of_processes_and_says_so(tmp_path, whole):
    run = shutil.copytree(whole, tmp_path / "run", symlinks=True)
    heard = list[str]()
    groundup.resume(run, settings={"training.steps": STEPS + 10}, listen=lambda event: heard.append(str(event)))
    assert newest(run) == STEPS + 10
    assert any("2 processes before, 1 now: results will not be byte-equal" in event for event in heard)


@pytest.mark.parametrize(("processes", "microbatch"), [(1, 3), (2, 2), (4, 1)])
def test_row_19_any_number_of_processes_and_microbatches_learns_the_same(
    tmp_path, corpus, launch, alone, whole, processes, microbatch
):
    out = whole if processes == 2 else tmp_path / "run"
    if processes != 2:
        all_end(launch.group(processes, *command(corpus, out, training__microbatch=microbatch)))
    entries, expected = runs.read_entries(out), runs.read_entries(alone)
    assert [entry["tokens"] for entry in entries] == [entry["tokens"] for entry in expected]
    for name in ("train_loss", "val_loss", "grad_norm"):
        for entry, one in zip(entries, expected, strict=True):
            assert entry[name] == (one[name] and pytest.approx(one[name], rel=TOLERANCE)), (name, entry["step"])
    assert runs.Run.open(out).info["processes"] == processes


def test_row_19_fewer_sequences_than_processes_are_refused(tmp_path, corpus, launch):
    words = command(corpus, tmp_path / "run", training__tokens_per_update=16)
    code, output = launch.process(0, 2, free_port(), *words).end()
    assert code == 2 and "Traceback" not in output, output
    assert "an update learns from 1 sequences, and there are 2 processes" in output
    assert "--set training.tokens_per_update=32 or more" in output


def test_row_46_a_port_that_is_taken_is_named_with_the_fix(tmp_path, corpus, launch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = launch.process(0, 2, port, *command(corpus, tmp_path / "run")).end()
    assert code == 2 and "Traceback" not in output, output
    assert f"groundup: 127.0.0.1:{port}: another program listens there" in output
    assert "set MASTER_PORT to a free port" in output


def test_row_46_torchrun_names_a_port_that_is_taken(tmp_path, corpus, launch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ("--master-addr=127.0.0.1", f"--master-port={port}")
        code, output = launch.torchrun(2, *command(corpus, tmp_path / "run"), options=options).end()
    assert code != 0 and "EADDRINUSE" in output and str(port) in output
    assert not (tmp_path / "run").exists()


def test_row_46_a_process_that_comes_late_is_waited_for(tmp_path, corpus, launch, whole):
    run, port = tmp_path / "run", free_port()
    words, late = command(corpus, run, parallel__timeout=2), time.monotonic() + 5
    main = launch.process(0, 2, port, *words)
    main.wait_for(lambda: time.monotonic() > late)
    all_end([main, launch.process(1, 2, port, *words)])
    assert contents(run) == contents(whole)


def pair(launch: Launcher, corpus: Path, run: Path, **changed: object) -> list[Launched]:
    """Both processes of a group, at the end of 20 steps."""
    group = launch.group(2, *command(corpus, run, steps=20, **changed))
    all_end(group)
    return group


@pytest.mark.slow
def test_dropout_is_drawn_again_the_same_by_the_same_number_of_processes(tmp_path, corpus, launch):
    for name in "ab":
        pair(launch, corpus, tmp_path / name, model__dropout=0.2)
    assert contents(tmp_path / "a", 20) == contents(tmp_path / "b", 20)


@pytest.mark.slow
def test_a_compiled_step_learns_the_same_in_two_processes(tmp_path, corpus, launch):
    pair(launch, corpus, tmp_path / "run", device__compile="on")
    pair(launch, corpus, tmp_path / "eager")
    assert runs.Run.open(tmp_path / "run").info["compute"]["compiled"]
    figures = [[entry["train_loss"] for entry in runs.read_entries(tmp_path / name)] for name in ("run", "eager")]
    assert figures[0] == pytest.approx(figures[1], rel=TOLERANCE)


@pytest.mark.slow
def test_minutes_end_at_the_same_step_in_all(tmp_path, corpus, launch):
    run = tmp_path / "run"
    words = [word for word in command(corpus, run) if word != "--steps" and word != STEPS]
    all_end(launch.group(2, *words, "--minutes", "0.25"))
    facts = groundup.runs.Run.open(run).info
    assert facts["stop_reason"] == "complete" and facts["horizon"][-1][1] == newest(run)


@pytest.fixture
def two_hosts() -> Iterator[list[tuple[str, str]]]:
    """(network namespace, network interface) of two hosts on one cable: 10.231.7.1 and 10.231.7.2."""
    if sys.platform != "linux" or not shutil.which("ip") or os.geteuid() != 0:
        pytest.skip("network namespaces need Linux, iproute2 and root")
    one, two = (f"gu{os.getpid()}{side}" for side in "ab")
    try:
        for space in (one, two):
            ip("netns", "add", space)
        ip(*f"link add {one} netns {one} type veth peer name {two} netns {two}".split())
        for number, space in enumerate((one, two), 1):
            ip("-n", space, "addr", "add", f"10.231.7.{number}/24", "dev", space)
            ip("-n", space, "link", "set", space, "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield [(one, one), (two, two)]
    finally:
        for space in (one, two):
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"`ip {' '.join(words)}` failed here: {done.stderr.strip()}")


def on_hosts(hosts: list[tuple[str, str]], launch: Launcher, words: list[object]) -> list[Launched]:
    """The same command on both hosts."""
    where = ("--nnodes=2", "--master-addr=10.231.7.1", "--master-port=29400")
    return [
        launch.torchrun(
            1,
            *words,
            options=(*where, f"--node-rank={rank}"),
            prefix=("ip", "netns", "exec", space),
            GLOO_SOCKET_IFNAME=link,
        )
        for rank, (space, link) in enumerate(hosts)
    ]


@pytest.mark.slow
def test_row_45_a_partition_ends_both_sides_and_the_run_continues_to_the_same_result(
    tmp_path, corpus, launch, whole, two_hosts
):
    run, (space, link) = tmp_path / "run", two_hosts[1]
    words = command(corpus, run, parallel__timeout=4)
    both = on_hosts(two_hosts, launch, words)
    both[0].wait_for(lambda: newest(run) >= 20)
    ip("-n", space, "link", "set", link, "down")
    for rank, running in enumerate(both):
        code, output = running.end()
        assert code != 0 and running.codes() == {rank: 1}, output
        assert re.search(rf"process {rank}: process {1 - rank} \(.*\) did not answer for 4 seconds", output), output
        assert "network from here to 10.231.7.1:29400" in output, output
    ip("-n", space, "link", "set", link, "up")
    both = on_hosts(two_hosts, launch, words)
    assert re.search(r"continuing from step [1-9]", all_end(both))
    assert contents(run) == contents(whole)


@pytest.mark.slow
def test_a_cut_shorter_than_the_timeout_changes_nothing(tmp_path, corpus, launch, whole, two_hosts):
    run, (space, link) = tmp_path / "run", two_hosts[1]
    both = on_hosts(two_hosts, launch, command(corpus, run))
    both[0].wait_for(lambda: newest(run) >= 20)
    ip("-n", space, "link", "set", link, "down")
    time.sleep(2)
    step = newest(run)
    ip("-n", space, "link", "set", link, "up")
    all_end(both)
    assert step < STEPS and contents(run) == contents(whole)


@pytest.mark.slow
def test_row_45_loss_and_delay_change_nothing(tmp_path, corpus, launch, whole, two_hosts):
    for space, link in two_hosts:
        words = ["ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", link, "root", "netem"]
        done = subprocess.run([*words, "delay", "5ms", "2ms", "loss", "2%"], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"netem is not to be had here: {done.stderr.strip()}")
    all_end(on_hosts(two_hosts, launch, command(corpus, tmp_path / "run")))
    assert contents(tmp_path / "run") == contents(whole)
