"""The readers that are compared, each in a process of its own without a network and with a limit of time."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OURS = "groundup"
ALTERNATIVES = ("markitdown", "pypdf", "kreuzberg", "docling", "pymupdf4llm")
_ONLY = {"pypdf": {".pdf"}, "pymupdf4llm": {".pdf"}}  # not offered for anything else
_NETWORK = re.compile(
    r"LocalEntryNotFound|ConnectionError|MaxRetry|resolve|network|unreachable|offline|Failed to download|huggingface",
    re.I,
)


@dataclass(frozen=True)
class Reads:
    """What a tool made of some files: `texts` in their order, None for a file that it did not read."""

    texts: list[str | None]
    status: str
    """ "read", or why not: "not read", "not installed", "needs the network", "out of time"."""
    reason: str = ""
    cpu: float = 0.0
    """Processor seconds, of its child processes too, after a first file that is not counted."""
    wall: float = 0.0
    rss: int = 0
    """Peak resident memory in bytes; for groundup, of the reader process and its parent together."""
    version: str = ""


def find_tools(pythons: Sequence[str]) -> dict[str, str]:
    """The tools that are installed: name -> the Python that has it, the first of `pythons`."""
    found = {OURS: sys.executable}
    for python in pythons:
        check = f"import importlib.util as u; print(*[t for t in {ALTERNATIVES!r} if u.find_spec(t)])"
        done = subprocess.run([python, "-c", check], capture_output=True, text=True, check=True)
        for tool in done.stdout.split():
            found.setdefault(tool, python)
    return found


def run_tool(tool: str, python: str | None, files: Sequence[Path], warm_up: Path, limit: float) -> Reads:
    """Reads `files` with `tool` in at most `limit` seconds, with one thread where a tool heeds that."""
    nothing: list[str | None] = [None] * len(files)
    if files[0].suffix not in _ONLY.get(tool, {files[0].suffix}):
        return Reads(nothing, "not for this")
    if python is None:
        return Reads(nothing, "not installed")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        command = [*_offline(), python, str(Path(__file__).with_name("worker.py")), tool, str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", "RAYON_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                [*command, str(warm_up), *map(str, files)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Reads(nothing, "out of time", f"more than {limit:g} s")
        if not out.exists():
            reason = done.stderr.strip()[-300:]
            return Reads(nothing, "needs the network" if _NETWORK.search(reason) else "crashed", reason)
        result = json.loads(out.read_text("utf-8"))
    reason = next(filter(None, result["errors"]), "")
    status = "read"
    if not any(result["texts"]):
        status = "needs the network" if _NETWORK.search(reason) else "not read"
    figures = {name: result[name] for name in ("cpu", "wall", "rss", "version")}
    return Reads(result["texts"], status, reason, **figures)


@cache
def _offline() -> tuple[str, ...]:
    for command in (("unshare", "-n"), ("unshare", "-rn")):
        try:
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            break
    print("unshare is not allowed here: the tools are not cut off from the network", file=sys.stderr)
    return ()
