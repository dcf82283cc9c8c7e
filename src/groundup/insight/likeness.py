"""Whether neighbors in an embedding are used alike in the text, judged by the text alone and against chance."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.corpus import Corpus
from groundup.seeds import derive

READ = 4_000_000  # training tokens whose neighbors are counted
CONTEXTS = 512  # of the most common tokens, before and after
NEAREST = 5
WORDS = 200
DRAWS, RANKS = 400, 25
CHANCE = 0.01  # probability under chance from which on nothing is claimed
SOME, CLEAR = 0.05, 0.25  # share of the way from chance to the best possible neighbors


@dataclass(frozen=True)
class Usage:
    """How tokens are used: what stands before and after each of them."""

    vectors: np.ndarray
    """(n, 2 CONTEXTS) float32, each of length 1: square roots of the shares, so that a product of two rows is the
    Bhattacharyya coefficient of their contexts, averaged over both sides: 1 for equal ones, 0 for disjoint ones."""

    @classmethod
    def count(cls, corpus: Corpus, tokens: np.ndarray) -> "Usage":
        """Of `tokens` (n,), the most common first, over at most READ training tokens."""
        contexts = min(CONTEXTS, len(tokens))
        place = np.full(corpus.tokenizer.vocab_size, -1)
        place[tokens] = np.arange(len(tokens))
        stream = place[corpus.train.sample(READ)]
        sides = []
        for left, right in ((stream[1:], stream[:-1]), (stream[:-1], stream[1:])):  # a token, what stands beside it
            both = (left >= 0) & (right >= 0) & (right < contexts)
            flat = np.bincount(left[both] * contexts + right[both], minlength=len(tokens) * contexts)
            beside = flat.reshape(len(tokens), contexts).astype(np.float32)
            sides.append(np.sqrt(beside / np.maximum(beside.sum(1, keepdims=True), 1) / 2))
        return cls(np.concatenate(sides, axis=1))


def judge_neighbors(rows: np.ndarray, usage: Usage, words: list[int]) -> dict[str, Any]:
    """Compare the likeness of words and their NEAREST neighbors in `rows` (n, C) with that of others as common.

    `rows` are in the order of `usage`, the most common first; `words` are places in them, of which the first WORDS
    count. `alike` is the mean likeness (the product of rows of `usage.vectors`) of a word and its neighbors; `chance`
    the same where every neighbor is replaced by a token at most RANKS places more or less common, over DRAWS draws;
    `best` of the tokens that are used most alike. `way` = (alike - chance) / (best - chance). `p` is the share of draws
    (and 1) that reach `alike`. `reading` is "chance" where p is above CHANCE or the way below SOME, "clear" from CLEAR
    on, else "faint".
    """
    words = words[:WORDS]
    count, own = len(rows), np.array(words)[:, None]
    cosines = rows[words] @ rows.T
    likeness = usage.vectors[words] @ usage.vectors.T
    np.put_along_axis(cosines, own, -np.inf, 1)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
    alike = float(np.take_along_axis(likeness, nearest, 1).mean())
    others = likeness.copy()
    np.put_along_axis(others, own, -np.inf, 1)
    best = float(np.sort(others, axis=1)[:, -NEAREST:].mean())
    draws = np.random.default_rng(derive(0, "embedding neighbors"))
    reached, means = 0, []
    for _ in range(DRAWS):
        chosen = nearest + draws.integers(1, RANKS + 1, nearest.shape) * draws.choice((-1, 1), nearest.shape)
        chosen = np.abs(chosen)  # beyond either end: as far back from it
        chosen = np.where(chosen >= count, 2 * (count - 1) - chosen, chosen).clip(0, count - 1)
        chosen = np.where(chosen == own, (chosen + 1) % count, chosen)
        means.append(float(np.take_along_axis(likeness, chosen, 1).mean()))
        reached += means[-1] >= alike
    chance = float(np.mean(means))
    p = (1 + reached) / (1 + DRAWS)
    way = (alike - chance) / (best - chance) if best > chance else 0.0
    reading = "chance" if p > CHANCE or way < SOME else "clear" if way >= CLEAR else "faint"
    return {
        "words": len(words),
        "nearest": nearest.shape[1],
        "alike": alike,
        "chance": chance,
        "best": best,
        "way": way,
        "p": p,
        "draws": DRAWS,
        "reading": reading,
        "rule": {"chance": CHANCE, "some": SOME, "clear": CLEAR},
    }
