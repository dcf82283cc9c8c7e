"""Rules for how far the loss came: not at all, too slowly, not to its end, or to a standstill."""

import math

from groundup.insight.diagnosis.finding import Sign, options
from groundup.insight.diagnosis.points import final, gain, lowest, noise
from groundup.insight.diagnosis.rates import RATE, far_above, raised, rates, with_settings
from groundup.insight.diagnosis.record import Record

LEAST_FALL = 0.1
LEAST_MOVED = 0.15


def too_short(record: Record) -> Sign | None:
    """Fewer than four entries with a training loss: no line can be told from noise."""
    if len(record.train) >= 4:
        return None
    return Sign(
        f"{len(record.train)} entries with a training loss; a reading needs at least 4",
        "train longer (--minutes, --steps) or log more often: --set training.log_every=...",
        {"entries": len(record.train)},
    )


def not_falling(record: Record) -> Sign | None:
    """Less than a tenth of the first loss is gone (where that is a nat or more). Learning only which tokens are common
    takes off a fifth and more of ln V, within tens of steps. A run that goes on has until a fifth of its steps, 50
    steps and twice its warmup are done."""
    train = record.train
    if len(train) < 4 or not (record.from_start and record.has_begun):
        return None
    first, last = train[0][1], final(train)
    if first - last >= LEAST_FALL * first or first < 1:  # a curve that starts low was trained before
        return None
    settings = raised(record, _raise_by(record), matrices=record.movement is not None)
    moved = f"; the blocks' matrices moved by {record.movement.moved:.1%} of their size" if record.movement else ""
    return Sign(
        f"training loss went from {first:.2f} only to {last:.2f} in {train[-1][0]:,} steps{moved}",
        f"{with_settings(record, 'raise the learning rate', settings)}; or train longer: --minutes, --steps",
        {"first": first, "last": last, "steps": train[-1][0]},
        settings,
    )


def stuck(record: Record) -> Sign | None:
    """While a run trains: after its warmup, a fifth of its steps, 50 steps and ten entries, less than 3% of the
    first loss is gone. Runs that end well have lost a fifth of it by then."""
    total, warmup = record.fact("plan", "steps") or 0, record.number("schedule.warmup") or 0
    train = record.train
    if len(train) < 10 or train[-1][0] < max(50, 0.2 * total, 2 * warmup) or not record.from_start:
        return None
    first, last = train[0][1], final(train)
    if first < 1 or first - last >= 0.03 * first:
        return None
    rose = max(value for _, value in train) > first + 0.1
    settings = rates(record, 0.1) if rose else raised(record, 10)
    change = "lower" if rose else "raise"
    return Sign(
        f"training loss has not fallen: {first:.2f} at the start, {last:.2f} at step {train[-1][0]:,}",
        f"stop, and {change} the learning rate: {options(settings)}; `groundup diagnose RUN --try` tries it",
        {"first": first, "last": last, "step": train[-1][0]},
        settings,
    )


def learning_rate_too_low(record: Record) -> Sign | None:
    """In 200 steps or more the blocks' matrices moved by less than 15% of their first size (11% in 100 steps), and the
    model stayed behind a 5-gram model. With the usual rates they have moved by 27% and more, with a tenth of them by
    10% and less (`benchmarks/rates.py` measures it)."""
    moved, train = record.movement, record.train
    if moved is None or len(train) < 4 or moved.steps < 100 or not record.has_begun:
        return None
    if moved.moved >= LEAST_MOVED * math.sqrt(min(moved.steps, 200) / 200):
        return None
    best, fivegram = lowest(record.validation or train)[1], record.baseline("5-gram")
    if fivegram is not None and best <= fivegram:
        return None
    settings = raised(record, _raise_by(record), matrices=True)
    behind = f", and the loss ({best:.2f}) stays behind a 5-gram model ({fivegram:.2f})" if fivegram else ""
    return Sign(
        f"in {moved.steps:,} steps the blocks' matrices moved by only {moved.moved:.1%} of their size{behind}",
        f"{with_settings(record, 'raise the learning rate', settings)}; or train longer: --minutes, --steps",
        {"moved": moved.moved, "steps": moved.steps, "best": best, "five_gram": fivegram},
        settings,
    )


