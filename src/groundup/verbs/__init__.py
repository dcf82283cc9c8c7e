"""One function for each verb, composed from the rooms; `groundup.train(...)` does what `groundup train` does.

They are imported on first use: reading documents needs no torch, which takes two seconds to load. So no module here may
have the name of a verb.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundup.verbs.benchmarking import benchmark
    from groundup.verbs.comparing import compare
    from groundup.verbs.data_curve import scaling
    from groundup.verbs.demonstration import demo
    from groundup.verbs.diagnosing import diagnose
    from groundup.verbs.documents import prepare, read
    from groundup.verbs.evaluation import evaluate
    from groundup.verbs.explaining import explain
    from groundup.verbs.generation import chat, generate
    from groundup.verbs.inspection import doctor
    from groundup.verbs.looking import batch
    from groundup.verbs.planning import plan
    from groundup.verbs.reporting import report
    from groundup.verbs.tokens import tokenize
    from groundup.verbs.training import resume, train

_MODULES = {
    "batch": "looking",
    "benchmark": "benchmarking",
    "chat": "generation",
    "compare": "comparing",
    "demo": "demonstration",
    "diagnose": "diagnosing",
    "doctor": "inspection",
    "evaluate": "evaluation",
    "explain": "explaining",
    "generate": "generation",
    "plan": "planning",
    "prepare": "documents",
    "read": "documents",
    "report": "reporting",
    "resume": "training",
    "scaling": "data_curve",
    "tokenize": "tokens",
    "train": "training",
}

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
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
