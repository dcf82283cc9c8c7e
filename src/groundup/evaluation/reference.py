"""The models that a trained one must beat, on the same documents."""

from collections.abc import Sequence

import numpy as np

from groundup.corpus import Corpus
from groundup.evaluation.baselines import gzip_bits_per_byte, token_baselines

COUNTED_TOKENS = 3_000_000  # training tokens the n-grams count: 0.2 to 0.5 GB and about 4 s


def reference_models(corpus: Corpus, documents: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
    """Uniform, unigram, bigram and 5-gram, counted on the training text, and gzip, on `documents` (each (n,) ids)."""
    tokenizer = corpus.tokenizer
    texts = [tokenizer.decode(document.tolist()) for document in documents]
    table = token_baselines(
        corpus.train.sample(COUNTED_TOKENS),
        documents,
        vocab_size=tokenizer.vocab_size,
        eos_id=tokenizer.eos_id,
        bytes=sum(len(text.encode()) for text in texts),
    )
    return table | {"gzip": {"bits_per_byte": gzip_bits_per_byte(texts)}}
