"""How good a model is: loss, perplexity, accuracy and bits per byte of documents, beside models that it must beat.

Probes record what it would say next.
"""

from groundup.evaluation.baselines import gzip_bits_per_byte, token_baselines
from groundup.evaluation.probes import choose_prompts, few_shot_prompt, probe
from groundup.evaluation.reference import reference_models
from groundup.evaluation.scores import Scores
from groundup.evaluation.windows import Windows, score

__all__ = [
    "Scores",
    "Windows",
    "choose_prompts",
    "few_shot_prompt",
    "gzip_bits_per_byte",
    "probe",
    "reference_models",
    "score",
    "token_baselines",
]
