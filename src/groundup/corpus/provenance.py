"""What a batch was made of: the text of its sequences, and the documents that it is from."""

from itertools import islice
from typing import Any

import numpy as np

from groundup.corpus.batches import Batches
from groundup.corpus.corpus import Corpus
from groundup.runs import read_journal


def batch_texts(corpus: Corpus, batches: Batches, number: int) -> list[dict[str, Any]]:
    """One row for each sequence of the batch `number`, in order: `epoch`, `block`, `text` (of what is to be predicted)
    and `sources`, the documents that it is from."""
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
