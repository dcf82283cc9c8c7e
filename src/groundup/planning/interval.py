"""A figure that is expected, and the two between which it will lie."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """`low` <= `expected` <= `high`; whoever makes one says which share of runs ends inside."""

    expected: float
    low: float
    high: float

    def to_json(self, digits: int) -> dict[str, float]:
        """The three, rounded."""
        return {
            name: round(value, digits)
            for name, value in (("expected", self.expected), ("low", self.low), ("high", self.high))
        }
