"""What long work tells whoever listens: reading and training emit these, the report room draws them.

Work takes a `listen: Listener` and calls it; it knows no screen, and a listener never changes the work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of work begins: `name` such as "reading", `total` units of it where known."""

    name: str
    total: int | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` units of the current phase are complete; `note` says what is at hand (a file, a loss)."""

    done: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry of metrics.jsonl was made; `rates` (tokens_per_second, seconds) come from a clock and are not in it."""

    entry: Mapping[str, Any]
    rates: Mapping[str, float]
    total_steps: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """A text was drawn from the model in training."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint was published."""

    step: int
    path: Path
    seconds: float


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


Event = Phase | Progress | Logged | Sampled | Saved | Notice
Listener = Callable[[Event], None]


def nobody(_: Event) -> None:
    """The listener of work that nobody watches."""
