"""Tokens on disk: `NAME-00000.ds` holds raw little-endian ids, `NAME-00000.index` the uint64 end of each document.

The layout is datatrove's, so that corpora made on a cluster can be trained on. Each document ends with the
end-of-text token.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from groundup.errors import UserError

SHARD_TOKENS = 100_000_000


class ShardWriter:
    """Writes one split's documents into shards of about SHARD_TOKENS tokens."""

    def __init__(
        self, directory: Path, name: str, dtype: np.dtype, eos_id: int, shard_tokens: int = SHARD_TOKENS
    ) -> None:
        self.directory, self.name, self.dtype, self.shard_tokens = directory, name, dtype, shard_tokens
        self.tokens = 0
        self._eos = np.array([eos_id], dtype)
        self._ends: list[int] = []
        self._number = -1
        self._file = None
        self._next()

    def add(self, tokens: np.ndarray) -> None:
        """Append one document, shape (n,), and its end-of-text token."""
        if self._here >= self.shard_tokens:
            self._next()
        assert self._file is not None
        self._file.write(tokens.astype(self.dtype, copy=False).tobytes())
        self._file.write(self._eos.tobytes())
        self._here += len(tokens) + 1
        self.tokens += len(tokens) + 1
        self._ends.append(self._here)

    def close(self) -> None:
        """Finish the last shard."""
        assert self._file is not None
        self._file.close()
        np.array(self._ends, "<u8").tofile(self._path("index"))

    def _next(self) -> None:
        if self._file is not None:
            self.close()
        self._number += 1
        self._here, self._ends = 0, []
        self._file = self._path("ds").open("wb")

    def _path(self, suffix: str) -> Path:
        return self.directory / f"{self.name}-{self._number:05d}.{suffix}"


def merge_shards(pieces: Sequence[Path], directory: Path, name: str, shard_tokens: int = SHARD_TOKENS) -> int:
    """Put token files that lie one after another together into shards, as one ShardWriter would have written them;
    the number of tokens."""
    number, here, total = 0, 0, 0
    ends: list[np.ndarray] = []

    def finish() -> None:
        np.concatenate([np.empty(0, np.uint64), *ends]).astype("<u8").tofile(directory / f"{name}-{number:05d}.index")

    file = (directory / f"{name}-00000.ds").open("wb")
    for piece in pieces:
        index = np.fromfile(piece.with_suffix(".index"), "<u8").astype(np.int64)
        if not len(index):
            continue
        width = piece.stat().st_size // int(index[-1])
        with piece.open("rb") as tokens:
            done = 0
            while done < len(index):
                if here >= shard_tokens:
                    finish()
                    file.close()
                    number, here, ends = number + 1, 0, []
                    file = (directory / f"{name}-{number:05d}.ds").open("wb")
                begin = int(index[done - 1]) if done else 0
                # up to and with the document that fills the shard
                last = min(int(np.searchsorted(index, begin + shard_tokens - here)) + 1, len(index))
                ends.append((index[done:last] - begin + here).astype(np.uint64))
                count = int(index[last - 1]) - begin
                _copy(tokens, file, count * width)
                here, total, done = here + count, total + count, last
    finish()
    file.close()
    return total


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count:
        data = source.read(min(count, 16 << 20))
        if not data:
            raise EOFError("a token file is shorter than its index says")
        target.write(data)
        count -= len(data)


class TokenStream:
    """The concatenated tokens of one split, memory-mapped."""

    def __init__(self, shards: Sequence[Path], dtype: np.dtype, vocab_size: int) -> None:
        self._maps: list[np.ndarray] = []
        self._shards = list(shards)
        self._vocab_size = vocab_size
        ends, offset = [np.zeros(0, np.int64)], 0
        for path in shards:
            size = path.stat().st_size
            if size % dtype.itemsize:
                raise UserError(
                    "is damaged: its size is not a whole number of tokens",
                    where=path,
                    fix="prepare the corpus again",
                )
            tokens = np.memmap(path, dtype, mode="r") if size else np.zeros(0, dtype)
            index = np.fromfile(path.with_suffix(".index"), "<u8").astype(np.int64)
            if len(tokens) != (index[-1] if len(index) else 0) or np.any(np.diff(index, prepend=0) <= 0):
                raise UserError("does not match its index", where=path, fix="prepare the corpus again")
            self._maps.append(tokens)
            ends.append(index + offset)
            offset += len(tokens)
        self._starts = np.cumsum([0, *(len(tokens) for tokens in self._maps)])
        self.document_ends = np.concatenate(ends)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, start: int, count: int) -> np.ndarray:
        """(count,) int64: tokens from `start`, going round at the end; raises UserError naming a damaged shard."""
        parts, total = [], len(self)
        while count > 0:
            start %= total
            shard = int(np.searchsorted(self._starts, start, side="right")) - 1
            offset = start - int(self._starts[shard])
            part = self._maps[shard][offset : offset + count].astype(np.int64)
            if part.max(initial=0) >= self._vocab_size:
                raise UserError(
                    f"holds token {part.max()}, outside the vocabulary of {self._vocab_size}",
                    where=self._shards[shard],
                    fix="the shard is damaged: prepare the corpus again",
                )
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])

    def place(self, position: int) -> str:
        """Shard and offset of a token by its place in the stream, as `find_origin` takes them."""
        shard = int(np.searchsorted(self._starts, position, side="right")) - 1
        return f"{self._shards[shard].name}:{position - int(self._starts[shard])}"

    def sample(self, tokens: int) -> np.ndarray:
        """(n,) int64: evenly spaced documents, each with its end-of-text token, `tokens` in all or a little less."""
        stride = max(1, -(-len(self) // tokens))
        ends = self.document_ends
        chosen = [np.append(self.document(n), self.read(int(ends[n]) - 1, 1)) for n in range(0, len(ends), stride)]
        return np.concatenate([np.empty(0, np.int64), *chosen])[:tokens]

    def document(self, number: int) -> np.ndarray:
        """(n,) int64: the tokens of one document, without its end-of-text token."""
        start = int(self.document_ends[number - 1]) if number else 0
        return self.read(start, int(self.document_ends[number]) - start - 1)
