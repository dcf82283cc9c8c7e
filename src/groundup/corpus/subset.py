"""A part of a corpus as a corpus of its own: some of its training documents, all that it holds out, its tokenizer."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundup.corpus.corpus import Corpus, file_sha256, is_corpus
from groundup.corpus.shards import ShardWriter
from groundup.runs import fsync_directory, read_journal, write_atomic


def write_subset(corpus: Corpus, documents: Sequence[int], out: Path) -> Corpus:
    """Write the training documents of the given numbers, in rising order, with everything else of `corpus`, to `out`.

    A corpus that is there already is taken for that. The fingerprint is one of its own. Raises UserError for a damaged
    corpus, OSError where `out` cannot be written.
    """
    if is_corpus(out):
        return Corpus(out)
    new = out.with_name(f".{out.name}.making")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    writer = ShardWriter(new, "train", corpus.tokenizer.dtype, corpus.tokenizer.eos_id)
    for number in documents:
        writer.add(corpus.train.document(int(number)))
    writer.close()
    for path in [*sorted(corpus.path.glob("validation-*")), corpus.path / "tokenizer.json"]:
        _link(path, new / path.name)
    shards = {
        **_facts(sorted(new.glob("train-*.ds"))),
        **{name: facts for name, facts in corpus.manifest["shards"].items() if name.startswith("validation-")},
    }
    rows = _documents(corpus, {int(number) for number in documents})
    (new / "documents.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    train = [row for row in rows if row["split"] == "train"]
    named = hashlib.sha256((new / "tokenizer.json").read_bytes() + json.dumps(shards, sort_keys=True).encode())
    manifest = {
        **corpus.manifest,
        "fingerprint": named.hexdigest()[:32],
        "documents": len(rows),
        "train_tokens": sum(row["tokens"] for row in train),
        "train_bytes": sum(row["bytes"] for row in train),
        "notes": [f"{len(documents):,} of the {len(corpus.train.document_ends):,} training documents of a corpus"],
        "shards": shards,
    }
    write_atomic(new / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    new.rename(out)
    fsync_directory(out.parent)
    return Corpus(out)


def _documents(corpus: Corpus, wanted: set[int]) -> list[dict[str, Any]]:
    """The rows of documents.jsonl that are held out, and those of the wanted training documents."""
    kept, number = [], -1
    for row in read_journal(corpus.path / "documents.jsonl"):
        number += row["split"] == "train"
        if row["split"] != "train" or number in wanted:
            kept.append(row)
    return kept


def _facts(shards: Sequence[Path]) -> dict[str, dict[str, Any]]:
    return {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
            "index_sha256": file_sha256(path.with_suffix(".index")),
        }
        for path in shards
    }


def _link(path: Path, new: Path) -> None:
    try:
        os.link(path, new)  # as it never changes, one copy does for all parts
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(path, new)
