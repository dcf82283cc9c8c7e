import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from groundup.errors import UserError
from groundup.runs import locked

HOLD = """
import sys, time
from pathlib import Path
from groundup.runs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

HELD_FOR_A_MOMENT = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1] + "/.lock"):
    print("held", flush=True)
    time.sleep(0.5)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_with_the_holders_host_and_process(tmp_path, holder):
    with pytest.raises(UserError) as caught, locked(tmp_path):
        raise AssertionError("both hold it")
    assert f"process {holder.pid} on {socket.gethostname()}" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_being_refused_does_not_disturb_the_holder(tmp_path, holder):
    for _ in range(2):
        with pytest.raises(UserError, match=str(holder.pid)), locked(tmp_path):
            pass
    assert holder.poll() is None


def test_the_lock_of_a_process_killed_without_warning_is_free_again(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock-holder").exists()  # it had no time to clear up
    with locked(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".lock-holder").read_text()


def test_the_lock_that_a_killed_process_left_with_its_child_for_a_moment_is_waited_for(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    child = subprocess.Popen(  # as the one that the killed process was starting
        [sys.executable, "-c", HELD_FOR_A_MOMENT, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    with child, locked(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".lock-holder").read_text()


def test_the_lock_is_free_after_use_and_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(tmp_path):
            raise ZeroDivisionError
    with locked(tmp_path):
        pass
    assert not (tmp_path / ".lock-holder").exists()


def test_one_process_cannot_hold_it_twice(tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match=str(os.getpid())), locked(tmp_path):
        pass


def test_two_runs_are_locked_independently(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with locked(tmp_path / "a"), locked(tmp_path / "b"):
        pass


def test_a_run_that_cannot_be_locked_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught, locked(Path(tmp_path / "file")):
        pass
    assert str(tmp_path / "file") in str(caught.value)
