"""Runs one contestant: `python contestant.py FILE`, then a line of JSON for each request and each answer.

FILE defines `make(settings)`, which returns facts and a function of seconds that works about so long and returns what
it did. This is run as a file, so that an interpreter without groundup can run a peer, and so that nothing which
`import groundup` sets changes how a peer computes.
"""

import importlib.util
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any


def main(file: str) -> None:
    """Answer the settings, then requests until "end" or the end of the input."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    here = Path(__file__).resolve().parent
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != here]  # its files are no modules of a peer
    settings = json.loads(sys.stdin.readline())
    began = time.perf_counter()
    try:
        facts, work = _load(Path(file)).make(settings)
    except ModuleNotFoundError as error:
        answer({"missing": error.name or str(error)})
        return
    facts["versions"] = {"python": platform.python_version(), **facts.get("versions", {})}
    answer({**facts, "start_seconds": time.perf_counter() - began})
    for line in sys.stdin:
        request = json.loads(line)
        if "run" not in request:
            break
        began, spent = time.perf_counter(), time.process_time()
        done = work(request["run"])
        answer({"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - spent, **done})
    answer({"peak_memory_bytes": peak_memory_bytes()})


def peak_memory_bytes() -> int | None:
    """Most memory this process has held, in bytes; None where the system does not tell."""
    try:
        # not getrusage, which on Linux counts what the parent held when it started this process
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("contestant_work", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(sys.argv[1])
