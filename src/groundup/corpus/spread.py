"""What a preparation on many machines does beside the stages of one: inputs divided among tasks, and near copies found
through files that datatrove's MinHash stages sort and match."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from groundup.corpus.decide import drop_duplicates, split
from groundup.corpus.minhash import BANDS, join
from groundup.corpus.prepare import finish, publish
from groundup.corpus.settings import reading_options
from groundup.corpus.stages import STAGES
from groundup.corpus.store import PartWriter, header_of
from groundup.corpus.vocabulary import learn_tokenizer
from groundup.corpus.work import Work
from groundup.documents import Document, FileRecord, Limits, Server, find_files
from groundup.documents.read import read_found
from groundup.errors import UserError
from groundup.events import nobody

BUCKETS = BANDS + 1  # the bands, and the names of paragraphs
_KEY = np.dtype([("key", "<u8"), ("row", "<u4")])
_KEY_BITS = np.uint64((1 << 60) - 1)  # datatrove takes keys of 2^61 - 1 and more for the end of a file


def list_inputs(work: Work, paths: Sequence[Path | Server], parts: int) -> int:
    """Divide the files of `paths` into `parts` runs of about equal bytes, in the order of `find_files`; how many files.

    The order of the documents is the same for any number of parts, and so is all that is made of them."""
    found = list(find_files(paths))
    sizes = [item.stat().st_size if isinstance(item, Path) else 0 for item in found]
    middle = np.cumsum([0, *sizes])[:-1] + np.array(sizes) / 2
    part = np.minimum(middle / max(sum(sizes), 1) * parts, parts - 1).astype(int)
    folder = work.folder("inputs")
    for number in range(parts):
        rows = [
            json.dumps({"path": str(item)} if isinstance(item, Path) else {"record": asdict(item)})
            for item, at in zip(found, part, strict=True)
            if at == number
        ]
        (folder / f"{number:05d}.jsonl").write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return len(found)


def read(work: Work, part: int) -> None:
    """The files of a part -> texts."""

    def found() -> Iterator[Path | FileRecord]:
        with (work.folder("inputs") / f"{part:05d}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield Path(row["path"]) if "path" in row else FileRecord(**row["record"])

    writer = PartWriter(work.folder("texts"), 0, first=part)
    options = reading_options(work.settings["data"])
    for item in read_found(found(), limits=Limits(), options=options, workers=1):
        text = item.text.encode() if isinstance(item, Document) else b""
        writer.write(header_of(item, text), text)
    writer.close()


def write_keys(work: Work, part: int) -> None:
    """Sketches of a part -> a file of sorted (key, row) for each bucket, as datatrove's MinHash stage 2 reads it."""
    facts = work.load("facts", part)
    for kind in ("documents", "paragraphs"):
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


def join_matches(work: Work, part: int) -> None:
    """The pairs that datatrove's stage 2 matched -> the first of each group; `part` 0 is documents, 1 paragraphs."""
    kind = ("documents", "paragraphs")[part]
    parts = work.noted("parts")
    counts = [len(work.load("facts", number, kind)[kind]) for number in range(parts)]
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
    """Put the corpus together and publish it."""
    finish(work, work.noted("parts"))
    publish(work.path / "corpus", Path(work.noted("out")))


ALL_STAGES = STAGES | {
    stage.__name__: stage
    for stage in (
        read,
        write_keys,
        join_matches,
        decide_documents,
        cut_long,
        decide_split,
        decide_vocabulary,
        put_together,
    )
}
