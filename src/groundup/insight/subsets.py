"""Nested parts of a corpus: which training documents belong to the thirty-second, the sixteenth, ... of it."""

from collections.abc import Sequence

import numpy as np

from groundup.seeds import derive

NEAR = 0.05  # a part may be so much smaller or larger than its share
OFF = 0.3  # a part that is further from its share is none


def nested_parts(lengths: Sequence[int], shares: Sequence[float], seed: int) -> list[np.ndarray | None]:
    """For each of `shares`, in rising order, the numbers of its documents, in the order of the corpus; each part holds
    those before it. None where documents are too long for a part within OFF of its share.

    Documents come in an order drawn from the seed; one that would make a part too large waits for a larger part, so
    that very long documents are in the large parts only.
    """
    sizes = np.asarray(lengths, np.int64)
    order = np.random.Generator(np.random.Philox(derive(seed, "nested parts"))).permutation(len(sizes))
    total, taken = int(sizes.sum()), 0
    chosen = np.zeros(len(sizes), bool)
    parts: list[np.ndarray | None] = []
    for share in shares:
        target = share * total
        for document in order:
            if taken >= (1 - NEAR) * target:
                break
            if not chosen[document] and taken + sizes[document] <= (1 + NEAR) * target:
                chosen[document] = True
                taken += int(sizes[document])
        if share >= 1:
            chosen[:] = True
            taken = total
        parts.append(np.flatnonzero(chosen) if abs(taken - target) <= OFF * target else None)
    return parts
