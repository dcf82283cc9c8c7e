"""Rows 11 and 13: a signal at any moment saves and ends with exit code 75; a second Ctrl-C ends at once."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from at_step import train_command
from torture import SETTINGS, STEPS, differences, results

from groundup import verbs
from groundup.cli import main
from groundup.errors import Stopped
from groundup.events import Event, Logged, Phase, Progress
from groundup.runs import published, read_entries, verify
from groundup.training import checkpoint as checkpoint_module
from groundup.training import figures, loop

pytestmark = pytest.mark.usefixtures("undrawn")
InChild = Callable[..., int]


def ask(name: str = "SIGTERM") -> None:
    os.kill(os.getpid(), getattr(signal, name))


def ask_in_microbatch(number: int, name: str, seen: list[int]) -> None:
    """Send the signal in the `number`-th microbatch of step 10; `seen` grows with each of them."""
    gradients = loop.gradients

    def asked(job: Any, step: int, scale: float, forward: Callable[..., Any]) -> Any:
        def counted(*arguments: Any) -> Any:
            seen.append(step)
            if seen == [9] * number:
                ask(name)
            return forward(*arguments)

        return gradients(job, step, scale, counted if step == 9 else forward)

    loop.gradients = asked


def stop_in_a_step(corpus: Path, out: Path, in_child: InChild, name: str) -> str:
    """What the command says whose training is asked to stop in the middle of step 10."""

    def work() -> None:
        ask_in_microbatch(1, name, [])
        train_command(corpus, out)

    said = out.with_name("said")
    assert in_child(work, output=said) == 75, said.read_text()
    return said.read_text()


def assert_stopped_and_resumed(out: Path, said: str, name: str, whole: dict[str, bytes]) -> None:
    assert f"stopped by {name}" in said and f"groundup resume '{out}'" in said and "Traceback" not in said
    assert verify(out / "step-00000010") == []
    info = json.loads((out / "run.json").read_text())
    assert (info["status"], info["stop_reason"]) == ("stopped", f"stopped by {name}")
    verbs.resume(out)
    assert differences(results(out), whole) == []


def test_row_11_sigterm_in_a_step_saves_exits_with_75_and_says_how_to_go_on(
    corpus_dir: Path, tmp_path: Path, in_child: InChild, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "a run"
    assert_stopped_and_resumed(out, stop_in_a_step(corpus_dir, out, in_child, "SIGTERM"), "SIGTERM", whole)


def test_row_11_sigterm_does_not_wait_for_the_other_microbatches(
    corpus_dir: Path, tmp_path: Path, in_child: InChild
) -> None:
    def work() -> None:
        seen: list[int] = []
        ask_in_microbatch(2, "SIGTERM", seen)
        try:
            train_command(corpus_dir, tmp_path / "run", training__microbatch=1)
        finally:
            (tmp_path / "seen").write_text(str(seen))

    assert in_child(work) == 75
    assert (tmp_path / "seen").read_text() == "[9, 9]"
    assert max(published(tmp_path / "run")) == 9


def stopped_by(work: Callable[[], object]) -> Callable[[], None]:
    """`work` with the exit code of the command line."""

    def stop() -> None:
        try:
            work()
        except Stopped as stopped:
            print(stopped)
            raise SystemExit(75) from None

    return stop


def test_row_11_sigterm_in_an_evaluation_leaves_it_to_resume(
    corpus_dir: Path, tmp_path: Path, in_child: InChild, whole: dict[str, bytes]
) -> None:
    """It is not scored to its end: no entry was made."""
    out, score = tmp_path / "run", figures.score

    def asked(model: Any, windows: Any, *, poll: Callable[[], None], **how: Any) -> Any:
        if (out / "step-00000004").exists():
            batches = [0]

            def counting() -> None:
                batches[0] += 1
                if batches[0] == 1:
                    ask()
                poll()

            try:
                return score(model, windows, poll=counting, **how)
            finally:
                (tmp_path / "batches").write_text(str(batches[0]))
        return score(model, windows, poll=poll, **how)

    def work() -> None:
        figures.score = asked
        train_command(corpus_dir, out)

    assert in_child(work) == 75
    assert (tmp_path / "batches").read_text() == "1"
    assert read_entries(out)[-1]["step"] == 6 and max(published(out)) == 8
    verbs.resume(out)
    assert differences(results(out), whole) == []


def test_row_11_sigterm_while_the_best_checkpoint_is_scored(
    corpus_dir: Path, tmp_path: Path, in_child: InChild, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "run"

    def listen(event: Event) -> None:
        if isinstance(event, Phase) and event.name == "evaluating the best checkpoint":
            ask()

    def work() -> None:
        verbs.train(corpus_dir, out=out, steps=STEPS, settings=SETTINGS, listen=listen)

    assert in_child(stopped_by(work)) == 75
    verbs.resume(out)
    assert differences(results(out), whole) == []


@pytest.mark.parametrize("asynchronous", [True, False], ids=["beside training", "waited for"])
def test_row_11_sigterm_in_a_save_lets_it_end(
    corpus_dir: Path, tmp_path: Path, in_child: InChild, whole: dict[str, bytes], asynchronous: bool
) -> None:
    out = tmp_path / "run"

    def work() -> None:
        save_files = checkpoint_module.save_files

        def asked(model: Any, directory: Path, **how: Any) -> None:
            if "step-00000008" in directory.name:
                ask()
                time.sleep(0.1)  # of a save that takes its time
            save_files(model, directory, **how)

        checkpoint_module.save_files = asked
        train_command(corpus_dir, out, checkpoint__asynchronous=asynchronous)

    assert in_child(work) == 75
    assert 8 in published(out) and all(verify(path) == [] for path in published(out).values())
    assert list(out.glob(".step-*")) == []
    verbs.resume(out)
    assert differences(results(out), whole) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_row_11_a_signal_while_reading_stops_and_the_same_command_goes_on(
    documents: Path, tmp_path: Path, in_child: InChild, name: str
) -> None:
    def interrupted(event: Event) -> None:
        if isinstance(event, Progress) and event.done == 5:
            ask(name)

    def work(**how: Any) -> Any:
        return verbs.train(documents, out=tmp_path / "run", steps=2, settings=SETTINGS, **how)

    assert in_child(stopped_by(lambda: work(listen=interrupted)), output=tmp_path / "said") == 75
    said = (tmp_path / "said").read_text()
    assert f"stopped by {name}" in said and "groundup resume" in said
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "stopped"
    assert work().info["status"] == "finished"


@pytest.mark.parametrize("dies", [False, True], ids=["the compiler goes on", "the compiler dies of it"])
@pytest.mark.parametrize("resumed", [False, True], ids=["at the start", "on resume"])
def test_row_11_sigterm_while_compiling_ends_with_75(
    corpus_dir: Path, run: Path, tmp_path: Path, in_child: InChild, resumed: bool, dies: bool
) -> None:
    """A terminal and a scheduler signal the whole group: that the compiler dies of it is no error of ours."""
    out = run if resumed else tmp_path / "new"

    def compile_slowly(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def compiled(*arguments: Any) -> Any:
            ask()
            if dies:
                raise RuntimeError("C++ compile error: g++ was terminated by signal 15")
            return function(*arguments)

        return compiled

    def work() -> None:
        torch.compile = compile_slowly
        if resumed:
            main(["resume", str(out), "--set", "device.compile=on"])
        train_command(corpus_dir, out, device__compile="on")

    said = tmp_path / "said"
    assert in_child(work, output=said) == 75, said.read_text()
    assert "stopped by SIGTERM" in said.read_text() and "Traceback" not in said.read_text()
    assert verbs.resume(out, settings={"device.compile": "off"}).info["status"] == "finished"


@pytest.mark.slow
def test_row_11_sigterm_while_a_real_compiler_works_ends_with_75(
    corpus_dir: Path, tmp_path: Path, start: Callable[..., Any]
) -> None:
    out, sets = tmp_path / "run", [f"--set={key}={value}" for key, value in SETTINGS.items()]
    running = start(
        "train", corpus_dir, "--out", out, "--steps", STEPS, *sets, "--set=device.compile=on",
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache"), TORCHINDUCTOR_COMPILE_THREADS="1",
    )  # fmt: skip

    def compiling() -> bool:
        if "needs a C++ compiler" in running.log.read_text():
            pytest.skip("there is no compiler")
        family = psutil.Process(running.process.pid).children(recursive=True)
        return any(child.name().startswith(("cc1", "clang")) for child in family if child.is_running())

    running.wait_for(compiling)
    os.killpg(running.process.pid, signal.SIGTERM)
    code, output = running.end(60)
    assert code == 75 and "Traceback" not in output, output
    assert "stopped by SIGTERM" in output
    assert verbs.resume(out, settings={"device.compile": "off"}).info["status"] == "finished"


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_row_13_ctrl_c_and_a_hangup_save_and_exit_with_75(
    corpus_dir: Path, tmp_path: Path, in_child: InChild, whole: dict[str, bytes], name: str
) -> None:
    out = tmp_path / "a run"
    assert_stopped_and_resumed(out, stop_in_a_step(corpus_dir, out, in_child, name), name, whole)


def test_row_13_ctrl_c_twice_quits_at_once(
    corpus_dir: Path, tmp_path: Path, in_child: InChild, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "run"

    def twice(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 10:
            ask("SIGINT")
            ask("SIGINT")

    assert in_child(lambda: verbs.train(corpus_dir, out=out, steps=STEPS, settings=SETTINGS, listen=twice)) == 75
    assert json.loads((out / "run.json").read_text())["status"] == "training"
    assert not (out / "step-00000010").exists()
    verbs.resume(out)
    assert differences(results(out), whole) == []
