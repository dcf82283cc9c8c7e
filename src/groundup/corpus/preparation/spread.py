"""What a preparation on many machines does beside the stages of one: inputs divided among tasks, and near copies found
through files that datatrove's MinHash stages sort and match."""

import json
import os
import resource
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from groundup.corpus.copies.minhash import BANDS, join
from groundup.corpus.preparation.decide import drop_duplicates, split
from groundup.corpus.preparation.prepare import finish, publish
from groundup.corpus.preparation.settings import reading_options
from groundup.corpus.preparation.stages import STAGES
from groundup.corpus.preparation.store import PartWriter, header_of
from groundup.corpus.preparation.vocabulary import learn_tokenizer
from groundup.corpus.preparation.work import Work
from groundup.documents import Document, FileRecord, Limits, find_files
from groundup.documents.pieces import Piece, in_pieces
from groundup.documents.read import read_found
from groundup.errors import UserError
from groundup.events import nobody

BUCKETS = BANDS + 1  # the bands, and the names of paragraphs
PUBLISHED = "published"
"""The note that the corpus is in its place."""
_KEY = np.dtype([("key", "<u8"), ("row", "<u4")])
_KEY_BITS = np.uint64((1 << 60) - 1)  # datatrove takes keys of 2^61 - 1 and more for the end of a file
_LINES_AHEAD = 1_000_000  # keys that a matching task holds, from all parts together: 0.3 GB


def list_inputs(paths: Sequence[Path], exclude: Sequence[str] = ()) -> list[str]:
    """The files and pieces of `paths` but what matches `exclude`, in the order of `find_files`, each a line of JSON
    that also says when it was changed. Raises UserError for a path that does not exist."""
    rows = []
    for item in in_pieces(find_files(paths, exclude)):
        if isinstance(item, FileRecord):
            rows.append({"record": asdict(item), "bytes": 0})
            continue
        assert isinstance(item, Path | Piece)
        path, piece = (item.path, [item.start, item.end]) if isinstance(item, Piece) else (item, None)
        try:
            status = path.stat()
        except OSError:  # gone already; whoever reads it says so
            rows.append({"path": str(path), "piece": piece, "bytes": 0})
            continue
        size = piece[1] - piece[0] if piece else status.st_size
        rows.append({"path": str(path), "piece": piece, "bytes": size, "changed": status.st_mtime_ns})
    return [json.dumps(row) for row in rows]


def divide_inputs(work: Work, rows: Sequence[str], parts: int) -> None:
    """Divide what `list_inputs` gave into `parts` runs of about equal bytes.

    The order of the documents is the same for any number of parts, and so is all that is made of them."""
    sizes = np.array([json.loads(row)["bytes"] for row in rows], np.int64)
    middle = np.cumsum(sizes) - sizes / 2
    part = np.minimum(middle / max(int(sizes.sum()), 1) * parts, parts - 1).astype(int)
    ends = np.searchsorted(part, np.arange(parts), side="right")
    folder = work.folder("inputs")
    for number, end in enumerate(ends.tolist()):
        begin = int(ends[number - 1]) if number else 0
        (folder / f"{number:05d}.jsonl").write_text("".join(row + "\n" for row in rows[begin:end]), encoding="utf-8")


def read(work: Work, part: int) -> None:
    """The files of a part -> clean texts and what is known of them, and keys that near copies are found by."""
    os.chdir(work.noted("directory"))  # paths are as the user gave them, and name the documents

    def found() -> Iterator[Path | Piece | FileRecord]:
        with (work.folder("inputs") / f"{part:05d}.jsonl").open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if "record" in row:
                    yield FileRecord(**row["record"])
                else:
                    path = Path(row["path"])
                    yield Piece(path, *row["piece"]) if row["piece"] else path

    writer = PartWriter(work.folder("texts"), 0, first=part)
    options = reading_options(work.settings["data"])
    for item in read_found(found(), limits=Limits(), options=options, workers=1):
        text = item.text.encode() if isinstance(item, Document) else b""
        writer.write(header_of(item, text), text)
    writer.close()
    STAGES["examine"](work, part)
    work.texts(part).unlink()  # the clean texts are all that later stages read
    if work.settings["data"]["dedup"] != "exact":
        _write_keys(work, part)


