"""What of a text stands word for word in the training documents: what a model has kept instead of understood."""

from typing import Any

import numpy as np

from groundup.corpus import find_origin
from groundup.errors import UserError
from groundup.inference import SamplingSettings, generate
from groundup.insight.passage import choose_passage
from groundup.insight.spans import SHORTEST, Span, find_spans
from groundup.insight.subject import Subject

SHOWN = 5
LENGTHS = (16, 32, 64)  # characters, for which the covered share is given
MARKED = 32


def explain_memory(subject: Subject | None, *, text: str | None = None, seed: int = 0) -> dict[str, Any]:
    """The longest `spans` of `text`, else of a sample that the model writes with the `seed` (as `generate` does, from
    nothing), that stand verbatim in the training documents.

    A span has its `text`, `characters`, `tokens`, where it is in the sample (`start`, `end`), how many `times` it
    stands in the training documents, and for the first of these the `source`, `page`, and `character` in its clean
    text. `verified`: the document's text, decoded anew, has it there. `marked` are the parts of the
    sample inside spans of MARKED characters or more. `covered` is, for each of LENGTHS, the share
    of the sample's characters inside spans of so many characters or more. `control` is the same for held-out text of
    the same length, which nothing learned from: what is common to all texts of this kind. None where nothing was held
    out, and where the text was given.
    """
    assert subject
    corpus = subject.corpus
    if text is None:
        settings = SamplingSettings(seed=seed)
        sample = generate(subject.model, subject.tokenizer, [""], settings)[0].text
        if not sample:
            raise UserError("the model wrote nothing", where="--seed", fix="use another --seed, or give a --text")
    else:
        sample, settings = choose_passage(subject, text).text, None
    spans = find_spans(corpus, sample)
    control = _control(subject, len(sample)) if text is None else None
    return {
        "checkpoint": str(subject.checkpoint) if text is None else None,
        "sample": sample,
        "seed": None if settings is None else settings.seed,
        "characters": len(sample),
        "shortest": SHORTEST,
        "training_tokens": corpus.manifest["train_tokens"],
        "spans": [_describe(subject, sample, span) for span in spans[:SHOWN]],
        "marked_from": MARKED,
        "marked": _marked(spans),
        "covered": _coverage(spans, len(sample)),
        "control": control,
    }


def _control(subject: Subject, characters: int) -> dict[str, Any] | None:
    """The opening of the first held-out document that is as long, else of the longest; None without any."""
    if not len(subject.corpus.validation):
        return None
    texts = subject.corpus.held_out_texts(64)
    text = next((text for text in texts if len(text) >= characters), max(texts, key=len))[:characters]
    spans = find_spans(subject.corpus, text)
    return {
        "characters": len(text),
        "longest": max((span.end - span.start for span in spans), default=0),
        "covered": _coverage(spans, len(text)),
    }


def _describe(subject: Subject, sample: str, span: Span) -> dict[str, Any]:
    corpus, text = subject.corpus, sample[span.start : span.end]
    origin = find_origin(corpus, corpus.train.place(span.token))
    ends = corpus.train.document_ends
    number = int(np.searchsorted(ends, span.token, side="right"))
    document = corpus.train.document(number)[span.token - (int(ends[number - 1]) if number else 0) :]
    opening = corpus.tokenizer.decode_bytes(document[:1].tolist())[: span.skip]
    # a character that ends in this token, and began before it, is not in what stands before the token
    started = sum(byte & 0xC0 != 0x80 for byte in opening) + (opening[:1] != b"" and opening[0] & 0xC0 == 0x80)
    return {
        "text": text,
        "start": span.start,
        "end": span.end,
        "characters": len(text),
        "tokens": len(corpus.tokenizer.encode(text)),
        "times": span.times,
        "source": origin.source,
        "page": origin.page,
        "character": origin.character + started,
        "verified": corpus.tokenizer.decode_bytes(document.tolist())[span.skip :].startswith(text.encode()),
    }


def _marked(spans: list[Span], least: int = MARKED) -> list[list[int]]:
    """Where spans of at least so many characters are, [start, end), those that overlap as one."""
    parts: list[list[int]] = []
    for start, end in sorted((span.start, span.end) for span in spans if span.end - span.start >= least):
        if parts and start <= parts[-1][1]:
            parts[-1][1] = max(end, parts[-1][1])
        else:
            parts.append([start, end])
    return parts


def _coverage(spans: list[Span], characters: int) -> list[dict[str, Any]]:
    """For each of LENGTHS the share of `characters` inside spans of at least so many."""
    inside = {least: sum(end - start for start, end in _marked(spans, least)) for least in LENGTHS}
    return [{"characters": least, "share": count / max(characters, 1)} for least, count in inside.items()]
