import io
import os
import pty
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from groundup.events import Logged, Notice, Phase, Progress, Sampled, Saved
from groundup.reporting import plain_line, terminal_listener
from groundup.reporting.live import LiveView
from groundup.reporting.terminal import PlainView, SteadyStream, draws_live

RATES = {"tokens_per_second": 18_300.0, "seconds": 26.0, "tokens_this_run": 8_192, "eta_seconds": 61.0}


def a_run(entries):
    """What training emits, abridged."""
    yield Phase("reading", 212, "files")
    for i in range(212):
        yield Progress(i + 1, f"library/{i}.pdf")
    yield Notice("3 duplicate documents were left out")
    yield Phase("training", 6000, "steps")
    for entry in entries:
        yield Progress(entry["step"], "")
        yield Logged(entry, RATES, 6000)
    yield Sampled(6000, "The river", " froze\x1b[2J early" + " and late" * 50)
    yield Saved(6000, Path("run/step-00006000"), 0.21)
    yield Notice("a gradient was not finite", "warning")


class Failing(io.StringIO):
    """A stream whose reader has gone."""

    def __init__(self, error, *, terminal=False):
        super().__init__()
        self.error, self.terminal = error, terminal

    def write(self, _):
        raise self.error

    def isatty(self):
        return self.terminal


def test_without_a_terminal_plain_lines_go_to_standard_error_and_the_log(entries, tmp_path, capsys):
    with terminal_listener(tmp_path / "progress.log") as listen:
        for event in a_run(entries):
            listen(event)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "reading: 212 files"
    assert "note: 3 duplicate documents were left out" in lines
    assert "training: 6,000 steps" in lines
    assert "warning: a gradient was not finite" in lines
    assert any(line.startswith("saved run/step-00006000") for line in lines)
    logged = [plain_line(Logged(entry, RATES, 6000)) for entry in entries]
    assert [line for line in lines if line.startswith("step ")] == logged
    assert (tmp_path / "progress.log").read_text().splitlines() == logged
    sample = next(line for line in lines if line.startswith("sample"))
    assert "The river → froze·[2J early" in sample and len(sample) < 180
    assert "\x1b" not in err


def test_a_flood_of_progress_is_a_trickle_of_lines():
    out = io.StringIO()
    view = PlainView(SteadyStream(out), quiet_seconds=0.05)
    view.on(Phase("tokenizing", 10_000_000, "bytes"))
    for i in range(20_000):
        view.on(Progress(i * 500, "corpus"))
    view._spoke -= 1
    view._pace.first = (0, view._pace.first[1] - 5)
    view.on(Progress(5_000_000, "corpus"))
    lines = out.getvalue().splitlines()
    assert 2 <= len(lines) < 50
    assert lines[0] == "tokenizing: 10 MB"
    assert (
        lines[-1].startswith("tokenizing 5 MB of 10 MB, ")
        and "/s, ETA " in lines[-1]
        and lines[-1].endswith(", corpus")
    )


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "EIO"), ValueError("I/O operation on closed file")])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_stream_that_fails_never_reaches_the_work(entries, tmp_path, error, terminal, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with terminal_listener(tmp_path / "progress.log", Failing(error, terminal=terminal)) as listen:
        for event in a_run(entries):
            listen(event)
    assert len((tmp_path / "progress.log").read_text().splitlines()) == len(entries)


def test_a_closed_stream_never_reaches_the_work(entries, tmp_path):
    stream = io.StringIO()
    with terminal_listener(tmp_path / "progress.log", stream) as listen:
        for i, event in enumerate(a_run(entries)):
            listen(event)
            if i == 230:
                stream.close()
    assert len((tmp_path / "progress.log").read_text().splitlines()) == len(entries)


def test_characters_the_stream_cannot_write_are_replaced():
    raw = io.BytesIO()
    with terminal_listener(None, io.TextIOWrapper(raw, encoding="ascii")) as listen:
        listen(Notice("ça va → oui"))
        listen(Notice("still here"))
        assert raw.getvalue().splitlines() == [b"note: ?a va ? oui", b"note: still here"]


def test_an_error_of_the_work_passes_through():
    with pytest.raises(KeyboardInterrupt), terminal_listener(None, io.StringIO()) as listen:
        listen(Phase("reading"))
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("terminal", "environment", "live"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {}, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "CI": "true"}, False),
    ],
)
def test_the_live_view_needs_a_terminal_that_wants_it(terminal, environment, live):
    assert draws_live(terminal, environment) is live


def test_a_resumed_phase_is_timed_from_where_it_began():
    out = io.StringIO()
    view = PlainView(SteadyStream(out), quiet_seconds=0)
    view.on(Phase("training", 6000, "steps"))
    view.on(Progress(3000))
    view._pace.first = (3000, view._pace.first[1] - 10)
    view.on(Progress(3100))
    assert "training 3,100 of 6,000 steps, 10/s, ETA 4:50" in out.getvalue()


