"""Where the words and the paragraphs of a text are, as arrays: a hash for every word, and a name for every paragraph.

A word is a run of letters, marks, digits and underscores in Unicode's simple case folding; in scripts that put no
spaces between words (Han, kana, Thai and its neighbors) every character is one.
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np

PARAGRAPH = 200
"""Characters below which a block or a line is too short to be compared on its own."""

_NEWLINE, _SPACE, _OTHER, _SINGLE, _WORD = range(5)  # the order counts: from _OTHER on a line is not blank
_CLASS_BITS = 3
_PIECE = 1 << 18  # characters looked at together: their arrays stay in the processor's cache
_LOW = 1 << 16  # powers are looked up as base^(65536 a) * base^b
_CHARACTER_BASE, _WORD_BASE = 0xD6E8FEB86659FD95, 0xA24BAED4963EE40D  # odd, and 5 modulo 8: of the largest order
_MASK = (1 << 64) - 1
# Punctuation, symbols, separators and controls are outside words.
_OUTSIDE = frozenset(
    ("Cc", "Cf", "Co", "Cs", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs")
)
# Scripts written without spaces; the blocks of Unicode that hold their letters.
_NO_SPACES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19FF), (0x1A20, 0x1AAF), (0x3005, 0x3007)),
    *((0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xA9E0, 0xA9FF)),
    *((0xAA60, 0xAA7F), (0xF900, 0xFAFF), (0xFF66, 0xFF9D), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF)),
)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text of N characters, W words."""

    starts: np.ndarray
    """(W,) int64: the character each word begins with."""
    hashes: np.ndarray
    """(W,) uint64: equal for equal words; all 64 bits are mixed."""
    classes: np.ndarray
    """(N,) uint8: what each character is."""


def find_words(text: str) -> Words:
    """The words of `text`; nothing depends on where the text stands or is cut on the way.

    A word's hash is a polynomial of its folded code points modulo 2^64 (Karp and Rabin 1987), mixed.
    """
    powers, inverses = _powers(_CHARACTER_BASE), _powers(_inverse(_CHARACTER_BASE))
    classes = np.empty(len(text), np.uint8)
    starts, hashes = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    word_start, in_word = 0, False  # of the last word, and whether it goes up to the end of the last piece
    for offset in range(0, len(text), _PIECE):
        codes = np.frombuffer(text[offset : offset + _PIECE].encode("utf-32-le", "surrogatepass"), "<u4")
        entries = _table((int(codes.max()) >> 16) + 1).take(codes)
        piece = classes[offset : offset + _PIECE]
        np.bitwise_and(entries, (1 << _CLASS_BITS) - 1, out=piece, casting="unsafe")
        letter = piece == _WORD
        begins = letter.copy()
        begins[1:] &= ~letter[:-1]
        begins[0] &= not in_word
        begins |= piece == _SINGLE
        local = np.flatnonzero(begins)
        terms = (entries >> _CLASS_BITS).astype(np.uint64)
        terms *= powers.first[: len(piece)]
        if in_word and (head := int(np.add.reduce(terms[: local[0] if local.size else None]))):
            more = head * pow(_CHARACTER_BASE, offset - word_start, 1 << 64)
            hashes[-1][-1] = np.uint64((int(hashes[-1][-1]) + more) & _MASK)
        if local.size:
            # Characters outside words are zeros, so that a sum may run on to the next word.
            hashes.append(np.add.reduceat(terms, local) * inverses.first[local])
            starts.append(local + offset)
            word_start = offset + int(local[-1])
        in_word = bool(letter[-1])
    return Words(np.concatenate(starts), mix(np.concatenate(hashes)), classes)


def find_paragraphs(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(starts, ends), in characters, of the paragraphs of PARAGRAPH and more characters.

    Blank lines separate blocks; in a block, a line of PARAGRAPH characters is a paragraph of its own, and so are the
    shorter lines between two such.
    """
    newlines = np.flatnonzero(classes == _NEWLINE)
    starts = np.concatenate([np.zeros(1, np.int64), newlines + 1])
    starts = starts[starts < len(classes)]
    ends = np.concatenate([newlines, [len(classes)]])[: len(starts)]
    if not starts.size:
        return starts, ends
    blank = np.maximum.reduceat(classes, starts) < _OTHER
    alone = blank | (ends - starts >= PARAGRAPH)
    opens = alone.copy()
    opens[1:] |= alone[:-1]
    opens[0] = True
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(starts)) - 1
    starts, ends = starts[first], ends[last]
    kept = ~blank[first] & (ends - starts >= PARAGRAPH)
    return starts[kept], ends[kept]


def name_ranges(hashes: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """A uint64 for each range of words [first, last): equal for equal sequences of words."""
    powers, inverses = _powers(_WORD_BASE), _powers(_inverse(_WORD_BASE))
    sums = np.zeros(len(hashes) + 1, np.uint64)
    for offset in range(0, len(hashes), _LOW):
        part = hashes[offset : offset + _LOW]
        np.multiply(part, powers.at(np.arange(offset, offset + len(part))), out=sums[offset + 1 : offset + 1 + _LOW])
    np.cumsum(sums, out=sums)
    return mix((sums[last] - sums[first]) * inverses.at(first))


def name_characters(text: str) -> int:
    """A 64-bit name for a text without words: equal where its characters are, white space aside."""
    visible = "".join(text.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(visible, digest_size=8).digest(), "little")


def mix(values: np.ndarray) -> np.ndarray:
    """Mixes the bits of uint64 values, in place: the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)
    return values


@dataclass(frozen=True, slots=True)
class _Powers:
    """The powers of a number modulo 2^64."""

    first: np.ndarray
    strides: np.ndarray  # every _LOW-th of them

    def at(self, exponents: np.ndarray) -> np.ndarray:
        return self.first[exponents & (_LOW - 1)] * self.strides[exponents >> 16]


@cache
def _powers(base: int) -> _Powers:
    def run(factor: int, count: int) -> np.ndarray:
        factors = np.full(count, factor, np.uint64)
        factors[0] = 1
        return np.multiply.accumulate(factors)

    return _Powers(run(base, _PIECE), run(pow(base, _LOW, 1 << 64), 1 << 15))


def _inverse(base: int) -> int:
    return pow(base, -1, 1 << 64)


@cache
def _table(planes: int) -> np.ndarray:
    """For each code point of the first `planes` planes: its class + 8 * the folded code point, the latter only in
    words. A plane takes 13 ms."""
    return np.concatenate([_plane(number) for number in range(planes)])


def _plane(number: int) -> np.ndarray:
    first = number << 16
    table = np.empty(1 << 16, np.uint32)
    category = unicodedata.category
    for code in range(first, first + (1 << 16)):
        character = chr(code)
        # Code points that are not assigned (Cn) are letters of scripts that a later Python knows: the same words.
        if category(character) not in _OUTSIDE or character == "_":
            folded = character.casefold()
            if len(folded) > 1:
                folded = character.lower()
            table[code - first] = (ord(folded) if len(folded) == 1 else code) << _CLASS_BITS | _WORD
        elif character.isspace():
            table[code - first] = _NEWLINE if character == "\n" else _SPACE
        else:
            table[code - first] = _OTHER
    for low, high in _NO_SPACES:
        letters = table[max(low - first, 0) : max(high + 1 - first, 0)]
        letters[letters & _WORD != 0] ^= _WORD ^ _SINGLE
    return table
