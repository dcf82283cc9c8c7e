"""Stretches of a text that stand word for word in the training documents, found exactly, character by character."""

from dataclasses import dataclass

import numpy as np

from groundup.corpus import Corpus
from groundup.insight.counts import token_chunks

SHORTEST = 8  # characters: shorter stretches are not looked for
_BORDER = b"\xff"  # stands for end-of-text: no UTF-8 holds this byte, so that no stretch leaves its document
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_BITS = 22  # of the table of hashes that the text has: 4 MB


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
    """The stretches of `text` of SHORTEST characters or more that stand in the training documents and are not part of
    a longer one of them, the longest first.

    Every place in the documents whose next SHORTEST characters may be those of a place in the text (by a hash) is
    compared character by character until they differ, so the result is exact, whatever the tokens are.
    """
    given = _code_points(text.encode())
    if len(given) < SHORTEST:
        return []
    places, lengths, tokens, skips = _matches(corpus, given)
    longest = np.zeros(len(given), np.int64)
    np.maximum.at(longest, places, lengths)
    spans, reach = [], 0
    for place in np.flatnonzero(longest).tolist():
        length = int(longest[place])
        if place + length <= reach:
            continue  # one that begins earlier holds this one
        reach = place + length
        found = np.flatnonzero((places == place) & (lengths == length))
        first = found[np.lexsort((skips[found], tokens[found]))[0]]
        spans.append(Span(place, reach, int(tokens[first]), int(skips[first]), len(found)))
    return sorted(spans, key=lambda span: (span.start - span.end, span.start))


def _matches(corpus: Corpus, given: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every match of at least SHORTEST characters that the character before it does not make longer: its place in
    `given` (n,), its length, the training token it begins in and the bytes of that token before it, each (m,) int64."""
    unique, key_of = np.unique(_hashes(given), return_inverse=True)
    table = np.zeros(1 << _BITS, bool)
    table[unique >> np.uint64(64 - _BITS)] = True
    entries = [corpus.tokenizer.decode_bytes([token]) for token in range(corpus.tokenizer.vocab_size)]
    entries[corpus.tokenizer.eos_id] = _BORDER
    found = [np.zeros((4, 0), np.int64)]
    # a stretch is at most as long as the text, so each is whole in the part that begins so many tokens before its own
    for first, tokens in token_chunks(corpus, overlap=len(given)):
        pieces = [entries[token] for token in tokens.tolist()]
        document = _code_points(b"".join(pieces))
        if len(document) < SHORTEST:
            continue
        there = _hashes(document)
        at = np.flatnonzero(table[there >> np.uint64(64 - _BITS)])
        which = np.minimum(np.searchsorted(unique, there[at]), len(unique) - 1)
        at, which = at[unique[which] == there[at]], which[unique[which] == there[at]]
        by_key = np.argsort(which, kind="stable")
        at, bounds = at[by_key], np.searchsorted(which[by_key], np.arange(len(unique) + 1))
        pairs = [np.zeros((2, 0), np.int64)]
        for place, key in enumerate(key_of.tolist()):  # one at a time: of blanks there may be millions
            here = at[bounds[key] : bounds[key + 1]]
            if place:  # only what begins a stretch is followed: the rest is part of the match one character before
                here = here[(here == 0) | (document[here - 1] != given[place - 1])]
            pairs.append(np.stack([np.full(len(here), place), here]))
        place, at = np.concatenate(pairs, axis=1)
        length = _extend(given, document, place, at)
        place, at, length = place[length >= SHORTEST], at[length >= SHORTEST], length[length >= SHORTEST]
        begins = np.cumsum(_widths(document)) - _widths(document)  # bytes before each character
        ends = np.cumsum([len(piece) for piece in pieces])
        token = np.searchsorted(ends, begins[at], side="right")
        before = np.where(token > 0, ends[token - 1], 0)
        found.append(np.stack([place, length, token + first, begins[at] - before]))
    everything = np.concatenate(found, axis=1)
    # what is cut at the end of a part is whole in the next: of matches that begin at the same place the longest counts
    everything = everything[:, np.lexsort((-everything[1], everything[3], everything[2], everything[0]))]
    again = (np.diff(everything[[0, 2, 3]], axis=1, prepend=-1) == 0).all(0)
    place, length, token, skip = everything[:, ~again]
    return place, length, token, skip


def _code_points(data: bytes) -> np.ndarray:
    """(n,) uint32: the characters of UTF-8; bytes that are none, as where a part begins within one, are lone
    surrogates, which no text holds."""
    return np.frombuffer(data.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), "<u4")


def _widths(characters: np.ndarray) -> np.ndarray:
    """(n,): the bytes that each of `_code_points` was made of."""
    widths = np.ones(len(characters), np.int64)
    for least in (0x80, 0x800, 0x10000):
        widths += characters >= least
    return np.where((characters >= 0xDC80) & (characters <= 0xDCFF), 1, widths)


def _hashes(characters: np.ndarray) -> np.ndarray:
    """(n - SHORTEST + 1,) uint64: of the SHORTEST characters from each place of `characters` (n,) on."""
    count = len(characters) - SHORTEST + 1
    hashes = np.zeros(count, np.uint64)
    for offset in range(SHORTEST):
        hashes = (hashes + characters[offset : offset + count]) * _PRIME
        hashes ^= hashes >> np.uint64(29)
    return hashes * _PRIME


def _extend(given: np.ndarray, document: np.ndarray, place: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(m,): how many characters from each `place` of `given` on are those from `at` of `document` on."""
    length = np.zeros(len(place), np.int64)
    growing = np.arange(len(place))
    while len(growing):
        here, there = place[growing] + length[growing], at[growing] + length[growing]
        inside = (here < len(given)) & (there < len(document))
        growing = growing[inside]
        growing = growing[given[here[inside]] == document[there[inside]]]
        length[growing] += 1
    return length
