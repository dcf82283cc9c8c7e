"""`batch`: the texts that a step learned from, and the documents that they come from."""

from pathlib import Path
from typing import Any

from groundup.corpus import Batches, Corpus, batch_texts
from groundup.errors import UserError
from groundup.runs import Run
from groundup.verbs.request import PathLike


def batch(run: PathLike, number: int) -> list[dict[str, Any]]:
    """The sequences of one of a run's batches, as the lines `spike` and `bad_step` of its metrics.jsonl name them.

    Batches are numbered from 0 in the order in which they are dealt: batch N is that of step N until a run goes back.
    Rows have `epoch`, `block`, `text` (of what was to be predicted) and `sources`, the documents that it is from, in
    order. Raises UserError when `run` is none or is not planned yet, and for numbers below 0.
    """
    opened = Run.open(Path(run))
    if "horizon" not in opened.info:
        raise UserError("is not planned yet: it has no batches", where=opened.path)
    if not 0 <= number < 2**53:
        raise UserError(f"there is no batch {number}", where=opened.path, fix="batches are numbered from 0")
    config, corpus = opened.config(), Corpus(opened.corpus)
    context, tokens = config.model.context, config.training.tokens_per_update
    if not context or not tokens:
        raise UserError("lacks model.context or training.tokens_per_update", where=opened.path / "config.toml")
    batches = Batches(corpus.train, context=context, batch=tokens // context, seed=config.training.seed)
    return batch_texts(corpus, batches, number)
