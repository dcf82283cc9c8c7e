"""What a language model must beat: uniform, unigram, bigram and 5-gram models of the same tokens, and gzip.

The n-gram models score what `evaluation` scores: every token of every document, the first one from
end-of-text, with contexts that stay inside the document; end-of-text itself is predicted but not scored.
"""

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

TRAIN_TOKENS = 5_000_000
_CHUNK_TOKENS = 1_000_000


def token_baselines(
    train: np.ndarray,
    validation: Sequence[np.ndarray],
    vocab_size: int,
    eos_id: int,
    bytes: int,
    train_tokens: int = TRAIN_TOKENS,
) -> dict[str, dict[str, float]]:
    """`loss` (nats per token) and `bits_per_byte` of each model on the `validation` documents, each (n,)
    tokens.

    `train` is a stream of token ids (N,) whose documents end with `eos_id`; counts are taken from its first
    `train_tokens` tokens, and each model says as `train_tokens` how many it used. `bytes` is the validation
    text's length in UTF-8. Uniform is 1/V; unigram is add-one smoothed; bigram and 5-gram are `KneserNey`.
    """
    train = np.asarray(train[:train_tokens]).astype(np.int64)
    total = sum(len(document) for document in validation)
    assert total > 0 and bytes > 0, (total, bytes)

    def figures(nll: float, used: int) -> dict[str, float]:
        return {
            "loss": nll / total,
            "bits_per_byte": nll / (bytes * math.log(2)),
            "train_tokens": used,
        }

    ones = np.bincount(train, minlength=vocab_size) + 1
    unigram = np.log(ones.sum()) - np.log(ones)
    found = {
        "uniform": figures(total * math.log(vocab_size), 0),
        "unigram": figures(sum(float(unigram[document].sum()) for document in validation), len(train)),
    }
    for name, order in (("bigram", 2), ("5-gram", 5)):
        model = KneserNey(train, order, vocab_size, eos_id)
        found[name] = figures(-sum(float(part.sum()) for part in model.log_probabilities(validation)), len(train))
    return found


