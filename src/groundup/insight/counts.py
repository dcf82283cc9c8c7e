"""Counts over the training tokens of a corpus, read a million at a time."""

from collections.abc import Iterator

import numpy as np

from groundup.corpus import Corpus

CHUNK = 1_000_000  # tokens: 8 MB as int64


def token_chunks(corpus: Corpus, overlap: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """The training tokens as (place of the first, int64 ids); each part begins with the `overlap` tokens before it."""
    total = len(corpus.train)
    for start in range(0, total, CHUNK):
        first = max(start - overlap, 0)
        yield first, corpus.train.read(first, min(start + CHUNK, total) - first)


def count_tokens(corpus: Corpus) -> np.ndarray:
    """(V,) int64: how often each token stands in the training text; end-of-text once for each document."""
    counts = np.zeros(corpus.tokenizer.vocab_size, np.int64)
    for _, tokens in token_chunks(corpus):
        counts += np.bincount(tokens, minlength=len(counts))
    return counts


def count_after(corpus: Corpus, token: int) -> np.ndarray:
    """(V,) int64: how often each token follows `token` in the training text; what follows end-of-text begins a
    document."""
    counts = np.zeros(corpus.tokenizer.vocab_size, np.int64)
    if token == corpus.tokenizer.eos_id and len(corpus.train):
        counts[corpus.train.read(0, 1)] += 1  # the first document: nothing stands before it
    for _, tokens in token_chunks(corpus, overlap=1):
        counts += np.bincount(tokens[1:][tokens[:-1] == token], minlength=len(counts))
    return counts
