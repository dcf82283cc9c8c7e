"""`demo`: a real training run on documents that every installation has."""

import pydoc_data.topics
import sysconfig
import time
from pathlib import Path

from groundup.errors import UserError
from groundup.events import Listener, nobody
from groundup.runs import Run
from groundup.verbs.request import PathLike
from groundup.verbs.training import train

PACKAGES = (
    "asyncio",
    "collections",
    "concurrent",
    "email",
    "html",
    "http",
    "importlib",
    "json",
    "logging",
    "unittest",
    "urllib",
    "xml",
)
"""Of the standard library: about 2 MB of well written code."""
PROMPTS = (
    "A language model learns",
    "The loss is",
    "def __init__(self",
    "    if not isinstance(",
    "Q: What is a list?\nA: A list is a sequence of values.\n\n"
    "Q: What is a string?\nA: A string is a sequence of characters.\n\n"
    "Q: What is a token?\nA:",
)


def demo(
    *,
    out: PathLike = "demo-run",
    minutes: float = 4.0,
    listen: Listener = nobody,
    started: float | None = None,
) -> Run:
    """Train on the example library, Python's language reference and its standard library's source, into `out`.

    Raises UserError where the example library is missing, and as `train` does.
    """
    began = time.monotonic() if started is None else started
    out = Path(out)
    here = Path(__file__).resolve()
    places = (here.parents[1] / "library", here.parents[3] / "examples" / "library")  # installed; in a clone
    library = next((place for place in places if place.is_dir()), None)
    if library is None:
        raise UserError("the example library is missing", where=places[0], fix="install groundup again")
    reference = out.with_name(f"{out.name}-documents") / "python-reference"
    reference.mkdir(parents=True, exist_ok=True)
    for topic, text in pydoc_data.topics.topics.items():
        path = reference / f"{topic}.rst"
        if (
            not path.exists() or path.read_text(encoding="utf-8") != text
        ):  # unchanged files keep their time: a rerun is the same run
            path.write_text(text, encoding="utf-8")
    standard = Path(sysconfig.get_path("stdlib"))
    sources = [standard / package for package in PACKAGES if (standard / package).is_dir()]
    return train(
        [library, reference, *sources],
        out=out,
        minutes=minutes,
        settings={"samples.prompts": PROMPTS},
        listen=listen,
        started=began,
    )
