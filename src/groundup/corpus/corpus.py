"""A prepared corpus on disk, opened."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from groundup.corpus.manifest import read_manifest
from groundup.corpus.shards import TokenStream
from groundup.corpus.tokenizer import Tokenizer
from groundup.errors import UserError
from groundup.runs import read_journal

SCORED_TOKENS = 1_000_000
OPENING_TOKENS = 2_000
VERIFIED_BYTES = 256 << 20
"""Size of a split, up to which its content is verified whenever it is opened: half a second at most."""


def is_corpus(path: Path) -> bool:
    """Whether `path` is a directory that `groundup prepare` made."""
    return (path / "manifest.json").is_file() and (path / "documents.jsonl").is_file()


@dataclass
class Corpus:
    """The directory of a prepared corpus. Raises UserError naming what is missing or damaged when it is read."""

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Counts, notes, fingerprint and shards."""
        return read_manifest(self.path / "manifest.json")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the corpus was encoded with."""
        return Tokenizer.load(self.path / "tokenizer.json")

    @cached_property
    def train(self) -> TokenStream:
        """The training tokens."""
        return self._stream("train")

    @cached_property
    def validation(self) -> TokenStream:
        """The held-out tokens; length 0 when nothing was held out."""
        return self._stream("validation")

    def validation_documents(self, at_most: int = SCORED_TOKENS) -> list[np.ndarray]:
        """The tokens of each held-out document, int64, without end-of-text tokens.

        Where more than `at_most` tokens are held out, evenly spaced documents with about that many: always the same.
        """
        stride = max(1, -(-len(self.validation) // at_most))
        return [self.validation.document(n) for n in range(0, len(self.validation.document_ends), stride)]

    def held_out_texts(self, limit: int) -> list[str]:
        """The openings of the first `limit` held-out documents, or training documents when none is held out."""
        stream = self.validation if len(self.validation) else self.train
        count = min(limit, len(stream.document_ends))
        return [self.tokenizer.decode(stream.document(n)[:OPENING_TOKENS].tolist()) for n in range(count)]

    def ledger(self) -> Iterator[dict[str, Any]]:
        """One row for every file and archive member: read, skipped or failed, with why."""
        return read_journal(self.path / "ledger.jsonl")

    def _stream(self, split: str) -> TokenStream:
        shards = [self.path / name for name in self.manifest["shards"] if name.startswith(f"{split}-")]
        written = self.manifest["shards"]
        verified = sum(written[shard.name]["bytes"] for shard in shards) <= VERIFIED_BYTES
        for shard in shards:
            index, facts = shard.with_suffix(".index"), written[shard.name]
            if not shard.is_file() or shard.stat().st_size != facts["bytes"] or not index.is_file():
                raise UserError(
                    "a shard of the corpus is missing or has another size", where=shard, fix="prepare the corpus again"
                )
            for path, name in ((index, "index_sha256"), (shard, "sha256")):
                if verified and name in facts and file_sha256(path) != facts[name]:
                    raise UserError(
                        "is damaged: it is not what was written", where=path, fix="prepare the corpus again"
                    )
        return TokenStream(shards, self.tokenizer.dtype, self.tokenizer.vocab_size)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
