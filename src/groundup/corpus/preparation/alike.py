"""Which documents are like which, and which paragraphs: their keys go through buckets on the disk, so that what is held
in memory hardly grows with the corpus."""

from collections.abc import Iterator

import numpy as np

from groundup.corpus.copies.minhash import join_equal, similar
from groundup.corpus.preparation.work import Work

ENOUGH_BANDS = 2  # of 14: shared by 71% of pairs with a Jaccard similarity of 0.8, 4% with 0.62
CHAINS = 4  # times that a chain is divided: most need one, and a chain of thousands would need thousands
MOST_LONGER = 1.5  # times the characters of the paragraph that stays
BUCKET_ROWS = 1 << 16  # 40 MB with all their keys, sorted
MOST_BUCKETS = 256  # each part of a corpus opens all of them
_COLUMN = np.uint64(0x9E3779B97F4A7C15)  # odd: keeps equal keys of two columns apart


def like_documents(work: Work, parts: int) -> np.ndarray:
    """(N,) the first of the documents that each is like: that it shares a band with, or a chain of such; as in
    FineWeb."""
    return _grouped(work, parts, "documents")


def like_paragraphs(work: Work, parts: int) -> np.ndarray:
    """(P,) the first of the paragraphs that each is like.

    Paragraphs are short and many, so that each also has to share ENOUGH_BANDS or all words with the first of its chain;
    those that do not are grouped again among themselves.
    """
    first = _grouped(work, parts, "paragraphs")
    some = np.flatnonzero(repeated(first))
    kept: list[tuple[np.ndarray, ...]] = []
    base = 0
    for fact in facts(work, parts, "paragraphs", "names", "starts", "ends"):
        here = some[slice(*np.searchsorted(some, [base, base + len(fact["names"])]))] - base
        sizes = fact["ends"][here] - fact["starts"][here]
        kept.append((fact["paragraphs"][here], fact["names"][here], sizes))
        base += len(fact["names"])
    bands, names, sizes = (np.concatenate(column) for column in zip(*kept, strict=True))
    first[some] = some[_divided(np.searchsorted(some, first[some]), bands, names, sizes)]
    return first


def repeated(first: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a row shares its group with another, of groups that `first` names the first row of."""
    found = first != np.arange(len(first))
    found[first[found]] = True
    return found


def facts(work: Work, parts: int, *names: str) -> Iterator[dict[str, np.ndarray]]:
    """What is known of the texts of each part, by `names`."""
    for part in range(parts):
        yield work.load("facts", part, *names)


def _grouped(work: Work, parts: int, kind: str) -> np.ndarray:
    """(N,) the first of each group of rows that share a key, or chains of them."""
    if work.has(f"{kind}-groups"):  # found on a cluster
        return work.load(f"{kind}-groups", 0)["first"]
    columns = [kind, "names"] if kind == "paragraphs" else [kind]
    count = sum(len(fact[columns[-1]]) for fact in facts(work, parts, columns[-1]))
    buckets = min(count // BUCKET_ROWS + 1, MOST_BUCKETS)
    paths = [work.folder(f"{kind}-keys") / f"{bucket:05d}" for bucket in range(buckets)]
    base = 0
    for fact in facts(work, parts, *columns):
        keys = np.column_stack([fact[name] for name in columns])
        row, column = np.nonzero(keys)
        keys = keys[row, column] + column.astype(np.uint64) * _COLUMN
        bucket = (keys % np.uint64(buckets)).astype(np.int64)
        order = np.argsort(bucket, kind="stable")
        entries = np.stack([keys, (row + base).astype(np.uint64)], 1)[order]
        ends = np.searchsorted(bucket[order], np.arange(buckets), side="right")
        for path, some in zip(paths, np.split(entries, ends[:-1]), strict=True):
            with path.open("ab") as file:
                some.tofile(file)
        base += len(fact[columns[0]])
    first = np.arange(count)
    for path in paths:
        entries = np.fromfile(path, np.uint64).reshape(-1, 2)
        path.unlink()
        join_equal(first, entries[:, 0], entries[:, 1].astype(np.int64))
    return first


def _divided(first: np.ndarray, bands: np.ndarray, names: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """`first` with the chains divided whose ends are not like each other."""
    rows = np.flatnonzero(first != np.arange(len(first)))
    for _ in range(CHAINS):
        rows = _unlike(rows, first, bands, names, sizes)
        first[rows] = rows[similar(bands[rows], names[rows])]
    rows = _unlike(rows, first, bands, names, sizes)
    _, at, inverse = np.unique(names[rows], return_index=True, return_inverse=True)
    first[rows] = rows[at[inverse]]  # in what is left of long chains, equal words alone count
    return first


def _unlike(rows: np.ndarray, first: np.ndarray, bands: np.ndarray, names: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Those of `rows` that have neither all words of the `first` of their group, nor ENOUGH_BANDS and about its size:
    sets of shingles do not tell how often a text says the same."""
    like = first[rows]
    shared = np.sum((bands[rows] == bands[like]) & (bands[rows] != 0), 1)
    near = (
        (shared >= ENOUGH_BANDS) & (sizes[rows] < MOST_LONGER * sizes[like]) & (sizes[like] < MOST_LONGER * sizes[rows])
    )
    return rows[~near & (names[rows] != names[like])]
