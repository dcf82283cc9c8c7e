"""Near-duplicates: MinHash sketches of documents and paragraphs, the groups of rows that share one, and an exact
measure of how alike two texts are.

Two texts whose sets of 5-word shingles have the Jaccard similarity s share a band with the chance 1 - (1 - s^8)^14
(Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4): 5% at s = 0.5, half at 0.69, 92% at
0.8, 99.96% at 0.9.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from groundup.corpus.copies.paragraphs import PARAGRAPH, find_paragraphs, find_words, mix, name_characters, name_ranges

__all__ = ["BANDS", "PARAGRAPH", "ROWS", "SHINGLE", "Sketches", "jaccard", "join_equal", "similar", "sketch"]

BANDS, ROWS, SHINGLE = 14, 8, 5
"""Bands of a sketch, hash functions of a band, words of a shingle: FineWeb's (datatrove, examples/fineweb.py)."""

_SEED = 20240607  # of the hash functions: another seed makes sketches that do not compare
_GROUP = 1 << 19  # characters of short texts looked at together
_GAP = "\n\n"  # between them: it ends words, lines and blocks
_BLOCK = 1 << 15  # shingles hashed together: they and their hashes stay in the processor's cache
_ORDER = 0x9FB21C651E98DF25  # makes a shingle depend on the order of its words


@dataclass(frozen=True, slots=True)
class Sketches:
    """Sketches of N texts and of the P paragraphs in them, in the order of the texts."""

    documents: np.ndarray
    """(N, BANDS) uint64: the band keys of each text; a row of zeros where it has fewer than SHINGLE words."""
    owners: np.ndarray
    """(P,) int64: the text each paragraph is in."""
    starts: np.ndarray
    """(P,) int64: where in its text it starts, in characters."""
    ends: np.ndarray
    """(P,) int64: where it ends, without the newline."""
    names: np.ndarray
    """(P,) uint64: equal for paragraphs with equal words, whatever their case, punctuation and white space; of a
    paragraph without words, its characters count."""
    paragraphs: np.ndarray
    """(P, BANDS) uint64: the band keys; a row of zeros where there are fewer than SHINGLE words."""


def sketch(texts: Sequence[str], prose: Sequence[bool], *, near: bool = True) -> Sketches:
    """Sketches of `texts`, and of the paragraphs of those where `prose` says so: PARAGRAPH and more characters between
    blank lines, or on one line. The same for a text whatever stands beside it, on every machine. Without `near` only
    names are made, and no bands, which take most of the time.
    """
    groups = [_sketch_group(group, flags, first, near) for first, group, flags in _groups(texts, prose)]
    if not groups:
        empty, none = np.empty(0, np.int64), np.empty((0, BANDS), np.uint64)
        return Sketches(none, empty, empty, empty, np.empty(0, np.uint64), none)
    return Sketches(*(np.concatenate(columns) for columns in zip(*groups, strict=True)))


def similar(bands: np.ndarray, names: np.ndarray | None = None) -> np.ndarray:
    """(N,) int64: for each row of `bands`, (N, BANDS) in memory or mapped, the smallest index of its group.

    Rows that share a band are in one group, and so are rows with equal `names`; a row of zeros has no bands.
    """
    parents = np.arange(len(bands), dtype=np.int64)
    if names is not None:
        join_equal(parents, np.asarray(names), np.arange(len(names)))
    for band in range(bands.shape[1]):
        keys = np.ascontiguousarray(bands[:, band])
        rows = np.flatnonzero(keys)
        join_equal(parents, keys[rows], rows)
    return parents


def jaccard(a: str, b: str) -> float:
    """The Jaccard similarity, 0 to 1, of the sets of 5-word shingles; of texts with fewer words, whether they agree."""
    first, second = (find_words(text).hashes for text in (a, b))
    if min(len(first), len(second)) < SHINGLE:
        return float(np.array_equal(first, second))
    first, second = np.unique(_shingles(first)), np.unique(_shingles(second))
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common)


def _groups(texts: Sequence[str], prose: Sequence[bool]) -> Iterator[tuple[int, list[str], list[bool]]]:
    """(index of the first, texts, prose) of about _GROUP characters."""
    first, group, flags, held = 0, [], [], 0
    for index, (text, flag) in enumerate(zip(texts, prose, strict=True)):
        if group and held + len(text) > _GROUP:
            yield first, group, flags
            first, group, flags, held = index, [], [], 0
        group.append(text)
        flags.append(bool(flag))
        held += len(text) + len(_GAP)
    if group:
        yield first, group, flags


