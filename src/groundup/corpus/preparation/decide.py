"""The decisions that need every document: which repeat others, which text is held out, which paragraphs go.

They are made from names and sketches alone, never from texts, so that they fit into one process.
"""

from collections.abc import Iterator

import numpy as np

from groundup.corpus.copies.minhash import BANDS, similar
from groundup.corpus.preparation.split import cutting_size, hold_out, planned_share
from groundup.corpus.preparation.work import Work
from groundup.errors import UserError

ENOUGH_BANDS = 2  # of 14: shared by 71% of pairs with a Jaccard similarity of 0.8, 4% with 0.62
CHAINS = 4  # times that a chain is divided: most need one, and a chain of thousands would need thousands
MOST_LONGER = 1.5  # times the characters of the paragraph that stays
EXACT, NEAR, PARAGRAPH, ACROSS = range(4)
KINDS = ("exact", "near", "paragraph", "across the split")


def drop_duplicates(work: Work, parts: int) -> None:
    """Which documents are kept: the first of those with equal texts, and the first of near copies if asked for.

    Also notes the share to hold out, and the size to cut documents at where they are too few for that. Raises UserError
    when there is no document.
    """
    data = work.settings["data"]
    facts = list(_facts(work, parts, "digests", "sizes"))
    digests = np.concatenate([part["digests"] for part in facts])
    sizes = np.concatenate([part["sizes"] for part in facts])
    if not len(sizes):
        raise UserError(
            "no text is left: every document was blank when it was cleaned, or dropped by data.filter",
            fix="see what `groundup read FILE` prints, or use data.filter=none",
        )
    own = np.arange(len(sizes))
    exact = _first_equal(digests)
    like = own if data["dedup"] == "exact" else groups(work, parts, "documents")
    kept = (exact == own) & (like == own)
    repeats, near = np.flatnonzero(exact != own), np.flatnonzero((exact == own) & (like != own))
    pairs = np.zeros((len(repeats) + len(near), 7), np.int64)
    pairs[:, 0] = [EXACT] * len(repeats) + [NEAR] * len(near)
    pairs[:, 1] = np.concatenate([repeats, near])
    pairs[:, 4] = np.concatenate([exact[repeats], like[near]])
    work.save("pairs", 0, pairs=pairs)
    at = 0
    for part, fact in enumerate(facts):
        count = len(fact["sizes"])
        work.save("kept", part, kept=kept[at : at + count])
        at += count
    left = sizes[kept]
    share = planned_share(int(left.sum())) if data["validation"] is None else data["validation"]
    work.note("cutting", {"share": share, "size": cutting_size(left, share), "documents": len(left)})


def split(work: Work, parts: int) -> None:
    """What is held out, and which paragraphs leave the training side: later near copies of others if asked for, and
    always copies of paragraphs that are held out."""
    cutting = work.noted("cutting")
    notes: list[str] = []
    units = _Units(work, parts, cutting["size"] is not None)
    if cutting["size"] is not None:
        blocks = np.bincount(units.document)
        if np.any(blocks > 1):
            notes.append(
                f"few or uneven documents: {np.sum(blocks > 1)} of {cutting['documents']} were cut into"
                f" {blocks[blocks > 1].sum()} blocks of about {cutting['size']:,} bytes at paragraph ends, and whole"
                " blocks are held out for validation"
            )
        if repeated := units.drop_repeated():
            notes.append(f"blocks that repeat others word for word were left out: {repeated:,} bytes")
    held_out = hold_out(units.digest, units.size, cutting["share"], work.settings["seed"])
    if cutting["share"] and not held_out.any():
        notes.append("the text is too short to hold any of it out: there is no validation")
    removed, counts = _paragraphs(work, parts, units, held_out)
    for part in range(parts):
        first, last = np.searchsorted(units.part, [part, part + 1])
        rows = np.stack([units.document - units.base[units.part], units.start, units.end, held_out], 1)[first:last]
        lost = removed[slice(*np.searchsorted(removed[:, 0], [first, last]))] - [first, 0, 0]
        work.save("units", part, units=rows, removed=lost)
    train = int(units.size[~held_out].sum() - (removed[:, 2] - removed[:, 1]).sum())
    work.note("split", {"train_bytes": train, "bytes": int(units.size.sum()), "notes": notes, **counts})


def groups(work: Work, parts: int, kind: str) -> np.ndarray:
    """(N,) the first of the `documents` or `paragraphs` that each one is like.

    Documents are like each other when they share a band, and so are chains of them, as in FineWeb. Of paragraphs, which
    are short and many, each has to share ENOUGH_BANDS or all words with the first of its chain; those that do not are
    grouped again among themselves.
    """
    counts = [len(fact[kind]) for fact in _facts(work, parts, kind)]
    # on disk, because these 112 bytes a row are most of what there is
    bands = np.lib.format.open_memmap(work.path / f"{kind}.npy", "w+", np.uint64, (sum(counts), BANDS))
    at = 0
    for count, fact in zip(counts, _facts(work, parts, kind), strict=True):
        bands[at : at + count] = fact[kind]
        at += count
    names, sizes = None, np.empty(0)
    if kind == "paragraphs":
        facts = list(_facts(work, parts, "names", "starts", "ends"))
        names = np.concatenate([fact["names"] for fact in facts])
        sizes = np.concatenate([fact["ends"] - fact["starts"] for fact in facts])
    if work.has(f"{kind}-groups"):  # found on a cluster
        first = work.load(f"{kind}-groups", 0)["first"]
    else:
        first = similar(bands, names)
    if names is not None:
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


