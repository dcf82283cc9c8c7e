import os
import signal
import subprocess
import sys
import threading

import pytest

from groundup.errors import EXIT_STOPPED, Stopped
from groundup.runs import stop_on_signals

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
