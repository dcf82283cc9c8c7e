import os
import signal
import subprocess
import sys
import threading

import pytest

from groundup.errors import EXIT_STOPPED, Stopped, UserError
from groundup.runs import StopRequest, seconds_of, stop_on_signals
from groundup.runs import signals as module

TWICE = """
import os, signal, sys
from groundup.runs import stop_on_signals
with stop_on_signals() as stop:
    for number in sys.argv[1:]:
        os.kill(os.getpid(), getattr(signal, number))
    print(stop.name, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_sets_a_flag_and_poll_raises(number):
    with stop_on_signals() as stop:
        stop.poll()
        os.kill(os.getpid(), number)
        for _ in range(2):
            with pytest.raises(Stopped, match=number.name):
                stop.poll()


def test_handlers_are_put_back_also_after_an_error():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.raises(Stopped), stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.poll()
    assert {number: signal.getsignal(number) for number in before} == before


def run(*signals: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", TWICE, *signals], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("signals", [("SIGINT", "SIGINT"), ("SIGTERM", "SIGINT")])
def test_a_second_ctrl_c_ends_the_process_at_once(signals):
    result = run(*signals)
    assert (result.returncode, result.stdout) == (EXIT_STOPPED, "")


def test_a_scheduler_that_repeats_sigterm_does_not_cut_the_saving_short():
    result = run("SIGTERM", "SIGTERM", "SIGHUP")
    assert (result.returncode, result.stdout) == (0, "SIGTERM\n")


def test_outside_the_main_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with stop_on_signals() as stop:
            stop.poll()
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_limit_asks_for_a_stop_early_enough(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stop = StopRequest()
    stop.poll()
    stop.end_by(160.0, "--stop-after 1m")
    stop.room = 12.5
    assert stop.seconds_left == 60.0
    now[0] = 147.4
    stop.poll()
    now[0] = 147.5
    with pytest.raises(Stopped, match="stopped by --stop-after 1m"):
        stop.poll()
    stop.room = 0.0  # what was asked for once is not taken back
    with pytest.raises(Stopped):
        stop.poll()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3h", 10800), ("30m", 1800), ("90s", 90), ("1h30m", 5400), (" 1H0m5s ", 3605), ("1.5h", 5400), ("0.5s", 0.5)],
)
def test_lengths_of_time_have_units(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["30", "1.5", "1"])
def test_a_plain_number_is_refused_with_what_it_may_mean(text):
    with pytest.raises(UserError) as caught:
        seconds_of(text)
    assert caught.value.where == "--stop-after"
    assert "has no unit" in caught.value.what and f"write {text}m for minutes" in caught.value.fix


@pytest.mark.parametrize(
    "text", ["", "h", "0", "0s", "0h0m", "-3h", "3d", "30m1h", "3h 5", "three hours", "1e3s", "nan"]
)
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(UserError, match="no length of time") as caught:
        seconds_of(text)
    assert "1h30m" in caught.value.fix


GRACE = """
import os, signal, sys, time
from groundup.runs import stop_on_signals
with stop_on_signals(float(sys.argv[1])) as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    if sys.argv[2] == "slow":
        while True:
            time.sleep(0.01)
    print(stop.name, flush=True)
time.sleep(3 * float(sys.argv[1]))
print("done", flush=True)
"""


@pytest.mark.parametrize(("speed", "code", "output"), [("slow", EXIT_STOPPED, ""), ("fast", 0, "SIGTERM\ndone\n")])
def test_the_end_of_the_grace_ends_the_process_only_where_it_is_not_done(speed, code, output):
    command = [sys.executable, "-c", GRACE, "0.3", speed]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (code, output)
    assert ("training.grace" in result.stderr) == (speed == "slow")