class _Units:
    """What is held out or not as a whole: documents, or blocks of them where documents are too few; as columns."""

    def __init__(self, work: Work, parts: int, cut: bool) -> None:
        counts = [len(fact["sizes"]) for fact in _facts(work, parts, "sizes")]
        self.base = np.cumsum([0, *counts])
        """The number of each part's first document among all."""
        rows, digests, of = [], [], []
        for part in range(parts):
            if cut:
                blocks = work.load("blocks", part)
                here, names = blocks["rows"], blocks["digests"]
            else:
                fact = work.load("facts", part)
                kept = np.flatnonzero(work.load("kept", part)["kept"])
                whole = np.full(len(kept), -1)
                here = np.stack([kept, np.zeros_like(kept), whole, fact["sizes"][kept]], 1)
                names = fact["digests"][kept]
            rows.append(here + np.array([self.base[part], 0, 0, 0]))
            digests.append(names)
            of.append(np.full(len(here), part))
        self.document, self.start, self.end, self.size = np.concatenate(rows).T
        self.digest = np.concatenate(digests)
        self.part = np.concatenate(of)

    def drop_repeated(self) -> int:
        """Drop blocks whose text is that of an earlier one; their bytes."""
        kept = _first_equal(self.digest) == np.arange(len(self.digest))
        bytes_lost = int(self.size[~kept].sum())
        for name in ("document", "start", "end", "size", "digest", "part"):
            setattr(self, name, getattr(self, name)[kept])
        return bytes_lost

    def touching(self, document: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first unit that characters `start` to `end` of `document` lie in, and the one after the last; a block may
        end inside of them, and the blocks they lie in may have been dropped."""
        starts = (self.document << 32) + self.start
        ends = (self.document << 32) + np.where(self.end < 0, (1 << 32) - 1, self.end)
        return (
            np.searchsorted(ends, (document << 32) + start, side="right"),
            np.searchsorted(starts, (document << 32) + end, side="left"),
        )


def _paragraphs(
    work: Work, parts: int, units: _Units, held_out: np.ndarray
) -> tuple[np.ndarray, dict[str, dict[str, int]]]:
    """(R, 3) unit, start and end of what is removed, sorted; and how many paragraphs and characters, by kind."""
    facts = list(_facts(work, parts, "owners", "starts", "ends", "names"))
    document = np.concatenate([fact["owners"] + units.base[part] for part, fact in enumerate(facts)])
    start, end, names = (np.concatenate([fact[key] for fact in facts]) for key in ("starts", "ends", "names"))
    unit, after = units.touching(document, start.astype(np.int64), end.astype(np.int64))
    if near := work.settings["data"]["dedup"] == "paragraphs":
        group = groups(work, parts, "paragraphs")
    else:
        group = np.unique(names, return_inverse=True)[1]
    used = unit < after
    held = np.concatenate([[0], np.cumsum(held_out)])
    count = np.where(used, held[np.maximum(after, unit)] - held[unit], 0)
    out, trained = count > 0, count < after - unit  # both, where a block that is held out ends inside
    # of each group, the copy that stays: the first that is held out, or else the first of all
    order = np.flatnonzero(used)
    order = order[np.lexsort((order, ~out[order], group[order]))]
    first = np.ones(len(order), bool)
    first[1:] = group[order][1:] != group[order][:-1]
    stays = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    across = out[stays] & ~first & trained[order]
    lost = across | (~first & ~out[order]) if near else across
    removed, kept = order[lost], stays[lost]
    kinds = np.where(across[lost], ACROSS, PARAGRAPH)
    pairs = np.stack(
        [kinds, document[removed], start[removed], end[removed], document[kept], start[kept], end[kept]], 1
    )
    pairs = pairs[np.lexsort((pairs[:, 2], pairs[:, 1]))]
    work.save("pairs", 1, pairs=pairs.astype(np.int64))
    counts = {
        KINDS[kind]: {
            "paragraphs": int(np.sum(kinds == kind)),
            "characters": int((end - start)[removed][kinds == kind].sum()),
        }
        for kind in (PARAGRAPH, ACROSS)
    }
    rows = _pieces(units, held_out, np.stack([unit, after, start, end], 1)[np.sort(removed)])
    return rows, counts


def _pieces(units: _Units, held_out: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """(R, 3) unit, start and end of `spans`, (N, 4) first unit, the one after the last, start and end, in the training
    units that they lie in: mostly one."""
    spans = np.repeat(spans, spans[:, 1] - spans[:, 0], axis=0)
    new = np.ones(len(spans), bool)
    new[1:] = np.any(spans[1:] != spans[:-1], 1)
    number = np.arange(len(spans))
    unit = spans[:, 0] + number - np.maximum.accumulate(np.where(new, number, 0))
    start = np.maximum(spans[:, 2], units.start[unit])
    end = np.where(units.end[unit] < 0, spans[:, 3], np.minimum(spans[:, 3], units.end[unit]))
    return np.stack([unit, start, end], 1)[~held_out[unit] & (start < end)]


def _facts(work: Work, parts: int, *names: str) -> Iterator[dict[str, np.ndarray]]:
    for part in range(parts):
        yield work.load("facts", part, *names)


def _first_equal(digests: np.ndarray) -> np.ndarray:
    """(N,) the first row of `digests`, (N, 2), that is equal to each."""
    _, first, inverse = np.unique(digests, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)]
