"""Text to token ids and back, exactly: byte-level BPE trained on the corpus, or the bytes themselves.

The split pattern is Qwen2's, so that transformers, llama.cpp and Ollama recognize the tokenizer; there is no
normalizer, so every string round-trips.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import tiktoken
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from groundup.cores import usable_cores
from groundup.corpus.tokenizer_file import read_backend
from groundup.errors import UserError

# the tokenizers library takes every core unless it is told, once, before its first use
os.environ.setdefault("RAYON_NUM_THREADS", str(usable_cores()))

END_OF_TEXT = "<|endoftext|>"
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SAMPLE_BYTES = 10_000_000
BYTES_PER_MINUTE = 5_000_000  # of text that a small model learns from on two cores: 20 to 45 thousand tokens a second
LONGEST_TOKEN = 32  # characters: rows of dashes or base64 must not fill the vocabulary
PIECE = 65_536  # characters encoded at once: bounds memory on documents of one line
BOUNDARY = "<|groundup:boundary|>"  # between texts encoded in one call; its first character does not come again in it


class Tokenizer:
    """A byte-level tokenizer; `<|endoftext|>` is its only special token, and text that spells it stays text."""

    def __init__(self, backend: Backend) -> None:
        # the spelling of a special token inside a document is text, never the token
        backend.encode_special_tokens = True
        self._backend = backend
        eos = backend.token_to_id(END_OF_TEXT)
        if eos is None:
            raise ValueError(f"no {END_OF_TEXT} token")
        self.eos_id: int = eos
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        unicode_to_byte = {character: byte for byte, character in _byte_alphabet().items()}
        self._bytes = [b""] * self.vocab_size
        for token, index in backend.get_vocab(with_added_tokens=True).items():
            if index != eos:
                self._bytes[index] = bytes(unicode_to_byte[character] for character in token)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Byte-level BPE of at most `vocab_size` entries learned from `texts` (fewer when they hold no more pairs)."""
        backend = _backend(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[AddedToken(END_OF_TEXT, special=True)],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            max_token_length=LONGEST_TOKEN,
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        return cls(backend)

    @classmethod
    def of_bytes(cls) -> "Tokenizer":
        """One token for each of the 256 bytes."""
        alphabet = sorted(_byte_alphabet().values())
        vocab = {END_OF_TEXT: 0, **{character: index for index, character in enumerate(alphabet, 1)}}
        backend = _backend(models.BPE(vocab=vocab, merges=[]))
        backend.add_special_tokens([AddedToken(END_OF_TEXT, special=True)])
        return cls(backend)

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """The tokenizer of a tokenizer.json; raises UserError naming the file when it is not one of ours."""
        backend = read_backend(path, _backend(models.BPE()))
        try:
            return cls(backend)
        except (ValueError, KeyError, IndexError) as error:
            raise UserError(f"is not a byte-level tokenizer of groundup: {error!r}", where=path) from None

    def to_json(self) -> str:
        """The content of tokenizer.json, readable by the `tokenizers` and `transformers` libraries."""
        return self._backend.to_str(pretty=True)

    def difference(self, other: "Tokenizer") -> str | None:
        """What makes `other` give other tokens, in words; None where it gives the same."""
        if self.vocab_size != other.vocab_size:
            return f"{self.vocab_size:,} entries against {other.vocab_size:,}"
        pairs = zip(self._bytes, other._bytes, strict=True)
        changed = [(number, ours, theirs) for number, (ours, theirs) in enumerate(pairs) if ours != theirs]
        if changed:
            number, ours, theirs = changed[0]
            return f"{len(changed):,} of {self.vocab_size:,} entries, such as {number}: {ours!r} against {theirs!r}"
        rules = [json.loads(tokenizer.to_json()) for tokenizer in (self, other)]
        for each in rules:
            del each["post_processor"]  # a checkpoint has one for other programs
        return None if rules[0] == rules[1] else "the order of its merges, or other rules"

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; nothing is added."""
        return [index for piece in _pieces(text) for index in self._backend.encode(piece, add_special_tokens=False).ids]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each text, (n,) of `dtype`, on all cores; equal to `encode` of each."""
        cut = [_pieces(text) for text in texts]
        encoded = iter(self._encode_pieces([piece for pieces in cut for piece in pieces]))
        nothing = np.empty(0, self.dtype)
        return [
            next(encoded) if len(pieces) == 1 else np.concatenate([nothing, *islice(encoded, len(pieces))])
            for pieces in cut
        ]

    def _encode_pieces(self, pieces: list[str]) -> list[np.ndarray]:
        if self._fast is None:
            return self._encode_slowly(pieces)
        cores = usable_cores()
        groups = _groups(pieces, max(PIECE, sum(map(len, pieces)) // (4 * cores)))
        with ThreadPoolExecutor(cores) as threads:
            return [ids for group in threads.map(self._encode_group, groups) for ids in group]

    def _encode_group(self, pieces: list[str]) -> list[np.ndarray]:
        """Token ids of several pieces in one call: a call for each costs more than the encoding of short ones."""
        assert self._fast is not None
        several = len(pieces) > 1
        joined = BOUNDARY.join(pieces)
        if several and joined.count(BOUNDARY) != len(pieces) - 1:  # a text spells it
            return [self._encode_group([piece])[0] for piece in pieces]
        try:
            ids = self._fast.encode_to_numpy(
                joined, allowed_special={BOUNDARY} if several else set(), disallowed_special=()
            )
        except BaseException as error:
            # its regular expressions give up on some texts, with a panic that is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            return [self._encode_group([piece])[0] for piece in pieces] if several else self._encode_slowly(pieces)
        ends = [*np.flatnonzero(ids == self.vocab_size).tolist(), len(ids)]
        ids = ids.astype(self.dtype)
        return [ids[start:end] for start, end in zip([0, *(end + 1 for end in ends)], ends, strict=False)]

    def _encode_slowly(self, pieces: list[str]) -> list[np.ndarray]:
        encodings = self._backend.encode_batch_fast(pieces, add_special_tokens=False)
        return [np.asarray(encoding.ids, dtype=self.dtype) for encoding in encodings]

    @cached_property
    def _fast(self) -> tiktoken.Encoding | None:
        """The same tokens from tiktoken, several times as fast; None for a tokenizer that it might split differently.

        tiktoken joins two neighbors wherever the vocabulary has them joined, lowest id first; `tokenizers` follows
        its list of merges. They agree where each entry has one merge, in the order of the ids, and encodes to itself:
        two neighbors x and y inside a longer text have come about as they do in the text xy alone, so where xy is an
        entry, they are the two that its own merge joins.
        """
        ours, theirs = (json.loads(text) for text in (_backend(models.BPE()).to_str(), self.to_json()))
        model = theirs["model"]
        same = all(theirs[part] == ours[part] for part in ("normalizer", "pre_tokenizer"))
        same &= all(model[part] == ours["model"][part] for part in model if part not in ("vocab", "merges"))
        merged = [model["vocab"]["".join(pair)] for pair in model["merges"]]
        same &= merged == sorted(set(merged)) and len(merged) == self.vocab_size - 257
        split = self._backend.model.tokenize
        if not same or any(len(split(token)) != 1 for token in model["vocab"] if token != END_OF_TEXT):
            return None
        ranks = {token: index for index, token in enumerate(self._bytes) if token}
        return tiktoken.Encoding(
            "groundup", pat_str=QWEN2_SPLIT, mergeable_ranks=ranks, special_tokens={BOUNDARY: self.vocab_size}
        )

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that `ids` stand for; special tokens and padding rows stand for none."""
        table = self._bytes
        return b"".join(table[index] for index in ids if index < len(table))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def piece(self, token: int) -> str:
        """One token as text; bytes that are no character by themselves are `\\xNN`, end-of-text is its own name."""
        if token == self.eos_id:
            return END_OF_TEXT
        return self.decode_bytes([token]).decode("utf-8", errors="backslashreplace")

    def byte_lengths(self, rows: int) -> np.ndarray:
        """(rows,) int64: how many bytes each id stands for; `rows` may exceed the vocabulary (padding rows: 0)."""
        lengths = np.zeros(rows, dtype=np.int64)
        lengths[: self.vocab_size] = [len(token) for token in self._bytes]
        return lengths

    @property
    def dtype(self) -> np.dtype:
        """The smallest little-endian integer that holds every id."""
        return np.dtype("<u2") if self.vocab_size <= 65_536 else np.dtype("<u4")


def vocabulary_rule(text_bytes: int, minutes: float | None = None) -> tuple[str, int, str]:
    """(tokenizer, vocabulary size, reason) for `text_bytes` bytes of training text, and a budget of `minutes` if any.

    The size is the power of two nearest to the square root of the bytes, within 512 and 32,768: 1 MB gives 1,024
    and 100 MB gives 8,192, near what llama2.c (4,096 on its stories) and nanochat (32,768 on billions) settled on.
    A short budget never sees most of a large corpus, and the small model it affords would be mostly embedding; what it
    sees counts, BYTES_PER_MINUTE of it.
    """
    if text_bytes < 65_536:
        return "bytes", 257, f"{text_bytes:,} bytes of text are too few to learn longer tokens from"
    seen = min(text_bytes, int(minutes * BYTES_PER_MINUTE)) if minutes else text_bytes
    size = 2 ** round(np.log2(seen) / 2)
    size = int(min(max(size, 512), 32_768))
    of = f"the {seen / 1e6:.1f} MB of text" + (
        f" that {minutes:g} minutes learn from" if minutes and seen < text_bytes else ""
    )
    return "bpe", size, f"power of two nearest to the square root of {of}, within 512 and 32,768"


def _backend(model: models.BPE) -> Backend:
    backend = Backend(model)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return backend


def _byte_alphabet() -> dict[int, str]:
    """GPT-2's printable character for each byte: itself where printable Latin-1, else from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def _pieces(text: str) -> list[str]:
    """`text` in pieces of at most PIECE characters, cut after a newline where there is one in the second half."""
    pieces, start = [], 0
    while len(text) - start > PIECE:
        newline = text.rfind("\n", start + PIECE // 2, start + PIECE)
        end = newline + 1 if newline >= 0 else start + PIECE
        pieces.append(text[start:end])
        start = end
    if start < len(text):
        pieces.append(text[start:])
    return pieces


def _groups(pieces: Iterable[str], characters: int) -> Iterator[list[str]]:
    """`pieces` in lists of about `characters` characters."""
    group, size = [], 0
    for piece in pieces:
        group.append(piece)
        size += len(piece)
        if size >= characters:
            yield group
            group, size = [], 0
    if group:
        yield group
