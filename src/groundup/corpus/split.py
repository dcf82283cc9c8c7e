"""Which text is held out for validation: whole documents, or blocks cut at paragraph ends where documents are too few.

The choice depends on the texts and the seed alone, so that adding a file moves few others across the line.
"""

import hashlib
import re
from dataclasses import dataclass

BLOCKS_PER_VALIDATION = 8  # when documents are cut: enough places of the text are held out, each long enough to be read


@dataclass(slots=True)
class Unit:
    """A document, or a block of one: characters `start` to `end` of document `document`."""

    document: int
    start: int
    end: int
    size: int  # bytes
    digest: bytes
    held_out: bool = False


def digest(text: str) -> bytes:
    """A 16-byte name of a text: equal texts, up to white space at their ends, have equal names."""
    return hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=16).digest()


def cutting_size(sizes: list[int], share: float) -> int | None:
    """Bytes above which a document is cut into blocks, or None where whole documents do.

    Whole documents do when those no larger than half the validation split hold at least half of the text.
    """
    total = sum(sizes)
    largest = total * share / 2
    if not share or sum(size for size in sizes if size <= largest) >= total / 2:
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


def hold_out(units: list[Unit], share: float, seed: int) -> None:
    """Mark about `share` of the bytes of `units` as held out, in an order drawn from each text and the seed."""
    if not share or len(units) < 2:
        return
    target = share * sum(unit.size for unit in units)
    key = seed.to_bytes(8, "little")
    order = sorted(units, key=lambda unit: hashlib.blake2b(unit.digest, key=key, digest_size=8).digest())
    taken = 0
    for unit in order:
        if taken + unit.size <= target * 1.1:
            unit.held_out = True
            taken += unit.size
        if taken >= target * 0.95:
            return
    if not taken:  # every unit is larger than the target: the smallest one is nearest to it
        min(units, key=lambda unit: (unit.size, unit.digest)).held_out = True
