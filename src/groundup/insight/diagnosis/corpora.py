"""Rules for the documents, and for the time that reading them takes."""

import re

from groundup.insight.diagnosis.finding import Sign, options
from groundup.insight.diagnosis.points import is_number
from groundup.insight.diagnosis.record import Record

UNTRAINED = 0.75
GARBLED = 0.05
WAITING = 0.2
STRUCTURE = 0.03


def no_structure(record: Record) -> Sign | None:
    """On the held-out text a 5-gram model is less than 3% better than counting single tokens: what comes before a
    token says nothing about it, as in encrypted or random bytes, and no model can learn more. Of any language's
    text, and of code, it is better by a tenth and more, even with little to count."""
    unigram, fivegram = record.baseline("unigram"), record.baseline("5-gram")
    tokens = record.fact("corpus", "train_tokens") or 0
    if unigram is None or fivegram is None or tokens < 2_000 or fivegram < (1 - STRUCTURE) * unigram:
        return None
    return Sign(
        f"on the held-out text a 5-gram model ({fivegram:.2f}) is no better than counting single tokens "
        f"({unigram:.2f}): what comes before a token says nothing about it",
        "look at what was read: `groundup read FILE...`, and leave out files that hold no text: "
        "--set data.exclude=PATTERN",
        {"unigram": unigram, "five_gram": fivegram},
    )


def unused_vocabulary(record: Record) -> Sign | None:
    """More than three quarters of the learned pieces of the vocabulary stand fewer than 10 times in the training text:
    their rows of the embedding stay almost as they were drawn. A vocabulary sized to the text, as groundup plans it,
    has a tenth of such pieces on books and on code; up to two thirds on texts of very few words, where the beginnings
    of words were learned and then stand only within whole words."""
    found = record.census
    if found is None or not found.pieces or found.rare <= UNTRAINED * found.pieces:
        return None
    size = record.fact("corpus", "vocab_size") or found.pieces + 257
    smaller = 512
    while smaller * 2 < size - found.rare:
        smaller *= 2
    settings = {"data.vocab_size": smaller} if smaller < size else {"data.tokenizer": "bytes"}
    width, parameters = record.number("model.width"), record.fact("plan", "parameters")
    share = ""
    if width and parameters:
        tables = 1 if record.settings.get("model.tied") else 2
        share = f", and take {min(1.0, found.rare * width * tables / parameters):.0%} of the parameters"
    return Sign(
        f"{found.rare:,} of the {found.pieces:,} learned pieces of the vocabulary stand fewer than 10 times in the "
        f"{found.tokens:,} training tokens ({found.unused:,} nowhere){share}",
        f"learn a smaller vocabulary: {options(settings)}; or add documents",
        {"pieces": found.pieces, "rare": found.rare, "unused": found.unused, "tokens": found.tokens},
        settings,
    )


def garbled_text(record: Record) -> Sign | None:
    """More than 5% of the words of the training prose hold what spelling does not (a mark or a digit between letters,
    capitals inside, six consonants in a row), or more than 5% of its documents have over 10% such words: recognition
    of poor scans gives 10% and more, edited text below 1%."""
    found = record.noise
    if found is None or (found.share <= GARBLED and found.noisy_documents <= GARBLED * found.documents):
        return None
    # a file may hold several of the documents, FILE#3; what can be left out is the file
    names = list(dict.fromkeys(re.sub(r"#\d+$", "", source.rsplit("/", 1)[-1]) for source in found.worst))
    settings = {"data.exclude": ",".join(names)} if names else {}
    words = [word if len(word) <= 24 else f"{word[:23]}…" for word in found.examples]
    examples = f", such as {', '.join(map(repr, words))}" if words else ""
    scans = "scan those pages again, better; or do without: --set data.ocr=false; or " if found.recognized else ""
    return Sign(
        f"{found.share:.0%} of the words in the training prose are garbled{examples}; "
        f"{found.noisy_documents} of {found.documents} documents have more than 10%"
        + (f", most of all {', '.join(names)}" if names else ""),
        f"{scans}leave out the worst files: {options(settings)}; `groundup read FILE...` shows what was read",
        {"share": found.share, "noisy_documents": found.noisy_documents, "documents": found.documents,
         "worst": list(found.worst)},
        settings,
    )  # fmt: skip


def slow_input(record: Record) -> Sign | None:
    """Training waited for its batches for more than a fifth of its time (and half a second): reading tokens from a
    local disk takes less than a hundredth. Or a run with a budget of minutes spent more of them on reading documents
    than on training."""
    trained = [row for row in record.events if row.get("event") == "trained" and is_number(row.get("seconds"))]
    spent = sum(row["seconds"] for row in trained)
    waited = sum(row["batch_seconds"] for row in trained if is_number(row.get("batch_seconds")))
    if waited > max(0.5, WAITING * spent):
        where = f" ({record.corpus.path})" if record.corpus else ""
        return Sign(
            f"training waited for its batches for {waited:.1f} of {spent:.1f} seconds",
            f"copy the corpus to a local disk{where}, and train from there",
            {"waiting_seconds": waited, "training_seconds": spent},
        )
    reading, training = record.facts.get("reading_seconds"), record.facts.get("training_seconds")
    if reading is None or training is None or not record.number("training.minutes"):
        return None
    if reading <= max(20.0, training):
        return None
    return Sign(
        f"reading the documents took {reading:.0f} seconds, training {training:.0f}",
        "read them once: `groundup prepare PATH... --out corpus`, then `groundup train corpus`",
        {"reading_seconds": reading, "training_seconds": training},
    )
