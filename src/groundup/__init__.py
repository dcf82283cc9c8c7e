"""groundup trains language models from the ground up on your own documents, and shows you what they learn.

Every verb of the command line is a function here: `groundup.train("documents", out="run", minutes=3)`. They are
imported on first use, so that `import groundup` costs nothing.
"""

import os
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundup.verbs import (
        batch,
        benchmark,
        chat,
        compare,
        demo,
        diagnose,
        doctor,
        evaluate,
        explain,
        generate,
        plan,
        prepare,
        read,
        report,
        resume,
        scaling,
        tokenize,
        train,
    )

# Where anything else runs on the machine, OpenMP threads that spin at each barrier for GNU's default of milliseconds
# made a step 8 times slower (measured: 2,150 ms against 267 ms); in a quieter minute it cost 8%. It is read
# once, when torch is first imported; a value of the user's own stays.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = version("groundup")
__all__ = [
    "batch",
    "benchmark",
    "chat",
    "compare",
    "demo",
    "diagnose",
    "doctor",
    "evaluate",
    "explain",
    "generate",
    "plan",
    "prepare",
    "read",
    "report",
    "resume",
    "scaling",
    "tokenize",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("groundup.verbs"), name)
    raise AttributeError(f"module 'groundup' has no attribute {name!r}")
