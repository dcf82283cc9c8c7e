"""What several processes say to each other, and their shares of a batch (tests/faults/test_groups.py trains)."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from groundup.cores import process_of_run
from groundup.corpus import Batches
from groundup.errors import EXIT_OURS, Stopped, UserError
from groundup.parallel import Group, group_of_processes
from groundup.parallel.heartbeat import BEAT_SECONDS
from groundup.parallel.meeting import Meeting
from groundup.runs import StopRequest
from groundup.training import Horizon

NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "TORCHELASTIC_USE_AGENT_STORE")


@pytest.fixture
def environment(monkeypatch) -> Callable[..., None]:
    """Set what torchrun would, and nothing else of it."""

    def put(**values: object) -> None:
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    put()
    return put


@pytest.fixture
def join(environment) -> Iterator[Callable[..., Meeting]]:
    """Meet as the process of some rank: a process here, but to the others one like any."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=probe.getsockname()[1])
    met: list[Meeting] = []
    handler = signal.getsignal(signal.SIGTERM)

    def joined(rank: int, size: int = 2, seconds: float = 10.0) -> Meeting:
        met.append(Meeting.join(rank, size, seconds=seconds))
        return met[-1]

    yield joined
    for meeting in reversed(met):
        meeting._leave()
    signal.signal(signal.SIGTERM, handler)  # those that leave with an error ignore it


def test_without_torchrun_a_group_is_one_process_and_loads_nothing(environment):
    assert process_of_run() == (0, 1)
    with group_of_processes() as group:
        assert (group.rank, group.size, group.is_main) == (0, 1, True)
        assert group.share(5) == range(5)
        assert group.sum([1.5, 2]) == [1.5, 2]
        assert group.any(True) and not group.any(False)
        assert group.agree({"a": 1}) == {"a": 1}
        stop = StopRequest()
        group.heed(stop)
        group.poll()
        stop.name = "SIGTERM"
        with pytest.raises(Stopped, match="SIGTERM"):
            group.poll()
    code = "import sys, groundup.parallel, groundup.verbs.training; print('torch.distributed.run' in sys.modules,"
    code += " 'groundup.parallel.meeting' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False"] * 2


@pytest.mark.parametrize(
    "values",
    [
        {"RANK": "0", "WORLD_SIZE": "4"},
        {"WORLD_SIZE": "4", "MASTER_ADDR": "here", "MASTER_PORT": "1"},
        {"RANK": "a", "WORLD_SIZE": "4", "MASTER_ADDR": "here", "MASTER_PORT": "1"},
    ],
)
def test_half_an_environment_is_none(environment, values):
    environment(**values)
    assert process_of_run() == (0, 1)