def _write_keys(work: Work, part: int) -> None:
    """Sketches of a part -> a file of sorted (key, row) for each bucket, as datatrove's MinHash stage 2 reads it."""
    facts = work.load("facts", part)
    for kind in _kinds(work):
        columns = [facts[kind][:, band] for band in range(BANDS)]
        columns.append(facts["names"] if kind == "paragraphs" else np.zeros(len(facts[kind]), np.uint64))
        for bucket, column in enumerate(columns):
            rows = np.flatnonzero(column)
            keys = np.empty(len(rows), _KEY)
            keys["key"], keys["row"] = column[rows] & _KEY_BITS, rows
            keys.sort(order=("key", "row"))
            folder = work.path / f"{kind}-keys" / f"bucket_{bucket:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            keys.tofile(folder / f"{part:05d}.minhash.sig")


def match(work: Work, part: int) -> None:
    """The keys of one bucket of documents (parts 0 to BUCKETS - 1) or paragraphs (the following) -> pairs of rows."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.utils.hashing import HashConfig

    kind, bucket = _kinds(work)[part // BUCKETS], part % BUCKETS
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # it opens a file of each part at once
    config = MinhashConfig(
        num_buckets=BUCKETS, hashes_per_bucket=1, hash_config=HashConfig(precision=64, hash_fc="sha1")
    )
    MinhashDedupBuckets(
        str(work.path / f"{kind}-keys"),
        str(work.path / f"{kind}-matches"),
        config=config,
        lines_to_buffer=max(10, _LINES_AHEAD // work.noted("parts")),
    ).run(rank=bucket, world_size=BUCKETS)


def join_matches(work: Work, part: int) -> None:
    """The pairs of all buckets -> the first of each group; `part` 0 is documents, 1 paragraphs."""
    kind = _kinds(work)[part]
    column = {"documents": "sizes", "paragraphs": "names"}[kind]  # smaller than the sketches
    counts = [len(work.load("facts", number, column)[column]) for number in range(work.noted("parts"))]
    base = np.cumsum([0, *counts])
    first = np.arange(base[-1])
    for path in sorted((work.path / f"{kind}-matches").glob("*.dups")):
        pairs = np.fromfile(path, "<u4").reshape(-1, 4).astype(np.int64)
        join(first, base[pairs[:, 0]] + pairs[:, 1], base[pairs[:, 2]] + pairs[:, 3])
    work.save(f"{kind}-groups", 0, first=first)


def decide_documents(work: Work, part: int) -> None:
    """`drop_duplicates` as a task of its own."""
    parts = work.noted("parts")
    if not any(len(work.load("facts", number, "sizes")["sizes"]) for number in range(parts)):
        raise UserError("no text could be read", where=work.noted("out"), fix="see what `groundup read` makes of it")
    drop_duplicates(work, parts)


def cut_long(work: Work, part: int) -> None:
    """`cut`, where documents are too few to be held out whole."""
    if work.noted("cutting")["size"] is not None:
        STAGES["cut"](work, part)


def decide_split(work: Work, part: int) -> None:
    """`split` as a task of its own."""
    split(work, work.noted("parts"))


def decide_vocabulary(work: Work, part: int) -> None:
    """`learn_tokenizer` as a task of its own."""
    learn_tokenizer(work, work.noted("parts"), nobody, lambda: None)


def put_together(work: Work, part: int) -> None:
    """Put the corpus together, publish it, and remove what it was made from."""
    if (work.path / f"{PUBLISHED}.json").exists():
        return  # it was stopped while it removed
    shutil.rmtree(work.path / "corpus", ignore_errors=True)  # of a try that was stopped
    finish(work, work.noted("parts"))
    publish(work.path / "corpus", Path(work.noted("out")))
    work.note(PUBLISHED, True)
    for path in work.path.iterdir():
        if path.is_dir() and path.name != "logs":
            shutil.rmtree(path, ignore_errors=True)


def _kinds(work: Work) -> tuple[str, ...]:
    """Of what near copies are looked for."""
    return {"exact": (), "documents": ("documents",), "paragraphs": ("documents", "paragraphs")}[
        work.settings["data"]["dedup"]
    ]


ALL_STAGES = STAGES | {
    stage.__name__: stage
    for stage in (
        read,
        match,
        join_matches,
        decide_documents,
        cut_long,
        decide_split,
        decide_vocabulary,
        put_together,
    )
}
