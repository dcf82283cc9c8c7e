"""Starting: every stage is timed in processes of its own, and what is loaded before it is needed stays little."""

import json
import subprocess
import sys

import pytest

from groundup.benchmarking import startup
from groundup.benchmarking.startup import measure_starts
from groundup.events import Event, Phase, Progress

HEAVY = {"torch", "numpy", "matplotlib", "transformers", "tokenizers", "pyarrow", "pydantic", "PIL", "pypdfium2"}
# 87 and 327 with Python 3.11 when this was written: other versions of Python and cyclopts load a few more
IMPORT_MODULES, HELP_MODULES = 110, 400


def loaded(code: str) -> list[str]:
    """The modules that `code` loads beside those of the interpreter itself."""
    script = (
        f"import sys, json; before = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_loads_little_and_nothing_heavy() -> None:
    modules = loaded("import groundup")
    assert "groundup" in modules
    assert not HEAVY & set(modules)
    assert [name for name in modules if name.startswith("groundup")] == ["groundup"]
    assert len(modules) <= IMPORT_MODULES


def test_help_loads_the_command_line_alone() -> None:
    modules = loaded(
        "from groundup.cli import main\ntry: main(['--help'])\nexcept SystemExit as end: assert not end.code"
    )
    rooms = {name.split(".")[1] for name in modules if name.startswith("groundup.")}
    assert not HEAVY & set(modules)
    assert rooms <= {"cli", "cores", "errors", "events", "verbs"}  # of the verbs the list of what explain shows
    assert len(modules) <= HELP_MODULES


def test_each_stage_is_timed_in_turns() -> None:
    heard: list[Event] = []
    rows = measure_starts(1, threads=1, listen=heard.append)
    names = ["python", "import groundup", "groundup --help", "import torch", "first training step"]
    assert [row["name"] for row in rows] == names
    assert all(len(row["rounds"]) == 1 and row["seconds"]["median"] > 0 for row in rows)
    assert [event.total for event in heard if isinstance(event, Phase)] == [5]
    assert [event.note for event in heard if isinstance(event, Progress)] == names


def test_a_process_that_fails_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "_STARTS", {"broken": ["-c", "raise SystemExit('no torch here')"]})
    with pytest.raises(RuntimeError, match="no torch here"):
        measure_starts(1, threads=1)
