"""Which tokens the model holds for alike: neighbors and arithmetic in the embedding matrix, tested against chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from groundup.corpus import Tokenizer
from groundup.errors import UserError
from groundup.insight.analogies import find_analogies
from groundup.insight.counts import count_tokens
from groundup.insight.likeness import Usage, judge_neighbors
from groundup.insight.passage import checked
from groundup.insight.subject import Subject
from groundup.model import Transformer

SEEN = 20  # occurrences in the training text from which on a token is looked at: rarer rows have hardly moved
CANDIDATES = 4_000  # the most common such tokens
SHOWN, NEIGHBORS = 8, 5
LETTERS = 4  # of a word that is shown without being asked for: shorter ones are mostly "the", "of", "and"


def explain_embeddings(subject: Subject | None, *, text: str | None = None) -> dict[str, Any]:
    """The nearest neighbors of the tokens of common words (or of those in `text`), by cosine of embedding rows (C,).

    Looked at are the `candidates` most common tokens. `words` have `token`, `count` and `neighbors` with their
    `cosine`. `test` says whether neighbors are used alike in the training text (likeness.py), for this checkpoint and
    for the untrained one where the run has kept it; `analogies` whether b - a + c leads to d (analogies.py).
    """
    assert subject
    corpus, tokenizer = subject.corpus, subject.corpus.tokenizer
    counts = count_tokens(corpus)
    counts[tokenizer.eos_id] = 0
    candidates = np.argsort(-counts, kind="stable")[: min(CANDIDATES, int((counts >= SEEN).sum()))]
    if len(candidates) < 2 * NEIGHBORS + 2:
        raise UserError(
            f"only {len(candidates)} tokens stand {SEEN} times or more in the training text",
            where=corpus.path,
            fix="look at a run with more documents",
        )
    names = [tokenizer.piece(int(token)) for token in candidates]
    rows = embedding_rows(subject.model, candidates)
    words = [place for place, name in enumerate(names) if name.strip().isalpha() and len(name.strip()) >= LETTERS]
    if len(words) < SHOWN:  # a tokenizer of bytes, or of a tiny corpus
        words = list(range(len(names)))
    shown = words[:SHOWN] if text is None else _asked(tokenizer, checked(text), candidates)
    usage = Usage.count(corpus, candidates)
    test = {"this checkpoint": judge_neighbors(rows, usage, words)}
    if 0 in subject.checkpoints and subject.checkpoints[0] != subject.checkpoint:
        untrained = embedding_rows(subject.load(subject.checkpoints[0]), candidates)
        test["before training"] = judge_neighbors(untrained, usage, words)
    return {
        "checkpoint": str(subject.checkpoint),
        "width": rows.shape[1],
        "vocab_size": tokenizer.vocab_size,
        "candidates": len(candidates),
        "seen": SEEN,
        "words": [_neighbors(place, rows, names, counts[candidates]) for place in shown],
        "test": test,
        "analogies": find_analogies(rows, names),
    }


def embedding_rows(model: Transformer, tokens: np.ndarray) -> np.ndarray:
    """(n, C) float32: the embeddings of `tokens` (n,), each of length 1; rows of zeros stay so."""
    with torch.no_grad():
        rows = model.model.embed_tokens.weight[torch.from_numpy(tokens)].float().numpy()
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _neighbors(place: int, rows: np.ndarray, names: Sequence[str], counts: np.ndarray) -> dict[str, Any]:
    cosines = rows @ rows[place]
    nearest = [int(other) for other in np.argsort(-cosines, kind="stable") if other != place][:NEIGHBORS]
    return {
        "token": names[place],
        "count": int(counts[place]),
        "neighbors": [{"token": names[other], "cosine": float(cosines[other])} for other in nearest],
    }


def _asked(tokenizer: Tokenizer, text: str, candidates: np.ndarray) -> list[int]:
    """The places of the tokens of `text`: of each word as it stands after a space, where that is one token."""
    wanted = []
    for word in text.split():
        whole = [ids for ids in (tokenizer.encode(f" {word}"), tokenizer.encode(word)) if len(ids) == 1]
        wanted += whole[0] if whole else tokenizer.encode(f" {word}")
    place_of = {int(token): place for place, token in enumerate(candidates)}
    found = [place_of[token] for token in dict.fromkeys(wanted) if token in place_of]
    if not found:
        raise UserError(
            f"none of its tokens stands {SEEN} times or more in the training text",
            where="--text",
            fix="give words that are common in it",
        )
    return found
