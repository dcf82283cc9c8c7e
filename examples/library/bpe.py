"""Byte-level byte pair encoding, written for reading: train, encode, decode, and prove the round trip.

Run `python bpe.py`. It learns merges from a few sentences, then encodes text it has never seen, including
characters that were not in the training text: bytes leave nothing out of vocabulary.
"""

import re
from collections import Counter
from itertools import pairwise

# A chunk is an optional space with a word, digits or punctuation, or else a run of white space. Merges never
# cross chunks, so no token can glue the end of one word to the beginning of the next.
CHUNK = re.compile(r" ?[^\W\d_]+| ?\d+| ?[^\w\s]+| ?_+|\s+")

Pair = tuple[int, int]

TEXT = """\
low, lower, lowest. The lowest tide of the year is lower than the low tide of a common day.
A slow river flows below the town, and slower barges follow. We know how to row: slowly now, slowly.
The snow is melting, the owl is hooting, and the morning is still the morning of a following day.
"""


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """Replace every non-overlapping occurrence of `pair`, from the left, by the single token `new`."""
    out: list[int] = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def train(text: str, merges: int) -> dict[Pair, int]:
    """Learn up to `merges` merges: each joins the pair of tokens that is most frequent at that moment.

    Returns the new token of each pair; tokens 0..255 are the bytes, and learned ones count up from 256.
    """
    # Equal chunks behave alike, so each is stored once with its count: far fewer sequences to walk.
    counts = Counter(CHUNK.findall(text))
    words = {chunk: list(chunk.encode("utf-8")) for chunk in counts}
    learned: dict[Pair, int] = {}
    for new in range(256, 256 + merges):
        pairs: Counter[Pair] = Counter()
        for chunk, ids in words.items():
            for pair in pairwise(ids):
                pairs[pair] += counts[chunk]
        if not pairs:
            break
        # The smaller pair wins a tie, so that two machines always learn the same merges.
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break  # a pair seen once saves nothing on any other text
        learned[best] = new
        words = {chunk: merge(ids, best, new) for chunk, ids in words.items()}
    return learned


def encode(text: str, learned: dict[Pair, int]) -> list[int]:
    """Text to token ids: in each chunk, apply the earliest learned merge that fits, until none fits."""
    out: list[int] = []
    for chunk in CHUNK.findall(text):
        ids = list(chunk.encode("utf-8"))
        while len(ids) > 1:
            candidates = [pair for pair in pairwise(ids) if pair in learned]
            if not candidates:
                break
            # Earlier merges have smaller numbers: the order of learning is the order of applying.
            first = min(candidates, key=learned.__getitem__)
            ids = merge(ids, first, learned[first])
        out.extend(ids)
    return out


def token_bytes(learned: dict[Pair, int]) -> dict[int, bytes]:
    """The byte string that each token stands for."""
    table = {i: bytes([i]) for i in range(256)}
    for (left, right), new in learned.items():
        table[new] = table[left] + table[right]
    return table


def decode(ids: list[int], learned: dict[Pair, int]) -> str:
    """Token ids to text. Join the bytes first: one character may be spread over several tokens."""
    table = token_bytes(learned)
    return b"".join(table[i] for i in ids).decode("utf-8", errors="replace")


def main() -> None:
    learned = train(TEXT, merges=60)
    table = token_bytes(learned)
    print(f"{len(learned)} merges learned; the first ten make:")
    print("  ", [table[new].decode() for new in list(learned.values())[:10]])
    for text in ("the slowest lowland river", "a café below 日本, 1994", "tabs\tand  spaces\n"):
        ids = encode(text, learned)
        pieces = [table[i].decode("utf-8", errors="replace") for i in ids]
        print(f"{text!r}: {len(text.encode('utf-8'))} bytes, {len(ids)} tokens")
        print("  ", pieces)
        assert decode(ids, learned) == text
    print("every text came back exactly")


if __name__ == "__main__":
    main()
