"""Analogies by vector arithmetic: a is to b as c is to d, for pairs of words that differ by a rule of spelling."""

from collections.abc import Sequence
from typing import Any

import numpy as np

PAIRS = 24  # of a relation, the most common: every two of them make a question
FEWEST = 5  # pairs from which on a relation is judged
ERRORS = 2  # standard errors by which arithmetic must beat the neighbor alone
RELATIONS = {
    "-s": lambda word: word + "s",
    "-ed": lambda word: word + "ed",
    "-ing": lambda word: word + "ing",
    "capital": lambda word: word[0] + word[1].upper() + word[2:],
    "no space": lambda word: word[1:],
}


def find_analogies(rows: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Questions "a is to b as c is to ?" of each relation, answered by the candidate nearest to b - a + c.

    `rows` (n, C) have length 1, `names` are their tokens; words are letters after a space. a, b and c are no answers
    (Mikolov et al. 2013, arXiv 1301.3781, section 4). Because d is often simply c's neighbor (Linzen 2016, "Issues in
    evaluating semantic spaces using word analogies"), `neighbor` is the share that c alone answers right, beside
    `arithmetic` and `chance`, 1 / (n - 3). `gain` is arithmetic - neighbor, a mean over the pairs, with its standard
    `error`; `holds` where it is above ERRORS of them, None for fewer than FEWEST pairs. Relations with one pair ask
    nothing and are left out. `example` is the question of the two most common pairs and its answer.
    """
    place_of = {name: place for place, name in enumerate(names)}
    found = []
    for relation, change in RELATIONS.items():
        pairs = [
            (place, place_of[other])
            for place, name in enumerate(names)
            if _is_word(name) and (other := change(name)) in place_of and other != name
        ][:PAIRS]
        if len(pairs) > 1:
            found.append({"relation": relation, **_ask(rows, names, pairs)})
    return found


def _is_word(name: str) -> bool:
    return len(name) > 2 and name[0] == " " and name[1:].isalpha() and name[1:].islower()


def _ask(rows: np.ndarray, names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    arithmetic, neighbor = [], []
    members = sorted({place for pair in pairs for place in pair})
    cosines = dict(zip(members, rows[members] @ rows.T, strict=True))
    example: dict[str, Any] = {}
    for c, d in pairs:
        right, near = [], []
        for a, b in pairs:
            if {a, b} & {c, d}:
                continue
            answer = _nearest(cosines[b] - cosines[a] + cosines[c], (a, b, c))
            right.append(answer == d)
            near.append(_nearest(cosines[c].copy(), (a, b, c)) == d)
            example = example or {
                **{role: names[place] for role, place in zip("abcd", (a, b, c, d), strict=True)},
                "answer": names[answer],
            }
        if right:
            arithmetic.append(float(np.mean(right)))
            neighbor.append(float(np.mean(near)))
    gains = np.array(arithmetic) - np.array(neighbor)
    error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else None
    gain = float(gains.mean()) if len(gains) else 0.0
    return {
        "pairs": len(pairs),
        "arithmetic": float(np.mean(arithmetic)) if arithmetic else 0.0,
        "neighbor": float(np.mean(neighbor)) if neighbor else 0.0,
        "chance": 1 / (len(rows) - 3),
        "gain": gain,
        "error": error,
        "holds": None if len(gains) < FEWEST or error is None else gain > ERRORS * error,
        "example": example,
    }


def _nearest(products: np.ndarray, without: Sequence[int]) -> int:
    """The row with the largest of `products` (n,), in proportion to its cosine; `products` are changed."""
    products[list(without)] = -np.inf
    return int(products.argmax())
