"""Rules for rates and decay that are too strong, and the rates that a remedy names."""

import math
import statistics
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from groundup.config.usual import usual_decay, usual_rates
from groundup.insight.diagnosis.finding import Sign, options
from groundup.insight.diagnosis.points import Points, points
from groundup.insight.diagnosis.record import Record

RISEN = 0.3
GROWN = 2.0
FORGOTTEN = 0.1
FAR = 3.0
"""A rate that is so many times another one is no variant of it."""
RATE = "--set optimizer.learning_rate=..."
_MATRICES, _DECAY = "optimizer.learning_rate", "optimizer.weight_decay"
_UPDATES = 5


def forgetting(record: Record) -> Sign | None:
    """The peak rate of the blocks' matrices times the weight decay is 0.1 or more. Each update multiplies the weights
    by 1 minus that product, so that half of what was learned is gone after seven updates, and from 1 on all of it
    after one, however small the decay keeps the matrices. Planned rates and decays come to 0.04 at most."""
    rate, decay = record.number(_MATRICES), record.number(_DECAY)
    if not rate or not decay or rate * decay < FORGOTTEN:
        return None
    product, usual = rate * decay, _usual(record)
    settings = {_MATRICES: usual[_MATRICES]} if rate > 2 * usual.get(_MATRICES, math.inf) else {}
    rest = settings.get(_MATRICES, rate)
    if rest * decay >= FORGOTTEN:
        settings[_DECAY] = usual.get(_DECAY) or float(f"{FORGOTTEN / 5 / rest:.2g}")
    lost = f"each update takes {product:.0%} off the weights"
    if product >= 1:
        lost = "each update erases the weights" + (" and turns their sign" if product > 1 else "")
    elif product < 0.5:
        half = math.ceil(math.log(0.5) / math.log1p(-product))
        lost += f", and half of what was learned is gone after {half} updates"
    names = {_MATRICES: "learning rate", _DECAY: "weight decay"}
    what = f"lower the {' and the '.join(names[key] for key in settings)}"
    return Sign(
        f"the peak learning rate ({rate:g}) times the weight decay ({decay:g}) is {product:.2g}: {lost}",
        with_settings(record, what, settings),
        {"learning_rate": rate, "weight_decay": decay, "product": product},
        settings,
    )


def learning_rate_too_high(record: Record) -> Sign | None:
    """The blocks' matrices grew to more than twice their first size while the model stayed behind a 5-gram model, or
    the mean loss of five updates or more in a row rose by 0.3 nats above that of the untrained model (and by three
    times what drawing so few tokens explains, 2 / sqrt(tokens)). An update has the size that the rate gives it, so that
    a rate too high adds up to matrices that are mostly old steps: runs with rates near the best one end between 0.8 and
    1.5 times the first size, with ten times that rate near 2 or above (`benchmarks/rates.py` measures it)."""
    train, moved = record.train, record.movement
    if len(train) < 4:
        return None
    first = train[0][1]
    drawn = tokens_per_update(record)
    least = max(RISEN, 6 / math.sqrt(_UPDATES * drawn) if drawn else 0.0)
    step, highest = max(_means(train), key=lambda point: point[1], default=(0, first))
    rose = record.from_start and highest - first > least
    reached = min(value for _, value in record.validation or train)
    grown = moved is not None and moved.grown > GROWN and reached > (record.baseline("5-gram") or 0.0)
    if not (rose or grown):
        return None
    factor = 0.1 if not moved or moved.grown > GROWN else 1 / 3
    settings = rates(record, factor, matrices=True)
    if (usual := _usual(record).get(_MATRICES)) and settings.get(_MATRICES, 0.0) / factor > FAR * usual:
        settings = {_MATRICES: usual}
    parts = [f"training loss rose from {first:.2f} to {highest:.2f} at step {step:,}"] if rose else []
    if moved:
        parts.append(
            f"the blocks' matrices are {moved.grown:.1f} times as large at step {moved.steps:,} as at the start"
        )
    return Sign(
        "; ".join(parts),
        f"{with_settings(record, 'lower the learning rate', settings)}; or warm up longer: --set schedule.warmup=...",
        {"first": first, "highest": highest, "highest_step": step, "grown": moved.grown if moved else None},
        settings,
    )


