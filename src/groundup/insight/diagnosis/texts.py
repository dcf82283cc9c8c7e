"""What is counted in a corpus's shards: pieces of the vocabulary, held-out text that was trained on, garbled words."""

import re
from dataclasses import dataclass
from itertools import islice

import numpy as np

from groundup.corpus import Corpus
from groundup.runs import read_journal

MOST_TOKENS = 20_000_000
"""Of a split, that are looked at: a second or two."""
SPAN_BYTES = 200
"""Length from which a repeated passage is a copy: what people write twice by chance is shorter; it is also the length
from which `prepare` looks for repeated paragraphs."""
_MULTIPLIER = 0x9E3779B97F4A7C15
_SAMPLED = np.uint64(7)  # windows whose hash ends in three zero bits: an eighth, the same ones in both splits


@dataclass(frozen=True, slots=True)
class Census:
    """The learned pieces of the vocabulary (bytes and special tokens are not among them)."""

    pieces: int
    unused: int
    """Of them, those that stand nowhere in the training text."""
    rare: int
    """Of them, those that stand there fewer than RARE times, unused ones included."""
    tokens: int
    """Training tokens that were counted."""


RARE = 10
"""Occurrences below which an embedding has hardly been trained: it moves only when its token is seen, and one epoch of
a common word gives thousands of updates."""


def census(corpus: Corpus) -> Census | None:
    """Counted over all training tokens, up to MOST_TOKENS; None for a byte tokenizer, which learns no pieces."""
    if corpus.manifest["settings"].get("data.tokenizer") != "bpe":
        return None
    stream, size = corpus.train, corpus.tokenizer.vocab_size
    counts = np.zeros(size, np.int64)
    total = min(len(stream), MOST_TOKENS)
    for start in range(0, total, 1 << 20):
        counts += np.bincount(stream.read(start, min(1 << 20, total - start)), minlength=size)
    learned = counts[corpus.tokenizer.byte_lengths(size) > 1]
    return Census(len(learned), int((learned == 0).sum()), int((learned < RARE).sum()), total)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Passages of about SPAN_BYTES bytes of held-out text."""

    share: float
    """Of them, how many stand verbatim in the training text, 0..1."""
    tokens: int
    """Length of a passage."""
    passages: int
    """How many were looked for."""


def overlap(corpus: Corpus) -> Overlap | None:
    """By rolling hashes of 64 bits, so that every place is looked at; None where less than a passage is held out."""
    bytes_per_token = corpus.manifest["train_bytes"] / max(corpus.manifest["train_tokens"], 1)
    span = max(8, round(SPAN_BYTES / max(bytes_per_token, 1e-9)))
    count = min(len(corpus.validation), MOST_TOKENS)
    if count <= span or len(corpus.train) <= span:
        return None
    held = _hashes(corpus.validation.read(0, count), span)
    held = held[held & _SAMPLED == 0]
    if not len(held):
        return None
    wanted, of = np.unique(held, return_inverse=True)
    found = np.zeros(len(wanted), bool)
    total = min(len(corpus.train), MOST_TOKENS)
    for start in range(0, total - span + 1, 1 << 20):
        there = _hashes(corpus.train.read(start, min((1 << 20) + span - 1, total - start)), span)
        there = np.unique(there[there & _SAMPLED == 0])
        found |= np.isin(wanted, there, assume_unique=True)
    return Overlap(float(found[of].mean()), span, len(held))


def _hashes(tokens: np.ndarray, span: int) -> np.ndarray:
    """(n - span + 1,) uint64: polynomial hashes of all windows, put together from windows of powers of two."""
    spread = (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
    spread ^= spread >> np.uint64(31)
    whole, power, length = None, spread, 1
    done = 0
    while True:
        if span & length:
            part = power[done : len(tokens) - span + 1 + done]
            whole = part if whole is None else whole * np.uint64(pow(_MULTIPLIER, length, 1 << 64)) + part
            done += length
        if done == span:
            break
        power = power[:-length] * np.uint64(pow(_MULTIPLIER, length, 1 << 64)) + power[length:]
        length *= 2
    assert whole is not None
    whole = whole ^ (whole >> np.uint64(29))
    return whole * np.uint64(0x94D049BB133111EB) >> np.uint64(3)  # the low bits of a product are the poor ones


@dataclass(frozen=True, slots=True)
class Noise:
    """Garbled words in a sample of the training prose."""

    share: float
    """Of the sampled words, 0..1."""
    noisy_documents: int
    """Documents of which more than NOISY of the words are garbled."""
    documents: int
    """Documents that were sampled."""
    worst: tuple[str, ...]
    """Sources of the noisiest documents, each once, at most three."""
    examples: tuple[str, ...]
    recognized: bool
    """Whether the noisy ones were read by optical character recognition."""


NOISY, _DOCUMENTS, _TOKENS = 0.1, 300, 1_000
_WORD = re.compile(r"\S+")
_EDGES = "\"'`“”‘’«»()[]{}<>.,;:!?…*_-–—/|~#=+"
# what no language's spelling has, and misread pages are full of
_GARBLED = re.compile(
    r"[A-Za-z][|~^!?;$%§¬¦¢£€°\\<>{}=][A-Za-z]"  # qu!ck
    r"|[a-z]\d+[a-z]"  # tl1e
    r"|[a-z][A-Z][a-z]*[A-Z]"  # mUlTi
    r"|(?i:(?:(?=[a-z])[^aeiouyhjl\W\d_]){6})"  # six consonants in a row; h, j, l stand in for what was meant
)


def noise_of(corpus: Corpus) -> Noise | None:
    """Looks at the openings of up to 300 evenly spaced training documents that are no code; None where there are
    none.

    A word is garbled where it holds what spelling does not: a mark or a digit between letters, capitals inside, six
    consonants in a row.
    """
    rows = [row for row in read_journal(corpus.path / "documents.jsonl") if row.get("split") == "train"]
    rows = rows[: len(corpus.train.document_ends)]
    prose = [number for number, row in enumerate(rows) if row.get("language") != "code"]
    garbled = words = 0
    rates: list[tuple[float, str]] = []
    examples: list[str] = []
    chosen = prose[:: max(1, -(-len(prose) // _DOCUMENTS))]
    for number in chosen:
        text = corpus.tokenizer.decode(corpus.train.document(number)[:_TOKENS].tolist())
        found = [match.group() for match in _WORD.finditer(text)]
        odd = [word for word in found if is_garbled(word)]
        garbled, words = garbled + len(odd), words + len(found)
        rates.append((len(odd) / max(len(found), 1), str(rows[number].get("source"))))
        examples += islice(odd, 3) if rates[-1][0] > NOISY else ()
    if not words:
        return None
    noisy = sorted((row for row in rates if row[0] > NOISY), reverse=True)
    worst = tuple(dict.fromkeys(source for _, source in noisy))[:3]
    readers = {row.get("path"): row.get("reader") for row in corpus.ledger()} if worst else {}
    recognized = any("ocr" in str(readers.get(source)) for source in worst)
    return Noise(garbled / words, len(noisy), len(chosen), worst, tuple(examples[:4]), recognized)


def is_garbled(word: str) -> bool:
    """Whether a word (without blanks) is spelled as no language spells."""
    core = word.strip(_EDGES)
    if not core or "://" in word or "@" in word:
        return False
    return core.isascii() and bool(_GARBLED.search(core))
