"""`batch`: the texts that a step learned from, and the documents that they come from."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from groundup.corpus import Batches, Corpus
from groundup.errors import UserError
from groundup.runs import Run, read_journal
from groundup.verbs.request import PathLike


def batch(run: PathLike, number: int) -> list[dict[str, Any]]:
    """The sequences of one of a run's batches, as the lines `spike` and `bad_step` of its metrics.jsonl name them.

    Batches are numbered from 0 in the order in which they are dealt: batch N is that of step N until a run goes back.
    Rows have `epoch`, `block`, `text` (of what was to be predicted) and `sources`, the documents that it is from, in
    order. Raises UserError when `run` is none or is not planned yet, and for numbers below 0.
    """
    opened = Run.open(Path(run))
    if "horizon" not in opened.info:
        raise UserError("is not planned yet: it has no batches", where=opened.path)
    if not 0 <= number < 2**53:
        raise UserError(f"there is no batch {number}", where=opened.path, fix="batches are numbered from 0")
    config, corpus = opened.config(), Corpus(opened.corpus)
    context, tokens = config.model.context, config.training.tokens_per_update
    if not context or not tokens:
        raise UserError("lacks model.context or training.tokens_per_update", where=opened.path / "config.toml")
    batches = Batches(corpus.train, context=context, batch=tokens // context, seed=config.training.seed)
    rows, wanted = [], list[list[int]]()
    for epoch, block in batches.sequences(number):
        start, length = batches.place(epoch, block)
        text = corpus.tokenizer.decode(corpus.train.read(start, length).tolist())
        rows.append({"epoch": epoch, "block": block, "text": text})
        wanted.append(_documents(corpus, start, length))
    names = _sources(corpus, {document for documents in wanted for document in documents})
    for row, documents in zip(rows, wanted, strict=True):
        row["sources"] = list(dict.fromkeys(names[document] for document in documents))
    return rows


def _documents(corpus: Corpus, start: int, length: int) -> list[int]:
    """The training documents of a stretch of tokens, which may go round at the end."""
    size, ends = len(corpus.train), corpus.train.document_ends
    found = []
    for begin in range(start, start + length, size):
        end = min(begin + size, start + length)
        first, last = (int(np.searchsorted(ends, at % size, side="right")) for at in (begin, end - 1))
        found += range(first, last + 1) if first <= last else [*range(first, len(ends)), *range(last + 1)]
    return found


def _sources(corpus: Corpus, documents: set[int]) -> dict[int, str]:
    """The names of training documents by number; a damaged list leaves some without."""
    names = dict.fromkeys(documents, "a document without a name")
    rows = (row for row in read_journal(corpus.path / "documents.jsonl") if row.get("split") == "train")
    for number, row in islice(enumerate(rows), max(documents, default=-1) + 1):
        if number in names:
            names[number] = str(row.get("source"))
    return names
