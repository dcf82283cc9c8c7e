"""Rules for held-out text: learned by heart, copied, or not there at all."""

from typing import Any

from groundup.insight.diagnosis.finding import Sign, options
from groundup.insight.diagnosis.points import final, gain, lowest, noise
from groundup.insight.diagnosis.progress import plateau
from groundup.insight.diagnosis.record import Record

GAP = 0.5
COPIED = 0.1
EASIER = 0.3
NOTHING = 0.1
STILL = 0.02
"""Nats that validation gains at least over the last 40% of the steps where it still improves."""


def no_validation(record: Record) -> Sign | None:
    """No validation loss was measured: training loss alone cannot show what was only learned by heart."""
    if record.validation or not record.train:
        return None
    evidence = (
        f"training loss went from {record.train[0][1]:.2f} to {final(record.train):.2f}; "
        "nothing was held out to check it"
    )
    settings = {"data.validation": 0.1}
    return Sign(evidence, f"hold out a part of the documents: {options(settings)}", {}, settings)


def overfitting(record: Record) -> Sign | None:
    """Validation no longer improves while training does, and ends more than 0.5 nats, and three times its noise, above
    it: half a nat means that each held-out token is 1.6 times as unlikely as one that was trained on. It no longer
    improves where it rose from its best by more than its noise, or stood still over the last 40% of the steps, which
    took 0.1 nats and more off training."""
    if (gap := _gap(record)) is None or not _past_best(record):
        return None
    evidence, figures = gap
    settings = _against_memory(record)
    remedies = f"more documents help most; else {options(settings)}, or a smaller --size"
    early = "stop at the best: --set training.patience=5 (generation already uses it); "
    return Sign(evidence, f"{early}{remedies}", figures, settings)


def generalization_gap(record: Record) -> Sign | None:
    """Validation ends more than 0.5 nats, and three times its noise, above training, but still improves (no `plateau`,
    no `overfitting`): part of what is learned is learned by heart, and part holds for other text. The evidence says how
    often the text was read, and how many tokens there are for each parameter (about 20 are the optimum of large models
    trained once: Hoffmann et al. 2022, arXiv:2203.15556, Table 3)."""
    if (gap := _gap(record)) is None or plateau(record):
        return None
    evidence, figures = gap
    late = max(gain(record.validation, 0.4), 0.0)
    evidence += f"; the last 40% of the steps still took {late:.2f} nats off validation: this is no overfitting yet"
    settings = _against_memory(record)
    return Sign(evidence, f"more documents help most; else {options(settings)}, or a smaller --size", figures, settings)


def _gap(record: Record) -> tuple[str, dict[str, Any]] | None:
    """Evidence and figures of validation that ends far above training; None where it does not."""
    train, val = record.train, record.validation
    if not train or not val:
        return None
    gap = val[-1][1] - final(train)
    if gap <= max(GAP, 3 * noise(val[len(val) // 2 :])):
        return None
    best_step, best = lowest(val)
    evidence = (
        f"validation ({val[-1][1]:.2f}) stands {gap:.2f} nats above training ({final(train):.2f}); "
        f"its best was {best:.2f} at step {best_step:,} of {train[-1][0]:,}"
    )
    tokens, parameters = record.fact("corpus", "train_tokens"), record.fact("plan", "parameters")
    read = record.rows[-1].get("tokens") if record.rows else None
    figures = {"gap": gap, "validation": val[-1][1], "training": final(train), "best": best, "best_step": best_step}
    if tokens and parameters and isinstance(read, int):
        figures |= {"epochs": read / tokens, "tokens_per_parameter": tokens / parameters}
        evidence += (
            f"; the text was read {read / tokens:.1f} times and has {tokens / parameters:.2g} tokens "
            f"for each of {parameters:,.0f} parameters"
        )
    return evidence, figures


def _past_best(record: Record) -> bool:
    val = record.validation
    rise = val[-1][1] - lowest(val)[1]
    if rise > max(0.01, min(2 * noise(val[len(val) // 2 :]), 0.1)):
        return True
    return len(val) >= 3 and gain(val, 0.4) < STILL and gain(record.train, 0.4) > 5 * STILL


def _against_memory(record: Record) -> dict[str, float]:
    decay, dropout = record.number("optimizer.weight_decay") or 0.0, record.number("model.dropout") or 0.0
    # what took most off the loss of a text that was read often (docs/experiments.md)
    if decay < 1:
        return {"optimizer.weight_decay": 1.0}
    return {"model.dropout": round(min(0.5, dropout + 0.1), 2)}


def copied_validation(record: Record) -> Sign | None:
    """More than a tenth of the held-out passages of about 200 bytes stand word for word in the training text, so that
    the validation loss measures memory. Passages that long hardly repeat by chance: 2% of them do in
    the documents of `groundup demo` and in the sources of Python's asyncio, none in Shakespeare."""
    found = record.overlap
    if found is None or found.share <= COPIED:
        return None
    settings = {"data.dedup": "paragraphs"}
    weak = record.settings.get("data.dedup") not in (None, "paragraphs")
    remedy = (
        f"leave out what repeats: {options(settings)}"
        if weak
        else "hold out documents of another source; copies shorter than 200 characters, or with small changes, stay"
    )
    return Sign(
        f"{found.share:.0%} of the held-out passages of {found.tokens} tokens stand word for word in the training "
        "text: the validation loss is too good to be true",
        remedy,
        {"share": found.share, "passage_tokens": found.tokens, "passages": found.passages},
        settings if weak else {},
    )


def validation_too_easy(record: Record) -> Sign | None:
    """Validation ends more than 0.3 nats (and a tenth) below training though no dropout makes training harder, or
    below 0.1 bits per byte, where the best of the simple predictors is not: the best language models need about 0.6
    for English. Either the held-out text is easier than the training text, or it is known."""
    train, val = record.train, record.validation
    if not train or not val:
        return None
    level, last = final(train), val[-1][1]
    below = level - last
    bits = record.rows[-1].get("val_bits_per_byte")
    bits = bits if isinstance(bits, float) else None
    simple = min((b for name in ("5-gram", "gzip") if (b := record.baseline(name, "bits_per_byte"))), default=None)
    near_zero = bits is not None and bits < NOTHING and (simple is None or simple > 3 * NOTHING)
    easier = below > max(EASIER, 0.1 * level) and not record.number("model.dropout")
    if not (near_zero or easier):
        return None
    figures = {"validation": last, "training": level, "bits_per_byte": bits}
    evidence = (
        f"validation loss is {last:.3f} ({bits:.3f} bits per byte): no text is that predictable"
        if near_zero
        else f"validation ({last:.2f}) ends {below:.2f} nats below training ({level:.2f})"
    )
    if (found := record.overlap) is not None:
        evidence += f"; {found.share:.0%} of its passages stand word for word in the training text"
    return Sign(
        evidence,
        "look at what was held out: `groundup tokenize RUN` shows some of it; hold out more of the documents"
        " (--set data.validation=0.2), leave out copies (--set data.dedup=paragraphs), and look for noise in the"
        " training text",
        figures,
        {"data.validation": 0.2} if not near_zero else {"data.dedup": "paragraphs"},
    )
