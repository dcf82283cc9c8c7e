"""A bigram language model of characters, by counting: the smallest model that is honest about its loss.

Run `python bigram.py [TEXT_FILE]`; without a file it reads its own source. The last tenth of the text is
held out and never counted, so the printed losses say how well the model predicts text it has not seen.
"""

import sys
from pathlib import Path

import numpy as np


def encode(text: str) -> tuple[np.ndarray, list[str]]:
    """Characters to integers: ids of shape (N,) and the sorted alphabet of V symbols."""
    alphabet = sorted(set(text))
    number = {character: i for i, character in enumerate(alphabet)}
    return np.array([number[character] for character in text]), alphabet


def count_pairs(ids: np.ndarray, size: int) -> np.ndarray:
    """counts[a, b] = how often symbol b came straight after symbol a; shape (V, V)."""
    counts = np.zeros((size, size))
    # A plain counts[a, b] += 1 would count a repeated pair only once; add.at counts every occurrence.
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return counts


def unigram_probabilities(ids: np.ndarray, size: int) -> np.ndarray:
    """Share of each symbol, with one imaginary occurrence of every symbol added; shape (V,)."""
    counts = np.bincount(ids, minlength=size) + 1.0
    return counts / counts.sum()


def bigram_probabilities(counts: np.ndarray, unigram: np.ndarray, strength: float) -> np.ndarray:
    """P(next | current), shape (V, V), every row summing to 1.

    A pair that was never counted may still occur, and -ln 0 is infinite. So each row is mixed with the
    unigram distribution, as if `strength` extra symbols drawn from it had been seen. A row with much
    evidence barely moves; a row with none becomes the unigram distribution itself.
    """
    return (counts + strength * unigram) / (counts.sum(axis=1, keepdims=True) + strength)


def bigram_loss(probabilities: np.ndarray, ids: np.ndarray) -> float:
    """Mean of -ln P(next | current) over all neighboring pairs, in nats per character."""
    return float(-np.log(probabilities[ids[:-1], ids[1:]]).mean())


def sample(probabilities: np.ndarray, first: int, length: int, rng: np.random.Generator) -> list[int]:
    """Draw `length` symbols, each from the row of the one before it."""
    ids = [first]
    for _ in range(length):
        ids.append(int(rng.choice(len(probabilities), p=probabilities[ids[-1]])))
    return ids


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__)
    ids, alphabet = encode(path.read_text(encoding="utf-8"))
    cut = len(ids) * 9 // 10
    train, held_out = ids[:cut], ids[cut:]

    unigram = unigram_probabilities(train, len(alphabet))
    bigram = bigram_probabilities(count_pairs(train, len(alphabet)), unigram, strength=4.0)

    print(f"{path.name}: {len(train)} characters to learn from, {len(held_out)} held out")
    print(f"uniform  {np.log(len(alphabet)):.3f} nats per character (ln {len(alphabet)})")
    # Scored from the second character on, as the bigram must be: it has nothing to go by for the first.
    print(f"unigram  {-np.log(unigram[held_out[1:]]).mean():.3f}")
    loss = bigram_loss(bigram, held_out)
    print(f"bigram   {loss:.3f}, a perplexity of {np.exp(loss):.1f}")

    drawn = sample(bigram, alphabet.index("t"), 120, np.random.default_rng(0))
    print("a sample:", repr("".join(alphabet[i] for i in drawn)))


if __name__ == "__main__":
    main()
