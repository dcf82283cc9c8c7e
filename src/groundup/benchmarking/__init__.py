"""groundup beside its peers on this machine: each in a process of its own, in turns, at the same work.

Rows say what was measured, what is not installed and what died; `contest` takes the turns, and the other files say at
what.
"""

from groundup.benchmarking.contest import Entrant, Outcome, contest
from groundup.benchmarking.cost import measure_cost
from groundup.benchmarking.decoding import DECODERS, DECODING_SHAPES, measure_decoding
from groundup.benchmarking.learning import measure_learning
from groundup.benchmarking.shapes import SHAPES, Shape
from groundup.benchmarking.training import CONTESTANTS, compare_training

__all__ = [
    "CONTESTANTS",
    "DECODERS",
    "DECODING_SHAPES",
    "SHAPES",
    "Entrant",
    "Outcome",
    "Shape",
    "compare_training",
    "contest",
    "measure_cost",
    "measure_decoding",
    "measure_learning",
]