class Numbered(Group):
    """A group that nobody met in: for what is arithmetic on rank and size."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__()
        self.rank, self.size = rank, size


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("count", [7, 8, 64])
def test_shares_are_contiguous_complete_and_of_equal_size_but_one(size, count):
    shares = [Numbered(rank, size).share(count) for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("size", [1, 2, 4])
def test_row_19_processes_read_the_rows_that_one_would_in_the_same_order(corpus_dir, size):
    from groundup.corpus import Corpus

    batches = Batches(Corpus(corpus_dir).train, context=24, batch=10, seed=5)
    for step in range(2 * batches.blocks // 10 + 2):  # over the ends of two epochs
        inputs, targets = batches.at(step)
        parts = [batches.at(step, Numbered(rank, size).share(10)) for rank in range(size)]
        assert inputs.tolist() == [row for part, _ in parts for row in part.tolist()]
        assert targets.tolist() == [row for _, part in parts for row in part.tolist()]
        assert batches.targets(step) == int((targets >= 0).sum())


def test_what_main_says_is_heard_in_order_also_by_those_who_come_later(join):
    main = join(0, size=3)
    main.tell({"run": "runs/ü", "timeout": 3.5})
    first = join(1, size=3)
    assert first.hear() == {"run": "runs/ü", "timeout": 3.5}
    main.tell(None)
    second = join(2, size=3)
    assert [second.hear(), second.hear()] == [{"run": "runs/ü", "timeout": 3.5}, None]
    assert first.hear() is None


def test_a_main_process_that_is_started_again_is_heard_instead_of_the_one_before(join, monkeypatch):
    before = join(0)
    before.tell("the first")
    assert join(1).hear() == "the first"
    before._leave()
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")  # the store is there already, with all that was said
    again = join(0)
    again.tell("the second")
    assert join(1).hear() == "the second"


def test_a_stop_of_one_process_is_known_to_the_others(join):
    main, other = join(0), join(1)
    group = Group(main)
    group.poll()
    other.stop.name = "SIGHUP"
    with pytest.raises(Stopped, match="SIGHUP"):
        for _ in range(100):
            group.poll()
            time.sleep(0.05)


@pytest.mark.parametrize("code", [0, 2, 75])
def test_the_others_leave_with_the_code_of_main_whatever_they_wait_for(join, code):
    main, other = join(0), join(1)
    main.store.set("ended", str(code))
    with pytest.raises(SystemExit) as left:
        other.hear()
    assert left.value.code == code


def test_row_46_a_port_that_is_taken_is_the_users_to_change(join, environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=taken.getsockname()[1])
        with pytest.raises(UserError, match="another program listens there") as caught:
            join(0)
    assert "MASTER_PORT" in caught.value.fix


def test_row_46_a_missing_main_process_is_named_with_the_fix(join):
    with pytest.raises(UserError, match=r"process 1 could not meet the others within 1 seconds") as caught:
        join(1, seconds=1.0)
    assert "MASTER_ADDR" in caught.value.fix and "firewall" in caught.value.fix


def test_more_processes_than_gpus_are_refused(join, monkeypatch):
    meeting = join(0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert meeting.gpu(2) == 1
    with pytest.raises(UserError, match="no GPU of its own: this machine has 1"):
        meeting.gpu(1)


def test_who_is_gone_is_named_and_who_lives_is_not(join):
    main, second, third = (join(rank, size=3) for rank in range(3))
    third._heartbeat._leaving = True  # else main's end would end this process
    time.sleep(2 * BEAT_SECONDS)  # until each knows the others' names
    second._leave()
    assert main.give_up(3 * BEAT_SECONDS) == [f"process 1 ({os.getpid()} on {socket.gethostname()})"]
    with pytest.raises(SystemExit) as left:  # main has said it for all
        third.give_up(3 * BEAT_SECONDS)
    assert left.value.code == EXIT_OURS


def test_who_left_because_of_another_is_not_blamed(join):
    main, second, third = (join(rank, size=3) for rank in range(3))
    main._heartbeat._leaving = True
    second._leave()
    third._leave(failed=True)
    assert [name.split(" (")[0] for name in main.give_up(BEAT_SECONDS)] == ["process 1"]


def test_sigterm_only_asks_for_a_stop_from_the_meeting_to_the_end(join):
    main = join(0)
    main.heed_sigterm()
    assert signal.getsignal(signal.SIGTERM) == main._handle
    os.kill(os.getpid(), signal.SIGTERM)
    group, later = Group(main), StopRequest()
    group.heed(later)  # what was asked for before is not forgotten
    with pytest.raises(Stopped, match="SIGTERM"):
        group.poll()
    main._leave()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_length_is_corrected_by_mains_clock_in_all(join):
    lengths = []  # the clocks of two machines have nothing in common
    for rank, deadline in enumerate([time.monotonic() + 100.0, -1e9]):
        group = Group(join(rank))
        horizon = Horizon([(0, 64)], deadline=deadline, agree=group.agree)
        for step in range(12):
            time.sleep(0.01 if rank == 0 else 0)
            horizon.correct(step)
        lengths.append(horizon.entries)
    assert lengths[0] == lengths[1] and len(lengths[0]) > 1