def _sketch_group(texts: list[str], prose: list[bool], first: int, near: bool) -> tuple[np.ndarray, ...]:
    """The columns of Sketches for `texts`, which begin with number `first`."""
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    offsets = np.zeros(len(texts), np.int64)
    np.cumsum(sizes[:-1] + len(_GAP), out=offsets[1:])
    joined = _GAP.join(texts)
    words = find_words(joined)
    if any(prose):
        starts, ends = find_paragraphs(words.classes)
        owners = np.searchsorted(offsets, starts, side="right") - 1
        kept = np.asarray(prose)[owners]
        starts, ends, owners = starts[kept], ends[kept], owners[kept]
    else:
        starts = ends = owners = np.empty(0, np.int64)
    begin = np.searchsorted(words.starts, np.concatenate([offsets, starts]))
    end = np.searchsorted(words.starts, np.concatenate([offsets + sizes, ends]))
    names = name_ranges(words.hashes, begin[len(texts) :], end[len(texts) :])
    for row in np.flatnonzero(begin[len(texts) :] == end[len(texts) :]):
        names[row] = name_characters(joined[starts[row] : ends[row]])
    bands = np.zeros((len(begin), BANDS), np.uint64)
    enough = np.flatnonzero(end - begin >= SHINGLE) if near else np.empty(0, np.int64)
    bands[enough] = _bands(words.hashes, begin[enough], end[enough] - SHINGLE + 1)
    here = offsets[owners]
    return bands[: len(texts)], owners + first, starts - here, ends - here, names, bands[len(texts) :]


def _bands(hashes: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The (R, BANDS) keys of R sets of shingles: those that begin at word first to last - 1 of each; the ranges may
    hold one another."""
    if not first.size:
        return np.empty((0, BANDS), np.uint64)
    count = len(hashes) - SHINGLE + 1
    # Each hash is made once, and its minimum taken between all borders; a range is some whole intervals.
    borders = np.unique(np.concatenate([first, last, np.arange(0, count, _BLOCK), [count]]))
    minima = np.full((BANDS * ROWS, len(borders)), np.iinfo(np.uint32).max, np.uint32)
    multipliers, addends = _functions()
    scratch = np.empty(_BLOCK, np.uint32)
    for start in range(0, count, _BLOCK):
        shingles = (_shingles(hashes[start : start + _BLOCK + SHINGLE - 1]) >> np.uint64(32)).astype(np.uint32)
        values = scratch[: len(shingles)]
        low, high = np.searchsorted(borders, [start, start + len(shingles)])
        intervals = borders[low:high] - start
        for row in range(BANDS * ROWS):
            np.multiply(shingles, multipliers[row], out=values)
            np.add(values, addends[row], out=values)
            np.minimum.reduceat(values, intervals, out=minima[row, low:high])
    begin, end = np.searchsorted(borders, first), np.searchsorted(borders, last)
    signatures = minima[:, begin]
    several = np.flatnonzero(end > begin + 1)
    if several.size:
        # Every second interval is a range; those between two ranges are left out.
        pairs = np.stack([begin[several], end[several]], axis=1).ravel()
        signatures[:, several] = np.minimum.reduceat(minima, pairs, axis=1)[:, ::2]
    keys = np.zeros((BANDS, len(first)), np.uint64)
    for row in range(ROWS):
        keys ^= signatures[row::ROWS]
        mix(keys)
        keys += np.uint64(_ORDER)
    keys[keys == 0] = 1  # zero says that there are no shingles
    return keys.T


def _shingles(hashes: np.ndarray) -> np.ndarray:
    """A uint64 for every SHINGLE consecutive words, from at least that many."""
    count = len(hashes) - SHINGLE + 1
    values = hashes[:count].copy()
    for place in range(1, SHINGLE):
        values *= np.uint64(_ORDER)
        values += hashes[place : place + count]
    return mix(values)


@cache
def _functions() -> tuple[np.ndarray, np.ndarray]:
    """The hash functions x * multiplier + addend modulo 2^32, with odd multipliers: permutations of the 32-bit
    numbers."""
    # The raw stream of PCG64 is the same in every release of numpy; what Generator's methods make of it need not be.
    raw = np.random.PCG64(_SEED).random_raw(BANDS * ROWS)
    return (raw >> np.uint64(32)).astype(np.uint32) | np.uint32(1), raw.astype(np.uint32)


def join_equal(parents: np.ndarray, keys: np.ndarray, rows: np.ndarray) -> None:
    """Puts `rows` with equal `keys` into one group; as join."""
    order = np.argsort(keys)
    keys, rows = keys[order], rows[order]
    same = np.flatnonzero(keys[1:] == keys[:-1])
    join(parents, rows[same], rows[same + 1])


def join(parents: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Puts a[i] and b[i] into one group, where parents[x] is the smallest index of x's group, before and after."""
    while a.size:
        a, b = parents[a], parents[b]
        apart = np.flatnonzero(a != b)
        if not apart.size:
            return
        a, b = a[apart], b[apart]
        # Every larger root goes below one smaller, so that there is no circle, and the smallest stays the root.
        np.minimum.at(parents, np.maximum(a, b), np.minimum(a, b))
        while True:
            above = parents[parents]
            if np.array_equal(above, parents):
                break
            parents[:] = above
