"""A reading of the loss curve, as an experienced eye would give it: what it shows, and what to change."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Points = list[tuple[float, float]]

_GAP = 0.5  # nats between validation and training loss above which a model remembers rather than understands


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reading` is one of healthy, overfitting, underfitting, diverging, oscillating, too slow, plateau,
    no validation, too short to tell; `evidence` quotes the figures, `advice` names the setting to change."""

    reading: str
    evidence: str
    advice: str


def read_curve(entries: Sequence[Mapping[str, Any]], bigram: float | None = None) -> Verdict:
    """Read the entries of metrics.jsonl (losses in nats per token); lines with a key "event" are passed over.

    `bigram` is the loss of a bigram model on the same validation text, where it is known.

    The rules, the first that holds decides. "Noise" is the spread of a loss around the line through its
    neighbors; a final loss is the mean of the last tenth of the entries (5 at most); the *end* of a run is
    the last fifth of its steps.

    1. diverging: the last loss is not a number, or training ends above its lowest level by more than
       0.5 nats and four times the noise.
    2. too short to tell: fewer than four entries with a training loss.
    3. overfitting: validation stands more than 0.5 nats above training; the evidence says whether it is past its best.
    4. oscillating: the noise of the training loss is above 0.25 nats, or three or more spikes stand out by
       0.5 nats and six times the noise, or validation (five evaluations or more) zigzags by more than 0.1.
    5. no validation: no validation loss was measured (training alone cannot show overfitting).
    6. too slow: less than a tenth of the initial loss is gone.
    7. underfitting: the end brought more than 5% of all the fall so far, and more than 0.1 nats; or the best
       validation loss is still above that of the bigram model.
    8. plateau: the last 40% of the steps improved validation by less than 0.01 nats (its noise, up to 0.03).
    9. healthy: none of the above.
    """
    rows = sorted((e for e in entries if "event" not in e and _finite(e.get("step"))), key=lambda e: e["step"])
    train: Points = [(e["step"], e["train_loss"]) for e in rows if _finite(e.get("train_loss"))]
    val: Points = [(e["step"], e["val_loss"]) for e in rows if _finite(e.get("val_loss"))]
    peak = max((e["learning_rate"] for e in rows if _finite(e.get("learning_rate"))), default=None)

    return (
        _diverging(rows, train, peak)
        or _too_short(train)
        or _overfitting(train, val)
        or _oscillating(train, val, peak)
        or _no_validation(train, val)
        or _too_slow(train, val, peak)
        or _underfitting(train, val, bigram)
        or _plateau(train, val)
        or _healthy(train, val)
    )


def _diverging(rows: Sequence[Mapping[str, Any]], train: Points, peak: float | None) -> Verdict | None:
    advice = f"lower the learning rate: {_rate(peak, 1 / 3)}; or warm up longer: --set schedule.warmup=..."
    tail = [row.get("train_loss") for row in rows[-2:]]
    lost = len(tail) == 2 and not any(map(_finite, tail))
    if lost or (tail and isinstance(tail[-1], float) and not _finite(tail[-1])):
        since = f" after step {train[-1][0]:,}" if train else ""
        return Verdict("diverging", f"the training loss is not a number{since}", advice)
    if len(train) < 3:
        return None
    levels = [(train[i][0], statistics.median(v for _, v in train[max(0, i - 1) : i + 2])) for i in range(len(train))]
    low_step, low = min(levels, key=lambda point: point[1])
    last = _final(train)
    if last - low > max(0.5, 4 * _noise(train)) and levels[-1][1] - low > 0.5:
        evidence = f"training loss rose from {low:.2f} (step {low_step:,}) to {last:.2f} (step {train[-1][0]:,})"
        return Verdict("diverging", evidence, advice)
    return None


def _too_short(train: Points) -> Verdict | None:
    if len(train) >= 4:
        return None
    evidence = f"{len(train)} entries with a training loss; a reading needs at least 4"
    return Verdict(
        "too short to tell",
        evidence,
        "train longer (--minutes, --steps) or log more often: --set training.log_every=...",
    )


