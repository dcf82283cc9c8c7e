"""Turns, and what becomes of contestants that cannot take theirs; contestants here are small files without torch."""

import os
import sys
from pathlib import Path

import pytest

from groundup.benchmarking import Entrant, contest
from groundup.events import Event, Phase, Progress

LOG = """
import time
def make(settings):
    def work(seconds):
        with open(settings["log"], "a") as log:
            began = time.monotonic()
            time.sleep(seconds)
            log.write(f"{settings['name']} {began} {time.monotonic()}\\n")
        return {"tokens": 7}
    print("a library's chatter")
    return {"name": settings["name"]}, work
"""
DIES = """
import os, sys
def make(settings):
    turns = []
    def work(seconds):
        turns.append(0)
        if len(turns) == 2:
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(9)
        return {"tokens": 1}
    return {}, work
"""


def entrant(tmp_path: Path, name: str, source: str, **others: object) -> Entrant:
    file = tmp_path / f"{name}.py"
    file.write_text(source)
    return Entrant(name, file, {"name": name, "log": str(tmp_path / "log")}, **others)  # type: ignore[arg-type]


def test_one_at_a_time_and_every_second_round_in_reverse(tmp_path: Path) -> None:
    heard: list[Event] = []
    entrants = [entrant(tmp_path, name, LOG) for name in "xyz"]
    outcomes = contest(entrants, rounds=3, seconds=0.01, threads=1, name="here", listen=heard.append)
    turns = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert "".join(name for name, *_ in turns) == "xyzzyxxyz"
    ends = [float(moment) for _, *moments in turns for moment in moments]
    assert ends == sorted(ends)
    for outcome in outcomes:
        assert (outcome.status, outcome.facts["name"], len(outcome.rounds)) == ("measured", outcome.name, 3)
        assert all(turn["seconds"] >= 0.01 > turn["cpu_seconds"] for turn in outcome.rounds)  # it slept
        assert outcome.rates("tokens") == [7 / turn["seconds"] for turn in outcome.rounds]
    assert [event.total for event in heard if isinstance(event, Phase)] == [3, 9]
    assert [event.done for event in heard if isinstance(event, Progress)] == [1, 2, 3, *range(1, 10)]


def test_what_dies_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    wrong = "def make(settings):\n    raise RuntimeError('no such shape')\n"
    entrants = [entrant(tmp_path, "dies", DIES), entrant(tmp_path, "well", LOG), entrant(tmp_path, "wrong", wrong)]
    dies, well, never = contest(entrants, rounds=3, seconds=0.0, threads=1, name="")
    assert (dies.status, dies.reason, len(dies.rounds)) == ("died", "ended with code 9: out of luck", 1)
    assert (well.status, len(well.rounds)) == ("measured", 3)
    assert (never.status, never.reason) == ("died", "ended with code 1: RuntimeError: no such shape")


def test_what_takes_too_long_is_ended_and_says_so(tmp_path: Path) -> None:
    slow = entrant(tmp_path, "slow", "import time; time.sleep(600)", limit_seconds=0.05)
    [outcome] = contest([slow], rounds=1, seconds=0, threads=1, name="")
    assert (outcome.status, outcome.reason) == ("died", "took longer than 0.05 seconds to answer")


def test_what_is_not_installed_says_where_it_was_looked_for(tmp_path: Path) -> None:
    source = "import a_peer_nobody_has\ndef make(settings): ...\n"
    [outcome] = contest(
        [entrant(tmp_path, "peer", source, pythons=(sys.executable, "/no/python"))],
        rounds=1,
        seconds=0.0,
        threads=1,
        name="",
    )
    assert outcome.status == "not installed"
    assert outcome.reason.startswith("this interpreter has no a_peer_nobody_has; /no/python: No such file")


def test_the_first_interpreter_that_has_everything_runs_it(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)  # without the virtual environment, so without its packages
    source = "import sys, psutil\ndef make(settings): return {'ran': sys.executable}, lambda s: {}\n"
    [outcome] = contest(
        [entrant(tmp_path, "peer", source, pythons=(str(link), sys.executable))],
        rounds=1,
        seconds=0,
        threads=1,
        name="",
    )
    assert outcome.facts["ran"] == sys.executable


def test_threads_are_set_and_what_groundup_sets_for_itself_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import os, sys\ndef make(settings): return {'env': dict(os.environ), 'path': sys.path}, lambda s: {}\n"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert os.environ["GOMP_SPINCOUNT"]
    [outcome] = contest([entrant(tmp_path, "peer", source)], rounds=1, seconds=0, threads=3, name="")
    assert outcome.facts["env"]["OMP_NUM_THREADS"] == "3"
    assert "GOMP_SPINCOUNT" not in outcome.facts["env"]
    assert not any(place.endswith("benchmarking") for place in outcome.facts["path"])


def test_peak_memory_is_the_contestants_own(tmp_path: Path) -> None:
    held = bytearray(300_000_000)  # by this process: Linux counts it for children at getrusage
    source = "def make(settings):\n    held = bytearray(100_000_000)\n    del held\n    return {}, lambda s: {}\n"
    [outcome] = contest([entrant(tmp_path, "peer", source)], rounds=1, seconds=0, threads=1, name="")
    assert 100_000_000 < outcome.facts["peak_memory_bytes"] < 200_000_000 < len(held)


def test_what_needs_more_memory_than_is_free_is_left_out(tmp_path: Path) -> None:
    [outcome] = contest([entrant(tmp_path, "peer", LOG, memory_bytes=10**15)], rounds=1, seconds=0, threads=1, name="")
    assert outcome.status == "left out"
    assert outcome.reason.startswith("needs about 1000000.0 GB of memory")
    assert not (tmp_path / "log").exists()
