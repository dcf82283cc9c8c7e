"""A trained model writes: prompts to texts, in batches, streamed, from seeded draws.

`chat` is a talk with it in the terminal.
"""

from groundup.inference.chat import chat
from groundup.inference.generate import Generation, generate
from groundup.inference.packing import PackedModel
from groundup.inference.sampling import SamplingSettings, choose, probabilities
from groundup.inference.weights import Precision

__all__ = [
    "Generation",
    "PackedModel",
    "Precision",
    "SamplingSettings",
    "chat",
    "choose",
    "generate",
    "probabilities",
]
