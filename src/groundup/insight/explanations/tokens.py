"""How a text is cut into tokens, and how the vocabulary is used by the training text."""

from typing import Any

import numpy as np

from groundup.insight.counts import count_tokens
from groundup.insight.passage import choose_passage
from groundup.insight.subject import Subject

SHOWN = 12  # entries of each list


def explain_tokens(subject: Subject | None, *, text: str | None = None, seed: int = 0) -> dict[str, Any]:
    """The `pieces` of a text in order, each with `id`, `token`, its `bytes` and its `count` in the training text; and
    the vocabulary: the most `common` and `rare` entries that are used, and those that are not.

    `bytes_per_token` is that of this text and of the training text; `half` is how many of the commonest entries make
    half of all training tokens. `unused_bytes` of the `unused` entries are single bytes, which must be there so that
    every text can be written. End-of-text is not counted.
    """
    assert subject
    passage = choose_passage(subject, text, seed=seed)
    corpus, tokenizer = subject.corpus, subject.corpus.tokenizer
    ids = tokenizer.encode(passage.text)
    counts = count_tokens(corpus)
    documents = int(counts[tokenizer.eos_id])
    counts[tokenizer.eos_id] = 0
    total, size = int(counts.sum()), len(passage.text.encode())
    lengths = tokenizer.byte_lengths(tokenizer.vocab_size)
    by_count = np.argsort(-counts, kind="stable")
    used = by_count[counts[by_count] > 0]
    unused = np.flatnonzero((counts == 0) & (np.arange(len(counts)) != tokenizer.eos_id))

    def entry(token: int) -> dict[str, Any]:
        count = int(counts[token])
        return {"id": token, "token": tokenizer.piece(token), "count": count, "share": count / max(total, 1)}

    return {
        "text": passage.text,
        "source": passage.source,
        "characters": len(passage.text),
        "bytes": size,
        "pieces": [{**entry(token), "bytes": list(tokenizer.decode_bytes([token]))} for token in ids],
        "round_trip": tokenizer.decode_bytes(ids) == passage.text.encode(),
        "bytes_per_token": {
            "text": size / len(ids),
            "training": float((counts * lengths).sum() / max(total, 1)),
        },
        "vocabulary": {
            "kind": "bytes" if lengths.max() == 1 else "bpe",
            "size": tokenizer.vocab_size,
            "documents": documents,
            "tokens": total,
            "half": int(np.searchsorted(np.cumsum(counts[by_count]), total / 2)) + 1,
            "used_once": int((counts == 1).sum()),
            "unused": len(unused),
            "unused_bytes": int((lengths[unused] == 1).sum()),
            "common": [entry(int(token)) for token in used[:SHOWN]],
            "rare": [entry(int(token)) for token in used[::-1][:SHOWN]],
            "never": [entry(int(token)) for token in unused[::-1][:SHOWN]],
        },
    }
