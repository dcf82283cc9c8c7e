"""Back from tokens to documents: where a token came from, and which texts were taken for copies of each other."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from groundup.corpus.copies.minhash import jaccard
from groundup.corpus.corpus import Corpus
from groundup.corpus.preparation.store import document_of, read_headers
from groundup.corpus.texts.cleaning import clean_document
from groundup.errors import UserError
from groundup.runs import read_journal

_AROUND = 40  # tokens shown before and after
_EXCERPT = 300  # characters


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a token came from."""

    source: str
    media_type: str
    page: int | None
    """Page, slide, sheet or chapter, from 1; None where there are none."""
    character: int
    """Offset in the document's clean text, as `groundup read` prints it."""
    token: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A text that was left out, and the one that stayed in its place."""

    kind: str
    """"exact", "near", "paragraph" or "across the split"."""
    removed: str
    kept: str
    removed_text: str
    """Its beginning; empty where the corpus has not kept its texts."""
    kept_text: str
    similarity: float | None
    """Jaccard similarity of their 5-word shingles."""


def find_origin(corpus: Corpus, token: str) -> Origin:
    """The origin of a token, given as shard and offset: "train-00000.ds:1234". Raises UserError where there is none."""
    shard, _, digits = token.partition(":")
    if not digits.isdecimal():
        raise UserError(f"{token!r} is no token", where=corpus.path, fix="give SHARD:OFFSET, as train-00000.ds:1234")
    offset, shards = int(digits), corpus.manifest["shards"]
    if shard not in shards:
        raise UserError(f"has no shard {shard!r}", where=corpus.path, fix=f"it has {', '.join(shards)}")
    split, number = shard.removesuffix(".ds").rsplit("-", 1)
    ends = [np.fromfile(corpus.path / f"{split}-{n:05d}.index", "<u8") for n in range(int(number) + 1)]
    size = int(ends[-1][-1]) if len(ends[-1]) else 0
    if not 0 <= offset < size:
        raise UserError(f"has no token {offset}", where=corpus.path / shard, fix=f"it has tokens 0 to {size - 1}")
    here = int(np.searchsorted(ends[-1], offset, side="right"))
    document = sum(map(len, ends[:-1])) + here
    rows = (row for row in read_journal(corpus.path / "documents.jsonl") if row["split"] == split)
    row = next(islice(rows, document, None))
    tokens = getattr(corpus, split).document(document).tolist()
    at = offset - (int(ends[-1][here - 1]) if here else 0)
    decode = corpus.tokenizer.decode
    position = row.get("characters", [0])[0] + len(corpus.tokenizer.decode_bytes(tokens[:at]).decode(errors="ignore"))
    for start, end in row.get("removed", ()):
        if start <= position:
            position += end - start
    return Origin(
        row["source"],
        row["media_type"],
        bisect_right(row["pages"], position) if "pages" in row else None,
        position,
        decode(tokens[at : at + 1]),
        decode(tokens[max(0, at - _AROUND) : at]),
        decode(tokens[at + 1 : at + 1 + _AROUND]),
    )


def find_pairs(corpus: Corpus, limit: int) -> list[Pair]:
    """The first `limit` pairs of each kind."""
    seen: dict[str, int] = {}
    rows = []
    for row in read_journal(corpus.path / "duplicates.jsonl"):
        seen[row["kind"]] = seen.get(row["kind"], 0) + 1
        if seen[row["kind"]] <= limit:
            rows.append(row)
    settings = corpus.manifest["settings"]
    wanted = {row[side] for row in rows for side in ("removed", "kept")}
    texts = {
        document.source: clean_document(document, settings["data.clean"], settings["data.mask"])[0].text
        for document in _documents(corpus.path / "texts", wanted)
    }
    pairs = []
    for row in rows:
        removed, kept = (
            texts.get(row[side], "")[slice(*row.get(f"{side}_at", (None, None)))] for side in ("removed", "kept")
        )
        similarity = round(jaccard(removed, kept), 3) if removed and kept else None
        pairs.append(Pair(row["kind"], row["removed"], row["kept"], removed[:_EXCERPT], kept[:_EXCERPT], similarity))
    return pairs


def _documents(folder: Path, wanted: set[str]) -> Iterator:
    for path in sorted(folder.glob("*.docs")):
        with path.open("rb") as file:
            for header, at in read_headers(path):
                if header.get("source") in wanted:
                    file.seek(at)
                    yield document_of(header, file.read(header["bytes"]))