def rates(record: Record, factor: float, *, matrices: bool = False) -> dict[str, Any]:
    """Every peak rate of the run times `factor`, as settings, or only that of the blocks' `matrices`; the highest that
    was seen where they are not known."""
    return {name: float(f"{rate * factor:.2g}") for name, rate in _known(record, matrices).items()}


def raised(record: Record, factor: float, *, matrices: bool = False) -> dict[str, Any]:
    """`rates`, but the planned rate for each one that is far below it, be it the matrices' or another."""
    usual = _usual(record)
    low = {name: usual[name] for name, rate in _known(record).items() if rate * FAR < usual.get(name, 0.0)}
    return {**rates(record, factor, matrices=matrices), **low}


def far_above(record: Record) -> dict[str, Any]:
    """The planned rate for each one that is more than ten times as high."""
    usual = _usual(record)
    return {name: usual[name] for name, rate in _known(record).items() if rate > 10 * usual.get(name, math.inf)}


def with_settings(record: Record, what: str, settings: Mapping[str, Any]) -> str:
    """`what` with the settings that do it; where the user gave another than the planned value, that it be dropped."""
    request, usual = record.facts.get("request"), _usual(record)
    origins = request.get("origins") if isinstance(request, Mapping) else None
    origins = origins if isinstance(origins, Mapping) else {}
    own = [key for key, value in settings.items() if value == usual.get(key) and origins.get(key) == "command line"]
    drop = f"drop your {' and '.join(f'--set {key}' for key in own)}, or " if own else ""
    return f"{drop}{what}: {options(settings) or RATE}"


def tokens_per_entry(record: Record) -> float | None:
    """The median of what lies between two entries of the metrics."""
    tokens = [value for _, value in points(record.rows, "tokens")]
    steps = [later - before for before, later in pairwise(tokens) if later > before]
    return statistics.median(steps) if steps else None


def tokens_per_update(record: Record) -> float | None:
    """Read off the entries of the metrics."""
    seen = points(record.rows, "tokens")
    return seen[-1][1] / seen[-1][0] if seen and seen[-1][0] > 0 and seen[-1][1] > 0 else None


def _known(record: Record, matrices: bool = False) -> dict[str, float]:
    names = [_MATRICES]
    if record.settings.get("optimizer.name") == "muon" and not matrices:
        names += ["optimizer.embedding_rate", "optimizer.head_rate"]
    known = {name: record.number(name) for name in names}
    known[_MATRICES] = known[_MATRICES] or record.peak_rate
    return {name: rate for name, rate in known.items() if rate}


def _usual(record: Record) -> dict[str, float]:
    """What is planned for such a run; nothing where its optimizer or width are not known."""
    name, width = record.settings.get("optimizer.name"), record.number("model.width")
    if name not in ("muon", "adamw") or not width:
        return {}
    planned = {key: rate for key, (rate, _) in usual_rates(name, int(width)).items()}
    if (epochs := record.fact("plan", "epochs")) is not None:
        planned[_DECAY] = usual_decay(epochs)[0]
    return planned


def _means(curve: Points) -> Iterator[tuple[float, float]]:
    """(step, mean loss) of the entries up to each one that hold at least _UPDATES updates: an entry is the mean over
    the updates since the one before."""
    spans = [(step, step - before, value) for (before, _), (step, value) in pairwise(curve)]
    for end in range(len(spans)):
        count = total = 0.0
        for _, updates, value in reversed(spans[: end + 1]):
            count, total = count + updates, total + updates * value
            if count >= _UPDATES:
                yield spans[end][0], total / count
                break
