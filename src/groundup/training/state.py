"""All that resuming needs beside weights and optimizer: a few integers, sums and the best evaluation so far."""

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from groundup.errors import UserError
from groundup.evaluation import Scores
from groundup.runs import read_json


@dataclass
class Sums:
    """What was learned from since the entry of the metrics before: the next entry is their mean."""

    nll: float = 0.0
    correct: int = 0
    tokens: int = 0
    bytes: int = 0
    updates: int = 0
    clipped: int = 0
    """Updates whose gradient was longer than `optimizer.clip`."""

    def add(self, other: "Sums") -> None:
        """Count `other` too."""
        self.nll += other.nll
        self.correct += other.correct
        self.tokens += other.tokens
        self.bytes += other.bytes
        self.updates += other.updates
        self.clipped += other.clipped

    def scores(self) -> Scores:
        """Their mean."""
        return Scores.from_sums(self.nll, self.correct, self.tokens, self.bytes)


@dataclass
class State:
    """Where a run is. There is no generator state: every draw is named by (seed, purpose, step)."""

    step: int = 0
    """Optimizer steps done."""
    tokens: int = 0
    """Training tokens learned from."""
    window: Sums = field(default_factory=Sums)
    """Since the last entry of the metrics."""
    grad_norm: float | None = None
    """Of the last update, before clipping."""
    best_step: int | None = None
    """Step of the lowest validation loss so far; of the newest evaluation where nothing is held out."""
    best_loss: float | None = None
    stale: int = 0
    """Evaluations since then."""
    evaluations: int = 0
    """Evaluations so far."""
    entries: int = 0
    """Entries of metrics.jsonl so far."""
    bad_steps: int = 0
    """Steps in a row whose update was skipped."""
    scale: float = 1.0
    """Loss scale (float16 only)."""
    scale_streak: int = 0
    """Finite steps since the scale last changed."""
    losses: tuple[float, ...] = ()
    """Of the last `health.window` updates that were finite, nats per token: what tells a spike."""
    norms: tuple[float, ...] = ()
    """Their gradient norms, before clipping."""
    spikes: int = 0
    """Updates in a row whose loss was a spike."""
    skipped: int = 0
    """Batches left out by going back."""
    rewinds: int = 0
    """How often the run had gone back."""

    @property
    def batch(self) -> int:
        """The number of the batch that the next step learns from."""
        return self.step + self.skipped

    def copy(self) -> "State":
        """The same, apart from this one."""
        return replace(self, window=replace(self.window))

    def become(self, other: "State") -> None:
        """Take every value from `other`."""
        for entry in fields(self):
            setattr(self, entry.name, getattr(other, entry.name))

    def to_json(self) -> str:
        """The content of state.json; floats survive exactly."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> "State":
        """The state that `to_json` wrote; raises UserError naming the file when it is not one."""
        raw = read_json(path)
        try:
            state = cls(**{**_checked(cls, raw), "window": _window(raw["window"])})
            if len(state.losses) != len(state.norms):
                raise ValueError("losses and norms are of different lengths")
            return state
        except (TypeError, KeyError, ValueError) as error:
            raise UserError(f"is not a training state: {error}", where=path) from None


def _window(raw: Any) -> Sums:
    window = Sums(**_checked(Sums, raw, "window."))
    if (window.tokens > 0) != (window.bytes > 0):
        raise ValueError(f"window.bytes is {window.bytes} and window.tokens {window.tokens}: both are 0, or neither")
    if window.correct > window.tokens:
        raise ValueError(f"window.correct is {window.correct}, more than window.tokens, which is {window.tokens}")
    if window.clipped > window.updates:
        raise ValueError(f"window.clipped is {window.clipped}, more than window.updates, which is {window.updates}")
    return window


_COUNTS, _NUMBERS = (int, int | None), (float, float | None)
_LONGEST = 1 << 12  # as health.window may be
_LARGEST = 1e300  # differences of what is smaller are finite


def _checked(kind: type[State] | type[Sums], raw: Any, within: str = "") -> dict[str, Any]:
    """`raw` where every number is one of its field's type: counts from 0, finite numbers; raises ValueError if not,
    naming the key, which is `within` another."""
    if not isinstance(raw, dict):
        raise ValueError(f"{str(raw)[:50]} is no object")
    for entry in fields(kind):
        value = raw.get(entry.name, entry.default)
        if entry.type == tuple[float, ...]:
            raw = {**raw, entry.name: _finite(entry.name, value)}
            continue
        if entry.type not in (*_COUNTS, *_NUMBERS) or (value is None and entry.default is None):
            continue
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise ValueError(f"{within}{entry.name} is more than such a number can be")
        if entry.type in _COUNTS and (type(value) is not int or value < 0):
            raise ValueError(f"{within}{entry.name} is {str(value)[:50]}, not a count")
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"{within}{entry.name} is {str(value)[:50]}, not a number")
    return raw


def _finite(name: str, values: Any) -> tuple[float, ...]:
    if not isinstance(values, list | tuple) or len(values) > _LONGEST:
        raise ValueError(f"{name} is no list of numbers")
    if not all(type(value) is float and abs(value) <= _LARGEST for value in values):
        raise ValueError(f"{name} holds what is no number that training could have had")
    return tuple(values)
