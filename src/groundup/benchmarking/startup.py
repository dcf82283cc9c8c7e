"""How long it takes until something happens: importing, help, and a training run's first step, in fresh processes."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from groundup.benchmarking.contest import spread
from groundup.events import Listener, Phase, Progress, nobody

# "import torch" is the part of a first step that no program of ours can save
_STARTS = {
    "python": ["-c", "pass"],
    "import groundup": ["-c", "import groundup"],
    "groundup --help": ["-m", "groundup", "--help"],
    "import torch": ["-c", "import torch"],
}
_FIRST_STEP = """
import os, sys
import groundup
from groundup.events import Phase, Progress

phase = ""

def listen(event):
    global phase
    if isinstance(event, Phase):
        phase = event.name
    elif phase == "training" and isinstance(event, Progress) and event.done == 1:
        os._exit(0)  # what follows a step is no part of the start

groundup.train(sys.argv[1], out=sys.argv[2], steps=2, size="tiny", listen=listen)
sys.exit("the run ended without a step")
"""
_WORDS = ("river", "lantern", "garden", "engine", "letter", "winter", "harbor", "window", "forest", "clock")


def measure_starts(rounds: int, *, threads: int, listen: Listener = nobody) -> list[dict[str, Any]]:
    """Seconds of wall clock from starting a process until it has done each thing, `rounds` times in turns.

    The training run reads a text of 60 KB with `--size tiny`, and has saved, evaluated and sampled from the untrained
    model when its first step is done. Raises RuntimeError where a process fails.
    """
    listen(Phase("start-up", rounds * (len(_STARTS) + 1), "processes"))
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="groundup-start-") as folder:
        text = Path(folder) / "text.txt"
        lines = (f"{_WORDS[i % 10]} {_WORDS[i // 10 % 10]} {_WORDS[i * 7 // 3 % 10]} {i}.\n" for i in range(2_400))
        text.write_text("".join(lines), encoding="utf-8")
        for turn in range(rounds):
            first_step = ["-c", _FIRST_STEP, str(text), str(Path(folder) / f"run-{turn}")]
            for name, arguments in {**_STARTS, "first training step": first_step}.items():
                times.setdefault(name, []).append(_seconds(arguments, threads))
                listen(Progress(sum(map(len, times.values())), name))
    return [{"name": name, "seconds": spread(taken), "rounds": taken} for name, taken in times.items()]


def _seconds(arguments: list[str], threads: int) -> float:
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, env=environment, check=False)
    taken = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(
            f"{arguments[:2]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}"
        )
    return taken
