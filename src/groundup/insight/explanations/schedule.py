"""The learning rate over the updates of a run: warmup, the stretch at the peak, the decay to the minimum."""

from collections.abc import Sequence
from typing import Any

from groundup.config import Config, Schedule
from groundup.insight.rates import peak_rates
from groundup.insight.subject import Subject
from groundup.planning import warmup_steps
from groundup.training import multiplier

EXAMPLE_STEPS = 1_000  # without a run nothing has decided them
POINTS = 240  # of the curve: more than a terminal has columns


def explain_schedule(subject: Subject | None) -> dict[str, Any]:
    """The run's own schedule, or the default one over EXAMPLE_STEPS updates (`example` is then true).

    `curve` and `named` hold pairs of `update`, the index of an optimizer step from 0, and `multiplier`, the share of
    the peak rate it is made with; in `named` also `rates`, by part of the model. `recorded` compares the rates in
    metrics.jsonl with the function: it is `training.schedules.multiplier`, whose formulas are in its docstring.
    """
    config = subject.config if subject else Config()
    schedule = config.schedule
    horizon = _horizon(subject) if subject else [(0, EXAMPLE_STEPS)]
    warmup = schedule.warmup if schedule.warmup is not None else warmup_steps(horizon[-1][1])
    total, peaks = horizon[-1][1], peak_rates(config.optimizer)

    def at(update: int) -> dict[str, Any]:
        return {"update": update, "multiplier": multiplier(schedule, update, horizon, warmup)}

    named = {"first update": 0}
    if 0 < warmup < total:
        named["end of warmup"] = warmup - 1
    falls = _first_below_peak(schedule, horizon, warmup)
    if falls < total:
        named["last at the peak"] = falls - 1
    named |= {"halfway": (total - 1) // 2, "last update": total - 1}
    spaced = sorted({round(i * (total - 1) / (POINTS - 1)) for i in range(POINTS)})
    return {
        "example": subject is None,
        "shape": schedule.shape,
        "warmup": warmup,
        "decay": schedule.decay if schedule.shape == "wsd" else None,
        "minimum": None if schedule.shape == "constant" else schedule.minimum,
        "updates": total,
        "horizon": [list(entry) for entry in horizon],
        "peaks": peaks,
        "named": [
            {"name": name, **(row := at(update)), "rates": {of: peak * row["multiplier"] for of, peak in peaks.items()}}
            for name, update in sorted(named.items(), key=lambda entry: entry[1])
        ],
        "curve": [at(update) for update in spaced],
        "recorded": _recorded(subject, warmup, horizon) if subject else None,
    }


def _horizon(subject: Subject) -> list[tuple[int, int]]:
    entries = subject.run.info.get("horizon") or [(0, subject.config.training.steps or EXAMPLE_STEPS)]
    return [(int(start), int(steps)) for start, steps in entries]


def _first_below_peak(schedule: Schedule, horizon: Sequence[tuple[int, int]], warmup: int) -> int:
    """The first update after warmup whose rate is below the peak, by bisection: from there the rate never rises."""
    low, high = min(warmup, horizon[-1][1]), horizon[-1][1]
    while low < high:
        middle = (low + high) // 2
        if multiplier(schedule, middle, horizon, warmup) < 1:
            high = middle
        else:
            low = middle + 1
    return low


def _recorded(subject: Subject, warmup: int, horizon: Sequence[tuple[int, int]]) -> dict[str, Any] | None:
    """Entries of metrics.jsonl with a rate, and how far the largest of them is from what the function says.

    An entry of step n is made after n updates and holds the rate of the last one.
    """
    peak = subject.config.optimizer.learning_rate
    rows = [row for row in subject.metrics if row.get("learning_rate") is not None]
    if peak is None or not rows:
        return None
    differences = [
        abs(row["learning_rate"] - peak * multiplier(subject.config.schedule, max(row["step"] - 1, 0), horizon, warmup))
        for row in rows
    ]
    return {"entries": len(rows), "updates": rows[-1]["step"], "largest_difference": max(differences)}
