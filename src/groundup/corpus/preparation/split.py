"""Which text is held out for validation: whole documents, or blocks cut at paragraph ends where documents are too few.

The choice depends on the texts and the seed alone, so that adding a file moves few others across the line.
"""

import hashlib
import re

import numpy as np

ENOUGH_HELD_OUT = 1_000_000  # bytes: the loss on them is known to about 0.5%, and scoring them takes seconds
BLOCKS_PER_VALIDATION = 8  # when documents are cut: enough places of the text are held out, each long enough to be read


def digest(text: str) -> bytes:
    """A 16-byte name of a text: equal texts, up to white space at their ends, have equal names."""
    return hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=16).digest()


def planned_share(total: int) -> float:
    """The share of `total` bytes that is held out where none was asked for: a tenth, and at most ENOUGH_HELD_OUT."""
    return min(0.1, ENOUGH_HELD_OUT / max(total, 1))


def cutting_size(sizes: np.ndarray, share: float) -> int | None:
    """Bytes above which a document is cut into blocks, or None where whole documents of `sizes` bytes do.

    Whole documents do when those no larger than half the validation split hold at least half of the text.
    """
    total = int(sizes.sum())
    if not share or int(sizes[sizes <= total * share / 2].sum()) >= total / 2:
        return None
    return max(int(total * share / BLOCKS_PER_VALIDATION), 64)


def cut(text: str, size: int) -> list[tuple[int, int]]:
    """(start, end) of blocks of about `size` characters, ending with paragraphs, else lines, sentences or words."""
    blocks, start = [], 0
    while len(text) - start > size * 1.5:
        window = text[start + size // 2 : start + size + size // 2]
        for boundary in (r"\n\s*\n", r"\n", r"[.!?]\s", r"\s"):
            ends = [match.end() for match in re.finditer(boundary, window)]
            if ends:
                end = start + size // 2 + min(ends, key=lambda e: abs(e - size // 2))
                break
        else:
            end = start + size
        blocks.append((start, end))
        start = end
    blocks.append((start, len(text)))
    return blocks


def hold_out(digests: np.ndarray, sizes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(N,) bool: about `share` of the bytes, in an order drawn from each text's name, (N, 2) uint64, and the seed."""
    held_out = np.zeros(len(sizes), bool)
    if not share or len(sizes) < 2:
        return held_out
    target = share * int(sizes.sum())
    key = seed.to_bytes(8, "little")
    raw = digests.astype("<u8").tobytes()
    draws = [hashlib.blake2b(raw[at : at + 16], key=key, digest_size=8).digest() for at in range(0, len(raw), 16)]
    taken = 0
    for unit in sorted(range(len(draws)), key=draws.__getitem__):
        if taken + sizes[unit] <= target * 1.1:
            held_out[unit] = True
            taken += int(sizes[unit])
        if taken >= target * 0.95:
            return held_out
    if not taken:  # every unit is larger than the target: the smallest one is nearest to it
        held_out[np.lexsort((digests[:, 1], digests[:, 0], sizes))[0]] = True
    return held_out
