"""Rules for how training went: whether it began where it should, stayed finite, and went down quietly."""

import math
import statistics
from typing import Any

from groundup.insight.diagnosis.finding import Sign, options
from groundup.insight.diagnosis.points import Points, final, is_number, levels, lowest, noise, points, residuals
from groundup.insight.diagnosis.rates import RATE, rates, tokens_per_entry
from groundup.insight.diagnosis.record import Record

FIRST_LOSS = 0.3
SPIKES = 3
CLIPPED = 0.9
RISE = 0.5


def first_loss(record: Record) -> Sign | None:
    """The loss at step 0 is more than 0.3 nats from ln V. A model that knows nothing gives each of V tokens the
    probability 1/V; groundup's start is within 0.01 of that untied, and within 0.3 tied."""
    if record.vocabulary is None or not record.train or record.train[0][0] != 0:
        return None
    first, expected = record.train[0][1], math.log(record.vocabulary)
    if abs(first - expected) <= FIRST_LOSS:
        return None
    settings = {"model.tied": False} if record.settings.get("model.tied") else {}
    how = (
        "its first predictions are confident and wrong: the first steps only undo that"
        if first > expected
        else "it knew something before it learned: it did not begin from new weights"
    )
    remedy = "begin again from new weights, with another --out"
    return Sign(
        f"the first loss is {first:.2f}, and ln {record.vocabulary:,} is {expected:.2f}; {how}",
        remedy + (f"; {options(settings)} starts with every token equally likely" if settings else ""),
        {"first_loss": first, "ln_vocabulary": expected, "vocabulary": record.vocabulary},
        settings,
    )


def not_a_number(record: Record) -> Sign | None:
    """Training ended because its numbers were not finite, or its last entry (its last two, where they are null) has
    no finite training loss. A single update that is not finite is skipped and does not count."""
    tail = [row.get("train_loss") for row in record.rows[-2:]]
    lost = len(tail) == 2 and not any(map(is_number, tail))
    lost = lost or bool(tail and isinstance(tail[-1], float) and not is_number(tail[-1]))
    weights = [row for row in record.happened if row.get("event") == "weights_not_finite"]
    if not (lost or weights or record.facts.get("stop_reason") == "not finite"):
        return None
    since = f" after step {record.train[-1][0]:,}" if record.train else ""
    skipped = [row["step"] for row in record.happened if row.get("event") == "bad_step"]
    more = f"; {len(skipped)} updates were skipped, the first at step {skipped[0]:,}" if skipped else ""
    settings = rates(record, 1 / 3)
    return Sign(
        f"the training loss is not a number{since}{more}",
        f"lower the learning rate: {options(settings) or RATE}; or warm up longer: --set schedule.warmup=...",
        {"last_finite_step": record.train[-1][0] if record.train else None, "skipped": len(skipped)},
        settings,
    )


def skipped_updates(record: Record) -> Sign | None:
    """At least one update had a loss or gradient that was not finite, and was skipped, though the arithmetic has
    range enough (a float16 loss scale that overflows is lowered, and means nothing)."""
    bad = [row for row in record.happened if row.get("event") == "bad_step" and row.get("scale", 1.0) == 1.0]
    if not bad:
        return None
    return Sign(
        f"{len(bad)} updates were not finite and were skipped, the first at step {bad[0]['step']:,}",
        f"`groundup batch RUN {bad[0].get('batch', bad[0]['step'])}` shows the text of that batch; if it is as it"
        f" should be, lower the learning rate: {options(rates(record, 0.5)) or RATE}",
        {"skipped": len(bad), "first_step": bad[0]["step"]},
        rates(record, 0.5),
    )


def diverging(record: Record) -> Sign | None:
    """Training ends above its lowest level by more than 0.5 nats and by more than four times its noise. A loss that
    only swings comes back; half a nat more makes each token 1.6 times as unlikely."""
    train = record.train
    if len(train) < 3:
        return None
    smooth = levels(train)
    low_step, low = lowest(smooth)
    last = final(train)
    if last - low <= max(RISE, 4 * noise(train)) or smooth[-1][1] - low <= RISE:
        return None
    settings = rates(record, 1 / 3)
    return Sign(
        f"training loss rose from {low:.2f} (step {low_step:,}) to {last:.2f} (step {train[-1][0]:,})",
        f"lower the learning rate: {options(settings) or RATE}; or warm up longer: --set schedule.warmup=...",
        {
            "lowest": low,
            "lowest_step": low_step,
            "last_good_step": max(step for step, level in smooth if level <= low + 0.1),
            "last": last,
            "last_step": train[-1][0],
        },
        settings,
    )


