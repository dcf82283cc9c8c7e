"""The decisions that need every document: which repeat others, which text is held out, which paragraphs go.

They are made from names and sketches alone, never from texts, so that they fit into one process.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from groundup.corpus.preparation.alike import facts, like_documents, like_paragraphs, repeated
from groundup.corpus.preparation.split import cutting_size, hold_out, planned_share
from groundup.corpus.preparation.work import Work
from groundup.errors import UserError

EXACT, NEAR, PARAGRAPH, ACROSS = range(4)
KINDS = ("exact", "near", "paragraph", "across the split")


def drop_duplicates(work: Work, parts: int) -> None:
    """Which documents are kept: the first of those with equal texts, and the first of near copies if asked for.

    Also notes the share to hold out, and the size to cut documents at where they are too few for that. Raises UserError
    when there is no document.
    """
    data = work.settings["data"]
    named = list(facts(work, parts, "digests", "sizes"))
    digests = np.concatenate([part["digests"] for part in named])
    sizes = np.concatenate([part["sizes"] for part in named])
    if not len(sizes):
        raise UserError(
            "no text is left: every document was blank when it was cleaned, or dropped by data.filter",
            fix="see what `groundup read FILE` prints, or use data.filter=none",
        )
    own = np.arange(len(sizes))
    exact = _first_equal(digests)
    like = own if data["dedup"] == "exact" else like_documents(work, parts)
    kept = (exact == own) & (like == own)
    repeats, near = np.flatnonzero(exact != own), np.flatnonzero((exact == own) & (like != own))
    pairs = np.zeros((len(repeats) + len(near), 7), np.int64)
    pairs[:, 0] = [EXACT] * len(repeats) + [NEAR] * len(near)
    pairs[:, 1] = np.concatenate([repeats, near])
    pairs[:, 4] = np.concatenate([exact[repeats], like[near]])
    work.save("pairs", 0, pairs=pairs)
    at = 0
    for part, fact in enumerate(named):
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


class _Units:
    """What is held out or not as a whole: documents, or blocks of them where documents are too few; as columns."""

    def __init__(self, work: Work, parts: int, cut: bool) -> None:
        counts = [len(fact["sizes"]) for fact in facts(work, parts, "sizes")]
        self.base = np.cumsum([0, *counts])
        """The number of each part's first document among all."""
        rows, digests, of = [], [], []
        for part in range(parts):
            if cut:
                blocks = work.load("blocks", part)
                here, names = blocks["rows"], blocks["digests"]
            else:
                fact = work.load("facts", part, "digests", "sizes")
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
        starts, ends = self._borders
        return (
            np.searchsorted(ends, (document << 32) + start, side="right"),
            np.searchsorted(starts, (document << 32) + end, side="left"),
        )

    @cached_property
    def _borders(self) -> tuple[np.ndarray, np.ndarray]:
        ends = np.where(self.end < 0, (1 << 32) - 1, self.end)
        return (self.document << 32) + self.start, (self.document << 32) + ends


def _paragraphs(
    work: Work, parts: int, units: _Units, held_out: np.ndarray
) -> tuple[np.ndarray, dict[str, dict[str, int]]]:
    """(R, 3) unit, start and end of what is removed, sorted; and how many paragraphs and characters, by kind."""
    near = work.settings["data"]["dedup"] == "paragraphs"
    held = np.concatenate([[0], np.cumsum(held_out)])
    like = like_paragraphs(work, parts) if near else None
    rows = list(_may_repeat(work, parts, units, held, like))
    document, start, end, group, unit, after = (np.concatenate(column) for column in zip(*rows, strict=True))
    group = np.unique(group, return_inverse=True)[1]
    used = unit < after
    count = _held_units(held, unit, after)
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


def _may_repeat(
    work: Work, parts: int, units: _Units, held: np.ndarray, like: np.ndarray | None
) -> Iterator[tuple[np.ndarray, ...]]:
    """(document, start, end, group, first unit, the one after the last) of the paragraphs of each part that are `like`
    others; without it, of those with the name of one that is held out, which is then their group."""

    def rows(part: int) -> tuple[np.ndarray, ...]:
        fact = work.load("facts", part, "owners", "starts", "ends", "names")
        document = fact["owners"] + units.base[part]
        start, end = fact["starts"].astype(np.int64), fact["ends"].astype(np.int64)
        return document, start, end, fact["names"], *units.touching(document, start, end)

    if like is not None:
        wanted, base = repeated(like), 0
        for part in range(parts):
            document, start, end, names, *of = rows(part)
            here = slice(base, base + len(names))
            base += len(names)
            yield tuple(column[wanted[here]] for column in (document, start, end, like[here], *of))
        return
    names = []
    for part in range(parts):
        *_, name, unit, after = rows(part)
        names.append(name[_held_units(held, unit, after) > 0])
    wanted = np.unique(np.concatenate(names))
    for part in range(parts):
        columns = rows(part)
        found = np.isin(columns[3], wanted)
        yield tuple(column[found] for column in columns)


def _held_units(held: np.ndarray, unit: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(N,) how many of the units from `unit` to the one before `after` are held out; `held` counts them up to each."""
    return np.where(unit < after, held[np.maximum(after, unit)] - held[unit], 0)


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


def _first_equal(digests: np.ndarray) -> np.ndarray:
    """(N,) the first row of `digests`, (N, 2), that is equal to each."""
    _, first, inverse = np.unique(digests, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)]
