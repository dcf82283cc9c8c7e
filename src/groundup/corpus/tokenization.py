"""What a tokenizer makes of a text: its tokens, how densely they write it, and how much of the vocabulary it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from groundup.corpus.references import REFERENCES, reference_tokenizer
from groundup.corpus.tokenizer import Tokenizer

LONGEST = 12  # entries shown: enough to see what the vocabulary was spent on
PIECE = 65_536  # characters: tiktoken's regular expressions give up on runs of several hundred thousand


@dataclass(frozen=True)
class Density:
    """How many tokens a tokenizer writes the text with, and how much of it each one holds on average.

    `vocab_size` is None for words, whose number has no bound. The figures are 0 where there are no tokens.
    """

    name: str
    vocab_size: int | None
    tokens: int
    characters_per_token: float
    bytes_per_token: float


@dataclass(frozen=True)
class Vocabulary:
    """Facts of the vocabulary: `unused` entries occur nowhere in the text, `longest` are by bytes, `reason` of size."""

    kind: str
    size: int
    unused: int
    longest: list[str]
    reason: str


@dataclass(frozen=True)
class Tokenization:
    """The tokens of `source` in order, by `ids` and as text in `tokens`: there, bytes of no character are `\\xNN`.

    `round_trip` says whether they decode to exactly the same bytes. `densities` begins with the tokenizer itself, then
    come the reference tokenizers that are installed, bytes and words.
    """

    source: str
    characters: int
    bytes: int
    ids: list[int]
    tokens: list[str]
    round_trip: bool
    densities: list[Density]
    vocabulary: Vocabulary


def describe_tokenization(
    tokenizer: Tokenizer, texts: Sequence[str], *, source: str = "the text given", reason: str = ""
) -> Tokenization:
    """The tokens of `texts`, each encoded by itself, without end-of-text tokens; measured beside references."""
    encoded = [ids.tolist() for ids in tokenizer.encode_batch(texts)]
    ids = list(chain.from_iterable(encoded))
    characters, size = sum(map(len, texts)), sum(len(text.encode()) for text in texts)

    def density(name: str, vocab_size: int | None, tokens: int) -> Density:
        return Density(name, vocab_size, tokens, characters / max(tokens, 1), size / max(tokens, 1))

    densities = [density("this tokenizer", tokenizer.vocab_size, len(ids))]
    for name in REFERENCES:
        if reference := reference_tokenizer(name):
            pieces = [text[at : at + PIECE] for text in texts for at in range(0, len(text), PIECE)]
            densities.append(density(name, reference.n_vocab, sum(map(len, map(reference.encode_ordinary, pieces)))))
    densities.append(density("bytes", 256, size))
    densities.append(density("words between spaces", None, sum(len(text.split()) for text in texts)))

    shown = [tokenizer.piece(index) for index in range(tokenizer.vocab_size)]
    lengths = tokenizer.byte_lengths(tokenizer.vocab_size)
    used = np.bincount(ids, minlength=tokenizer.vocab_size) if ids else np.zeros(tokenizer.vocab_size)
    vocabulary = Vocabulary(
        kind="bytes" if lengths.max() == 1 else "bpe",
        size=tokenizer.vocab_size,
        unused=int((used == 0).sum()) - 1,  # the end-of-text token never comes from a text
        longest=[shown[index] for index in np.argsort(-lengths, kind="stable")[:LONGEST] if lengths[index] > 1],
        reason=reason,
    )
    return Tokenization(
        source=source,
        characters=characters,
        bytes=size,
        ids=ids,
        tokens=[shown[index] for index in ids],
        round_trip=[tokenizer.decode_bytes(part) for part in encoded] == [text.encode() for text in texts],
        densities=densities,
        vocabulary=vocabulary,
    )
