"""Stretches of a text that stand word for word in the training documents, found exactly, byte by byte."""

from dataclasses import dataclass

import numpy as np

from groundup.corpus import Corpus
from groundup.insight.counts import token_chunks

SEED = 8  # bytes: stretches shorter than this are not looked for
_BORDER = 0xFF  # stands for end-of-text: no UTF-8 text holds this byte, so that no stretch leaves its document
_MIX, _BITS = np.uint64(0x9E3779B97F4A7C15), 22  # multiplicative hashing: a table of 4 million bits' worth of bytes


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of the text; no longer stretch around them stands in the documents."""

    start: int
    end: int
    token: int
    """The training token that the stretch begins in, where it stands for the first time."""
    skip: int
    """Bytes of that token before it."""
    times: int
    """How often it stands in the training documents."""


def find_spans(corpus: Corpus, text: str) -> list[Span]:
    """The stretches of `text` of SEED bytes or more that stand in the training documents and are not part of a longer
    one of them, the longest first.

    Every place in the documents that holds the same SEED bytes as some place in the text is compared further until the
    bytes differ, so the result is exact whatever the tokens are.
    """
    given = np.frombuffer(text.encode(), np.uint8)
    if len(given) < SEED:
        return []
    places, lengths, tokens, skips = _matches(corpus, given)
    longest = np.zeros(len(given) + 1, np.int64)
    np.maximum.at(longest, places, lengths)
    characters = np.cumsum((given & 0xC0) != 0x80)  # of the text up to and with each byte
    spans, reach = [], 0
    for place in np.flatnonzero(longest):
        length = int(longest[place])
        if place + length <= reach:
            continue  # one that begins earlier holds this one
        reach = place + length
        whole = (places == place) & (lengths == length)
        first = int(np.flatnonzero(whole)[np.argmin(tokens[whole])])
        start, end = int(place), int(place) + length
        while start < end and given[start] & 0xC0 == 0x80:  # within a character
            start += 1
        while end > start and end < len(given) and given[end] & 0xC0 == 0x80:
            end -= 1
        if end - start >= SEED:
            spans.append(
                Span(
                    int(characters[start]) - 1,
                    int(characters[end - 1]),
                    int(tokens[first]),
                    int(skips[first]) + start - int(place),
                    int(whole.sum()),
                )
            )
    return sorted(spans, key=lambda span: (span.start - span.end, span.start))


def _matches(corpus: Corpus, given: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every match of at least SEED bytes: its place in `given` (n,) uint8, its length, the training token it begins in
    and the bytes of that token before it. Each (m,) int64."""
    keys = _keys(given)
    unique, key_of = np.unique(keys, return_inverse=True)
    table = np.zeros(1 << _BITS, bool)
    table[_hash(keys)] = True
    alphabet, lengths_of = _alphabet(corpus)
    found = [np.zeros((4, 0), np.int64)]
    # a stretch may be as long as the text, and begin in the last token of a part
    for first, tokens in token_chunks(corpus, overlap=len(given)):
        lengths = lengths_of[tokens]
        ends = np.cumsum(lengths)
        document = alphabet[np.repeat(np.cumsum(lengths_of)[tokens] - ends, lengths) + np.arange(ends[-1])]
        if len(document) < SEED:
            continue
        there = _keys(document)
        at = np.flatnonzero(table[_hash(there)])
        which = np.searchsorted(unique, there[at])
        same = unique[np.minimum(which, len(unique) - 1)] == there[at]
        at, which = at[same], which[same]
        by_key = np.argsort(which, kind="stable")
        at, bounds = at[by_key], np.searchsorted(which[by_key], np.arange(len(unique) + 1))
        pairs = [np.zeros((2, 0), np.int64)]
        for place, key in enumerate(key_of):  # one at a time: of blanks there may be millions
            here = at[bounds[key] : bounds[key + 1]]
            if place:  # only what begins a stretch is followed: the rest is part of a match one byte before
                here = here[(here == 0) | (document[here - 1] != given[place - 1])]
            pairs.append(np.stack([np.full(len(here), place), here]))
        place, at = np.concatenate(pairs, axis=1)
        length = _extend(given, document, place, at)
        token = np.searchsorted(ends, at, side="right")
        found.append(np.stack([place, length, token + first, at - (ends[token] - lengths[token])]))
    everything = np.concatenate(found, axis=1)
    # parts overlap, and a stretch cut at the end of one is whole in the next: the longest of each place is the true one
    order = np.lexsort((-everything[1], everything[3], everything[2], everything[0]))
    everything = everything[:, order]
    same = (np.diff(everything[[0, 2, 3]], axis=1, prepend=-1) == 0).all(0)
    place, length, token, skip = everything[:, ~same]
    return place, length, token, skip


def _alphabet(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of all tokens one after another, (n,) uint8, and how many each has, (V,); end-of-text is a border."""
    tokenizer = corpus.tokenizer
    entries = [tokenizer.decode_bytes([token]) for token in range(tokenizer.vocab_size)]
    entries[tokenizer.eos_id] = bytes([_BORDER])
    return np.frombuffer(b"".join(entries), np.uint8), np.array([len(entry) for entry in entries])


def _keys(data: np.ndarray) -> np.ndarray:
    """(n - SEED + 1,) uint64: the SEED bytes from each place of `data` (n,) on, as one number."""
    count = len(data) - SEED + 1
    keys = np.zeros(count, np.uint64)
    for offset in range(SEED):
        keys |= data[offset : offset + count].astype(np.uint64) << np.uint64(8 * offset)
    return keys


def _hash(keys: np.ndarray) -> np.ndarray:
    return (keys * _MIX) >> np.uint64(64 - _BITS)


def _extend(given: np.ndarray, document: np.ndarray, place: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(m,): how many bytes from each `place` of `given` on are those from `at` of `document` on; at least SEED."""
    length = np.full(len(place), SEED)
    growing = np.arange(len(place))
    while len(growing):
        here, there = place[growing] + length[growing], at[growing] + length[growing]
        inside = (here < len(given)) & (there < len(document))
        growing = growing[inside]
        growing = growing[given[here[inside]] == document[there[inside]]]
        length[growing] += 1
    return length