def _oscillating(train: Points, val: Points, peak: float | None) -> Verdict | None:
    advice = f"lower the learning rate: {_rate(peak, 0.5)}; or raise --set training.tokens_per_update=..."
    settled = train[len(train) // 4 :]  # the fall from ln(vocabulary) is steep, not noisy
    noise = _noise(settled)
    residuals = [size for _, size in _residuals(settled)]
    spikes = [size for size in residuals if size > max(0.5, 6 * noise)]
    if len(residuals) >= 4 and noise > 0.25:
        return Verdict("oscillating", f"training loss swings by ±{noise:.2f} nats from entry to entry", advice)
    if len(spikes) >= 3:
        evidence = f"{len(spikes)} spikes in the training loss, the largest {max(spikes):.2f} nats high"
        return Verdict("oscillating", evidence, advice)
    late = val[len(val) // 4 :]
    turns = sum(abs(size) > 0.1 for _, size in _residuals(late))
    if len(late) >= 5 and _noise(late) > 0.1 and turns >= (len(late) - 2) / 2:
        evidence = f"validation loss zigzags by ±{_noise(late):.2f} nats from one evaluation to the next"
        return Verdict("oscillating", evidence, advice)
    return None


def _no_validation(train: Points, val: Points) -> Verdict | None:
    if val:
        return None
    evidence = f"training loss went from {train[0][1]:.2f} to {_final(train):.2f}; nothing was held out to check it"
    return Verdict("no validation", evidence, "hold out a part of the documents: --set data.validation=0.1")


def _overfitting(train: Points, val: Points) -> Verdict | None:
    if not val:
        return None
    gap = val[-1][1] - _final(train)
    best_step, best = _best(val)
    rise = val[-1][1] - best
    past_best = rise > max(0.01, min(2 * _noise(val[len(val) // 2 :]), 0.1))
    stuck = len(val) >= 3 and _gain(val, 0.4) < 0.02 and _gain(train, 0.4) > 0.3
    if gap <= _GAP:
        return None
    evidence = (
        f"validation ({val[-1][1]:.2f}) stands {gap:.2f} nats above training ({_final(train):.2f}); "
        f"its best was {best:.2f} at step {best_step:,} of {train[-1][0]:,}"
    )
    remedies = (
        "more documents help most; else a smaller --size, --set model.dropout=0.1 or --set optimizer.weight_decay=0.2"
    )
    if past_best or stuck:
        advice = f"stop at the best: --set training.patience=5 (generation already uses it); {remedies}"
    else:
        evidence += ", so it still gains from what the model also learns by heart"
        advice = remedies
    return Verdict("overfitting", evidence, advice)


def _too_slow(train: Points, val: Points, peak: float | None) -> Verdict | None:
    first, last = train[0][1], _final(train)
    if first - last >= 0.1 * first or first < 1:  # a curve that starts low was trained before
        return None
    evidence = f"training loss went from {first:.2f} only to {last:.2f} in {train[-1][0]:,} steps"
    return Verdict(
        "too slow",
        evidence,
        f"raise the learning rate: {_rate(peak, 3)}; or train longer: --minutes, --steps",
    )


def _underfitting(train: Points, val: Points, bigram: float | None) -> Verdict | None:
    longer = "train longer: a larger --minutes or --steps; the same settings will still gain"
    if bigram is not None and val and _best(val)[1] > bigram:
        evidence = f"the best validation loss, {_best(val)[1]:.2f}, is above that of a bigram model, {bigram:.2f}"
        return Verdict("underfitting", evidence, longer)
    curve = val if len(val) >= 4 else train
    fall, end = curve[0][1] - min(v for _, v in curve), _gain(curve, 0.2)
    if fall <= 0 or end <= max(0.1, 0.05 * fall):
        return None
    name = "validation" if curve is val else "training"
    evidence = (
        f"{name} loss is still falling: the last fifth of the steps took off {end:.2f} nats "
        f"(now {_final(curve, 1):.2f}), "
        f"{end / fall:.0%} of all it has fallen"
    )
    return Verdict(
        "underfitting",
        evidence,
        longer,
    )


def _plateau(train: Points, val: Points) -> Verdict | None:
    gain = _gain(val, 0.4)
    if len(val) < 4 or gain >= max(0.01, min(_noise(val[len(val) // 2 :]), 0.03)):
        return None
    best_step, best = _best(val)
    gap = val[-1][1] - _final(train)
    evidence = (
        f"validation loss improved by {max(gain, 0):.3f} nats over the last 40% of the steps "
        f"(best {best:.2f} at step {best_step:,}, now {val[-1][1]:.2f}; {gap:.2f} above training)"
    )
    if gap > 0.2:
        advice = "the text is used up: add documents, or save the time with --set training.patience=5"
    else:
        advice = "the model is full: a larger --size; or save the time with --set training.patience=5"
    return Verdict("plateau", evidence, advice)


def _healthy(train: Points, val: Points) -> Verdict:
    best_step, best = _best(val)
    gap = val[-1][1] - _final(train)
    side = "above" if gap >= 0 else "below"
    evidence = (
        f"training loss fell from {train[0][1]:.2f} to {_final(train):.2f} and validation "
        f"from {val[0][1]:.2f} to {val[-1][1]:.2f} ({abs(gap):.2f} {side} training); "
        f"best {best:.2f} at step {best_step:,}"
    )
    if gap < -_GAP:
        return Verdict(
            "healthy",
            evidence,
            "validation is much easier than training: is there noise in the training text, or a large model.dropout?",
        )
    return Verdict("healthy", evidence, "nothing to repair; more documents and more --minutes lower the loss further")


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # JSON knows integers beyond every float
        return False


def _final(curve: Points, most: int = 5) -> float:
    """Mean of the last tenth of the entries: one at least, `most` at most."""
    count = max(1, min(most, len(curve) // 10))
    return statistics.fmean(value for _, value in curve[-count:])


def _best(val: Points) -> tuple[float, float]:
    return min(val, key=lambda point: point[1])


def _residuals(curve: Points) -> Points:
    """(step, distance from the line through the two neighbors) of every inner point."""
    inner = []
    for i in range(1, len(curve) - 1):
        (x0, y0), (x, y), (x1, y1) = curve[i - 1 : i + 2]
        line = y0 + (y1 - y0) * ((x - x0) / (x1 - x0) if x1 > x0 else 0.5)
        inner.append((x, y - line))
    return inner


def _noise(curve: Points) -> float:
    """Standard deviation of one point, estimated robustly: spikes, slope and bend do not count."""
    residuals = [size for _, size in _residuals(curve)]
    bend = statistics.median(residuals) if len(residuals) >= 3 else 0.0  # of a curve that is simply not straight
    sizes = [abs(size - bend) for size in residuals]
    # the median of |N(0,1)| is 0.6745; a residual of three independent points has variance 1 + 2/4
    return statistics.median(sizes) / 0.6745 / math.sqrt(1.5) if sizes else 0.0


def _gain(curve: Points, share: float) -> float:
    """How far the curve fell over the last `share` of its steps."""
    first, last = curve[0][0], curve[-1][0]
    start = last - share * (last - first)
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 <= start <= x1 and x1 > x0:
            around = [v for x, v in curve if abs(x - start) <= 0.05 * (last - first)]
            level = y0 + (y1 - y0) * (start - x0) / (x1 - x0)
            return (statistics.fmean(around) if len(around) >= 3 else level) - _final(curve)
    return 0.0


def _rate(peak: float | None, factor: float) -> str:
    return f"--set optimizer.learning_rate={peak * factor:.2g}" if peak else "--set optimizer.learning_rate=..."