def gzip_bits_per_byte(texts: Iterable[str]) -> float:
    """Bits that `gzip -9` needs for a byte of `texts`, written one after the other as UTF-8, its header
    included."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)  # 31: the gzip container, without name and time
    given = packed = 0
    for text in texts:
        data = text.encode()
        given += len(data)
        packed += len(compressor.compress(data))
    assert given > 0, "no text"
    return 8 * (packed + len(compressor.flush())) / given


@dataclass
class _Order:
    """The n-grams of one order, sorted by context and then token, and the normalization of each context.

    A key is context * V + token, where the context is the place of its own n-gram in the order below (0 for
    the unigrams, whose table is all V tokens); so every order's keys fit 64 bits whatever the order.
    """

    keys: np.ndarray
    counts: np.ndarray
    discounts: np.ndarray
    totals: np.ndarray
    backoff: np.ndarray

    @classmethod
    def of(cls, keys: np.ndarray, counts: np.ndarray, contexts: int, vocab_size: int) -> "_Order":
        discounts = _discounts(counts)
        context = keys // vocab_size
        totals = np.bincount(context, counts, contexts)
        removed = np.bincount(context, discounts[np.minimum(counts, 3)], contexts)
        # a context that nothing follows: all of its probability comes from the order below
        backoff = np.divide(removed, totals, out=np.ones(contexts), where=totals > 0)
        totals = np.maximum(totals, 1).astype(np.int32)
        return cls(keys, counts.astype(np.int32), discounts, totals, backoff.astype(np.float32))

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """The place of each wanted key, -1 where it was not seen."""
        if not len(self.keys):
            return np.full(len(wanted), -1)
        by_key = np.argsort(wanted)  # sorted look-ups are many times faster: they walk through the table once
        places = np.empty(len(wanted), np.int64)
        places[by_key] = np.searchsorted(self.keys, wanted[by_key])
        places[places == len(self.keys)] = 0
        return np.where(self.keys[places] == wanted, places, -1)


class KneserNey:
    """Interpolated modified Kneser-Ney smoothing of n-grams; below the unigrams is the uniform distribution.

    p(w | h) = (a(hw) - D(a(hw))) / sum_v a(hv)  +  sum_v D(a(hv)) / sum_v a(hv) * p(w | h')

    where h' is h without its first token, and p(w | h) = p(w | h') for an h never seen. At the highest order,
    and for n-grams that begin a document, a is the count; elsewhere it is the number of different tokens seen
    before hw. With n_c the number of n-grams of this order for which a = c, and Y = n_1 / (n_1 + 2 n_2),
    D(0) = 0, D(c) = c - (c + 1) Y n_{c+1} / n_c for c = 1, 2, 3, and D(c) = D(3) above (Chen & Goodman 1999,
    "An empirical study of smoothing techniques for language modeling", section 3). An order too sparse for
    that (some n_c is 0, or D(c) is not in [0, c]) takes D = .5, 1, 1.5. Counting needs 200 bytes a token.
    """

    def __init__(self, train: np.ndarray, order: int, vocab_size: int, eos_id: int) -> None:
        """Count a stream (N,) of ids below `vocab_size` whose documents end with `eos_id`; `order` >= 2."""
        assert order >= 2
        self.vocab_size, self.eos_id = vocab_size, eos_id
        tokens = np.concatenate([[eos_id], train]).astype(np.int64)
        longest = self._longest(tokens, order)
        self._orders: list[_Order] = []
        keys, places, contexts = np.arange(vocab_size), tokens, 1
        counts, opens = np.zeros(vocab_size, np.int64), np.zeros(vocab_size, bool)
        for n in range(2, order + 1):
            at = np.flatnonzero(longest >= n)
            wanted = places[at - 1] * vocab_size + tokens[at]
            by_key = np.argsort(wanted)
            wanted, at = wanted[by_key], at[by_key]
            first = np.flatnonzero(np.diff(wanted, prepend=-1))
            before = np.bincount(places[at[first]], minlength=len(keys))
            self._orders.append(_Order.of(keys, np.where(opens, counts, before), contexts, vocab_size))
            contexts, keys, opens = len(keys), wanted[first], tokens[at[first] - n + 1] == eos_id
            counts = np.diff(first, append=len(wanted))
            places = np.full(len(tokens), -1)
            places[at] = np.repeat(np.arange(len(keys)), counts)
        self._orders.append(_Order.of(keys, counts, contexts, vocab_size))

    def log_probabilities(self, documents: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """ln P of every token of `documents` (each (n,), without end-of-text), in order, some documents at
        a time."""
        for some in _chunks(documents):
            parts = [part for document in some for part in ([self.eos_id], document)]
            tokens = np.concatenate(parts).astype(np.int64)
            scored = np.ones(len(tokens), bool)
            scored[np.cumsum([0, *(len(document) + 1 for document in some[:-1])])] = False
            yield np.log(self._probabilities(tokens)[scored])

    def _probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """P of every token of a stream (N,) in which `eos_id` stands before each document."""
        longest = self._longest(tokens, len(self._orders))
        probability = np.full(len(tokens), 1 / self.vocab_size)
        places = np.zeros(len(tokens), np.int64)
        for n, order in enumerate(self._orders, 1):
            at = np.flatnonzero(longest >= n)
            context = places[at - 1] if n > 1 else np.zeros(len(at), np.int64)
            at, context = at[context >= 0], context[context >= 0]
            found = order.find(context * self.vocab_size + tokens[at])
            count = np.where(found >= 0, order.counts[found], 0)
            kept = (count - order.discounts[np.minimum(count, 3)]) / order.totals[context]
            probability[at] = kept + order.backoff[context] * probability[at]
            places = np.full(len(tokens), -1)
            places[at] = found
        return probability

    def _longest(self, tokens: np.ndarray, order: int) -> np.ndarray:
        """The longest n-gram, at most `order`, that ends at each place of a stream and stays inside its
        document."""
        place = np.arange(len(tokens))
        opening = np.maximum.accumulate(np.where(tokens == self.eos_id, place, 0))
        return np.minimum(order, place - np.concatenate([[0], opening[:-1]]) + 1)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """D(0), D(1), D(2) and D(3 or more) of one order, shape (4,)."""
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    fallback = np.array([0.0, 0.5, 1.0, 1.5])
    if not n[1:5].all():
        return fallback
    c = np.arange(1, 4)
    y = n[1] / (n[1] + 2 * n[2])
    found = c - (c + 1) * y * n[2:5] / n[1:4]
    return np.concatenate([[0.0], found]) if np.all((found >= 0) & (found <= c)) else fallback


def _chunks(documents: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Consecutive documents, as many as make about a million tokens, so that memory stays bounded."""
    some: list[np.ndarray] = []
    size = 0
    for document in documents:
        some.append(document)
        size += len(document)
        if size >= _CHUNK_TOKENS:
            yield some
            some, size = [], 0
    if some:
        yield some
