"""What a run will take and reach: minutes, memory and final loss, each with the interval it will lie in.

Every interval reaches from the least to the greatest deviation of runs that were measured (`minutes.RATIOS`,
`minutes.LATE`, `memory.RATIOS`; loss: `prediction`). A new run like n of those lies between their extremes in (n - 1)
of (n + 1) cases, whatever the distribution (order statistics: all n + 1 places of the new one are equally likely).
`python benchmarks/predictions.py` measures them, and how many runs of another list then ended inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundup.corpus import Corpus
from groundup.model import ModelShape
from groundup.planning.interval import Interval
from groundup.planning.prediction import BASELINE, FITTED, Prediction, predict


@dataclass(frozen=True)
class Expected:
    """What is said of a run before its first step."""

    minutes: Interval
    """Wall clock of the whole command."""
    memory_bytes: Interval
    """Most that its process holds."""
    bits_per_byte: Interval | str
    """Of the held-out text at the end, or the reason why nothing is said of it."""

    def to_json(self) -> dict[str, Any]:
        """For run.json and `--json`."""
        loss = self.bits_per_byte
        return {
            "minutes": self.minutes.to_json(3),
            "memory_bytes": self.memory_bytes.to_json(0),
            "bits_per_byte": {"none": loss} if isinstance(loss, str) else loss.to_json(4),
        }

    def in_words(self) -> str:
        """One line for a progress log."""
        minutes, memory, loss = self.minutes, self.memory_bytes, self.bits_per_byte
        said = (
            f"no prediction of the loss: {loss}"
            if isinstance(loss, str)
            else f"{loss.expected:.2f} bits per byte ({loss.low:.2f} to {loss.high:.2f})"
        )
        return (
            f"expected: {minutes.expected:.1f} minutes ({minutes.low:.1f} to {minutes.high:.1f}),"
            f" {memory.expected / 1e9:.2f} GB of memory ({memory.low / 1e9:.2f} to {memory.high / 1e9:.2f}), {said}"
        )


def expected_loss(
    shape: ModelShape, tokens: int, steps: int, corpus: Corpus, baselines: Mapping[str, Mapping[str, float]]
) -> Interval | str:
    """Bits per byte after `steps` updates with `tokens` tokens, by the fit that groundup comes with.

    `baselines` are `evaluation.reference_models` of the held-out text, empty where there is none.
    """
    if FITTED is None:
        return "no measured runs were fitted yet (docs/experiments.md)"
    found = predict(
        FITTED,
        bytes_seen=tokens * corpus.manifest["train_bytes"] / max(corpus.manifest["train_tokens"], 1),
        parameters=shape.parameters(),
        epochs=tokens / len(corpus.train),
        steps=steps,
        baseline=baselines.get(BASELINE, {}).get("bits_per_byte"),
    )
    return Interval(found.bits_per_byte, found.low, found.high) if isinstance(found, Prediction) else found
