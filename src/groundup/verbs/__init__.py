"""One function for each verb, composed from the rooms; `groundup.train(...)` does what `groundup train` does."""

from groundup.verbs.demo import demo
from groundup.verbs.evaluate import evaluate
from groundup.verbs.generate import chat, generate
from groundup.verbs.plan import plan
from groundup.verbs.read import prepare, read
from groundup.verbs.report import compare, report
from groundup.verbs.tokenize import tokenize
from groundup.verbs.train import resume, train

__all__ = [
    "chat",
    "compare",
    "demo",
    "evaluate",
    "generate",
    "plan",
    "prepare",
    "read",
    "report",
    "resume",
    "tokenize",
    "train",
]