def weaker_than_bigram(record: Record) -> Sign | None:
    """The best validation loss of a run that has ended is above that of a bigram model, which knows one token of
    context. Where it also stands still (`plateau`), more steps are no remedy, and the model is not full: pairs of
    tokens are the first that a model learns, unless its rates are too high for it to settle. Nor are more steps the
    remedy for a rate ten times the planned one and more."""
    bigram = record.baseline("bigram")
    if record.goes_on or bigram is None or not record.validation or lowest(record.validation)[1] <= bigram:
        return None
    best = lowest(record.validation)[1]
    settings, remedy = _more_steps(record), _longer(record)
    still = plateau(record)
    if planned := far_above(record):
        settings = planned
        remedy = with_settings(record, "lower the learning rate", settings)
    elif still:
        settings = rates(record, 1 / 3)
        remedy = (
            f"lower the learning rate: {options(settings) or RATE}; less --set optimizer.weight_decay=... or"
            " --set model.dropout=...; or a larger --size"
        )
    stands = f"; the last 40% of the steps took off {max(still.figures['gain'], 0):.3f} nats" if still else ""
    return Sign(
        f"the best validation loss, {best:.2f}, is above that of a bigram model, {bigram:.2f}{stands}",
        remedy,
        {"best": best, "bigram": bigram},
        settings,
    )


def still_falling(record: Record) -> Sign | None:
    """The last fifth of the steps brought more than 5% of all the fall so far, and more than 0.1 nats, by the
    validation loss (by the training loss where there are fewer than four evaluations), in a run that has ended. The
    final decay of the rate brings less to a run that is long enough."""
    train, val = record.train, record.validation
    if len(train) < 4 or record.goes_on or not record.from_start:
        return None
    curve, name = (val, "validation") if len(val) >= 4 else (train, "training")
    fall, end = curve[0][1] - lowest(curve)[1], gain(curve, 0.2)
    if fall <= 0 or end <= max(0.1, 0.05 * fall):
        return None
    return Sign(
        f"{name} loss is still falling: the last fifth of the steps took off {end:.2f} nats "
        f"(now {final(curve, 1):.2f}), {end / fall:.0%} of all it has fallen",
        _longer(record),
        {"last_fifth": end, "fall": fall, "last": final(curve, 1)},
        _more_steps(record),
    )


def plateau(record: Record) -> Sign | None:
    """The last 40% of the steps improved validation by less than 0.01 nats, or than its noise (up to 0.03), at four
    evaluations or more."""
    train, val = record.train, record.validation
    if len(val) < 4 or not train:
        return None
    gained = gain(val, 0.4)
    if gained >= max(0.01, min(noise(val[len(val) // 2 :]), 0.03)):
        return None
    best_step, best = lowest(val)
    gap = val[-1][1] - final(train)
    beside = f"{abs(gap):.2f} {'above' if gap >= 0 else 'below'} training"
    evidence = (
        f"validation loss improved by {max(gained, 0):.3f} nats over the last 40% of the steps "
        f"(best {best:.2f} at step {best_step:,}, now {val[-1][1]:.2f}; {beside})"
    )
    layers = record.number("model.layers")
    settings = {"model.layers": int(2 * layers)} if layers and gap <= 0.2 else {}
    if gap > 0.2:
        remedy = "the text is used up: add documents, or save the time with --set training.patience=5"
    else:
        larger = f" ({options(settings)})" if settings else ""
        remedy = f"the model is full: a larger --size{larger}; or save the time with --set training.patience=5"
    return Sign(evidence, remedy, {"gain": gained, "best": best, "best_step": best_step, "gap": gap}, settings)


def _raise_by(record: Record) -> float:
    """Weights move about in proportion to the rate: what would have moved them by half, from 3 to 100 times."""
    moved = record.movement
    return min(100.0, max(3.0, 0.5 / max(moved.moved, 1e-9))) if moved else 3.0


def _longer(record: Record) -> str:
    more = _more_steps(record)
    example = f" ({options(more)})" if more else ""
    return f"train longer: a larger --minutes or --steps{example}, with the same settings"


def _more_steps(record: Record) -> dict[str, int]:
    return {"training.steps": 2 * int(record.rows[-1]["step"])} if record.rows and record.rows[-1]["step"] else {}