def oscillating(record: Record) -> Sign | None:
    """The noise of the training loss from entry to entry is above 0.25 nats and twice what drawing so few tokens
    explains (4 / sqrt(tokens in an entry): the loss of single tokens has a standard deviation of about 2 nats); or
    validation, which is always the same text, goes up by more than 0.1 nats at two evaluations or more and at least
    at a third of them (of five or more, after the first quarter)."""
    settled = record.train[len(record.train) // 4 :]  # the fall from ln(vocabulary) is steep, not noisy
    swing = noise(settled)
    settings = rates(record, 0.5)
    remedy = f"lower the learning rate: {options(settings) or RATE}; or raise --set training.tokens_per_update=..."
    drawn = tokens_per_entry(record)
    if len(settled) >= 6 and swing > max(0.25, 4 / math.sqrt(drawn) if drawn else 0.0):
        evidence = f"training loss swings by ±{swing:.2f} nats from entry to entry"
        return Sign(evidence, remedy, {"swing": swing, "tokens_per_entry": drawn}, settings)
    late = record.validation[len(record.validation) // 4 :]
    rises = [late[i][1] - late[i - 1][1] for i in range(1, len(late))]
    sudden = [rise for rise in rises if rise > 0.1]
    if len(late) >= 4 and len(sudden) >= 2 and 3 * len(sudden) >= len(rises) and min(rises) < -0.05:
        evidence = (
            f"validation loss zigzags: it went up at {len(sudden)} of {len(rises)} evaluations, "
            f"by up to {max(sudden):.2f} nats"
        )
        return Sign(evidence, remedy, {"rises": len(sudden), "largest": max(sudden)}, settings)
    return None


def spikes(record: Record) -> Sign | None:
    """Three or more spikes: entries of the training loss that stand out from their neighbors by 0.5 nats and by six
    times the noise, or updates whose loss was recorded as a spike while training (`health.spike`). One or two may be
    odd passages in the text; six standard deviations come by chance once in a billion."""
    settled = record.train[len(record.train) // 4 :]
    usual = noise(settled)
    found: Points = [(step, size) for step, size in residuals(settled) if size > max(0.5, 6 * usual)]
    least = record.number("health.spike") or 8.0
    told = [row for row in record.happened if row.get("event") == "spike" and _or(row.get("loss_z")) >= least]
    if len(found) < SPIKES and len(told) < SPIKES:
        return None
    settings = rates(record, 0.5)
    batch = f"`groundup batch RUN {told[0].get('batch')}` shows the text of the first; " if told else ""
    if len(found) >= SPIKES:
        step, size = max(found, key=lambda point: point[1])
        evidence = f"{len(found)} spikes in the training loss, the largest {size:.2f} nats high, at step {step:,}"
    else:
        worst = max(told, key=lambda row: _or(row.get("loss_z")))
        evidence = (
            f"{len(told)} spikes in the training loss, the largest {_or(worst.get('loss_z')):.0f} standard deviations"
            f" high (loss {_or(worst.get('loss')):.2f}, step {worst['step']:,})"
        )
    return Sign(
        evidence,
        f"{batch}if it is as it should be, lower the learning rate: {options(settings) or RATE}; or raise"
        " --set training.tokens_per_update=...; --set health.rewind=3 passes over them",
        {"spikes": max(len(found), len(told)), "steps": [row["step"] for row in told] or [step for step, _ in found]},
        settings,
    )


def clipping(record: Record) -> Sign | None:
    """After the warmup, at least 90% of 20 updates or more had a gradient longer than `optimizer.clip`, and its
    median norm is more than three times that. Clipping is made for outliers: where it acts on every step it only
    hides how long the gradients are, and gives every batch the same weight."""
    clip, warmup = record.number("optimizer.clip"), record.number("schedule.warmup") or 0
    rows = [row for row in record.rows if row["step"] > warmup and is_number(row.get("clipped"))]
    updates = rows[-1]["step"] - warmup if rows else 0
    norms = [norm for _, norm in points(rows, "grad_norm")]
    if not clip or updates < 20 or not norms:
        return None
    share, middle = statistics.fmean(row["clipped"] for row in rows), statistics.median(norms)
    if share < CLIPPED or middle <= 3 * clip:
        return None
    longest = max(clip, middle)
    settings = {"optimizer.clip": float(f"{2 * longest:.2g}")}
    return Sign(
        f"{share:.0%} of the updates after step {warmup:,.0f} were clipped: the median gradient norm is {middle:.1f}, "
        f"optimizer.clip is {clip:g}",
        f"let usual gradients pass: {options(settings)}; or lower the learning rate: "
        f"{options(rates(record, 0.5)) or RATE}",
        {"share": share, "median_norm": middle, "clip": clip},
        settings,
    )


def _or(value: Any) -> float:
    return value if is_number(value) else 0.0