def live_view(width):
    view = LiveView(SteadyStream(io.StringIO()), refresh_seconds=60)
    view.console.width = width
    return view


def shown(view):
    with view.console.capture() as captured:
        view.console.print(view.render())
    return captured.get()


def test_the_live_view_shows_phase_rate_and_file():
    view = live_view(100)
    view.on(Phase("reading", 212, "files"))
    view.on(Progress(0))
    view._pace.first = (0, view._pace.first[1] - 12)
    view.on(Progress(72, "thesis.pdf"))
    text = shown(view)
    view.close()
    for part in ("reading", "34%", "72/212 files", "6/s", "ETA 23 s", "thesis.pdf", "━"):
        assert part in text


def test_the_live_view_shows_the_figures_of_training(entries):
    view = live_view(160)
    for event in a_run(entries):
        view.on(event)
    text = shown(view)
    view.close()
    best = min((e for e in entries if e["val_loss"]), key=lambda e: e["val_loss"])
    parts = [
        "training",
        "100%",
        "6,000/6,000 steps",
        "ETA 1:01",
        "18.3k",
        "1.0e-03",
        "▁",
        "The river",
        "froze",
    ]
    parts += [f"{entries[-1]['train_loss']:.3f}", f"{best['val_loss']:.3f} at {best['step']:,}", "saved"]
    for part in parts:
        assert part in text, part
    assert "\x1b[2J" not in text


@pytest.mark.parametrize("width", [1, 2, 8, 20, 40])
def test_the_live_view_fits_a_narrow_terminal(entries, width):
    view = live_view(width)
    for event in a_run(entries):
        view.on(event)
    text = shown(view)
    view.close()
    assert text.count("\n") <= 5


def test_a_finished_phase_and_every_notice_stay_on_the_screen(entries):
    view = live_view(100)
    for event in a_run(entries):
        view.on(event)
    view.close()
    text = view._out._stream.getvalue()
    assert "✓" in text and "reading" in text and "212 files" in text
    assert "a gradient was not finite" in text
    assert text.endswith("\x1b[?25h")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a pseudo-terminal")
def test_in_a_terminal_ctrl_c_gives_the_cursor_back_and_results_stay_apart(tmp_path):
    program = """
        import time
        from groundup.events import Phase, Progress
        from groundup.reporting import terminal_listener
        with terminal_listener() as listen:
            listen(Phase("reading", 100, "files"))
            listen(Progress(40, "thesis.pdf"))
            time.sleep(0.6)
            print("a result", flush=True)
            raise KeyboardInterrupt
    """
    master, slave = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI")}
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=environment | {"TERM": "xterm", "COLUMNS": "80"},
        timeout=60,
        check=False,
    )
    os.close(slave)
    screen = os.read(master, 1 << 20).decode()
    os.close(master)
    assert process.stdout == b"a result\n"
    assert "\x1b[?25l" in screen and screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")
    assert "40/100 files" in screen
    assert "KeyboardInterrupt" in screen


def test_the_corrected_length_of_a_run_replaces_the_planned_one():
    view = live_view(100)
    view.on(Phase("training", 803, "steps"))
    view.on(Progress(903))
    view.on(Logged({"step": 903, "train_loss": 2.0, "val_loss": None}, RATES, 1204))
    text = shown(view)
    view.close()
    assert "903/1,204 steps" in text and "75%" in text


def test_the_sample_line_shows_generated_text_after_a_long_prompt():
    view = live_view(80)
    view.on(Phase("training", 10, "steps"))
    view.on(Sampled(5, "The keeper climbed the steps of the tower, " * 4 + "lit the lamp and", " wrote the hour " * 9))
    line = next(line for line in shown(view).splitlines() if "→" in line)
    view.close()
    assert "lit the lamp and" in line and line.count("wrote the hour") >= 2


@pytest.mark.parametrize("phase", [Phase("training", 100, "steps"), Phase("calibrating")])
def test_a_phase_that_was_broken_off_is_called_stopped(phase, monkeypatch):
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    stream.isatty = lambda: True
    with pytest.raises(KeyboardInterrupt), terminal_listener(None, stream) as listen:
        listen(phase)
        listen(Progress(40))
        raise KeyboardInterrupt
    last = stream.getvalue().rsplit(phase.name, 1)[1]
    assert "stopped" in last and "━" not in last and "ETA" not in last


def test_one_of_a_thing_is_in_the_singular():
    out = io.StringIO()
    view = PlainView(SteadyStream(out))
    for total in (1, 2):
        view.on(Phase("reading", total, "files"))
    assert out.getvalue().splitlines() == ["reading: 1 file", "reading: 2 files"]
    live = live_view(100)
    live.on(Phase("reading", 1, "files"))
    live.on(Progress(1))
    assert "1/1 file " in shown(live)
    live.close()
