"""The report room listens to events and reads a run directory's files: terminal view, plots, summary, page.

It computes nothing about the model, and importing it loads neither matplotlib nor rich.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from groundup.reporting.progress import ProgressLog, plain_line
from groundup.reporting.terminal import terminal_listener
from groundup.reporting.terminal_curve import terminal_curve

if TYPE_CHECKING:
    from groundup.reporting.benchmarks import describe_training_benchmark, draw_training_benchmark
    from groundup.reporting.comparison import draw_comparison
    from groundup.reporting.corpus import describe_corpus, describe_ledger, describe_origin, describe_pairs
    from groundup.reporting.cost import describe_cost, draw_cost
    from groundup.reporting.curves import draw_loss_by_epoch, draw_training_curve
    from groundup.reporting.damage import describe_damage
    from groundup.reporting.decoding import describe_decoding, draw_decoding
    from groundup.reporting.diagnosis import describe_diagnosis
    from groundup.reporting.explanations import describe_explanation
    from groundup.reporting.glance import describe_curve
    from groundup.reporting.learning import describe_learning, draw_learning
    from groundup.reporting.page import write_report
    from groundup.reporting.scaling import describe_scaling, draw_scaling
    from groundup.reporting.summary import summarize
    from groundup.reporting.tables import describe_comparison, describe_plan, describe_scores
    from groundup.reporting.tokens import describe_tokens

_LATER = {
    "describe_comparison": "tables",
    "describe_corpus": "corpus",
    "describe_cost": "cost",
    "describe_curve": "glance",
    "describe_decoding": "decoding",
    "describe_damage": "damage",
    "describe_diagnosis": "diagnosis",
    "describe_explanation": "explanations",
    "describe_learning": "learning",
    "describe_ledger": "corpus",
    "describe_origin": "corpus",
    "describe_pairs": "corpus",
    "describe_plan": "tables",
    "describe_scaling": "scaling",
    "describe_scores": "tables",
    "describe_tokens": "tokens",
    "describe_training_benchmark": "benchmarks",
    "draw_comparison": "comparison",
    "draw_cost": "cost",
    "draw_decoding": "decoding",
    "draw_learning": "learning",
    "draw_loss_by_epoch": "curves",
    "draw_scaling": "scaling",
    "draw_training_benchmark": "benchmarks",
    "draw_training_curve": "curves",
    "summarize": "summary",
    "write_report": "page",
}

__all__ = [
    "ProgressLog",
    "describe_comparison",
    "describe_corpus",
    "describe_cost",
    "describe_curve",
    "describe_damage",
    "describe_decoding",
    "describe_diagnosis",
    "describe_explanation",
    "describe_learning",
    "describe_ledger",
    "describe_origin",
    "describe_pairs",
    "describe_plan",
    "describe_scaling",
    "describe_scores",
    "describe_tokens",
    "describe_training_benchmark",
    "draw_comparison",
    "draw_cost",
    "draw_decoding",
    "draw_learning",
    "draw_loss_by_epoch",
    "draw_scaling",
    "draw_training_benchmark",
    "draw_training_curve",
    "plain_line",
    "summarize",
    "terminal_curve",
    "terminal_listener",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
