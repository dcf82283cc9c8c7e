"""Documents become a corpus: deduplicated, split by document, tokenized, sharded; and batches in a known order.

`prepare_corpus` writes the directory, `Corpus` opens it, `Batches` deals training batches from it.
"""

from groundup.corpus.batches import IGNORE, Batches
from groundup.corpus.corpus import SCORED_TOKENS, Corpus, is_corpus
from groundup.corpus.origin import Origin, Pair, find_origin, find_pairs
from groundup.corpus.preparation.prepare import prepare_corpus
from groundup.corpus.preparation.settings import read_clean
from groundup.corpus.provenance import batch_texts
from groundup.corpus.tokenizer import END_OF_TEXT, Tokenizer

__all__ = [
    "END_OF_TEXT",
    "IGNORE",
    "SCORED_TOKENS",
    "Batches",
    "Corpus",
    "Origin",
    "Pair",
    "Tokenizer",
    "batch_texts",
    "find_origin",
    "find_pairs",
    "is_corpus",
    "prepare_corpus",
    "read_clean",
]
