"""`evaluate`: how well a trained model predicts text, beside models that it must beat."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from groundup.config import Config
from groundup.corpus import Corpus, Tokenizer, read_clean
from groundup.documents import Document
from groundup.errors import UserError
from groundup.evaluation import Windows, reference_models, score
from groundup.events import Listener, Notice, Phase, nobody
from groundup.inference import PackedModel, Precision
from groundup.model import load_model
from groundup.parallel import decide_compute
from groundup.runs import Run, find_checkpoint, stop_on_signals
from groundup.verbs.request import PathLike, Paths, as_inputs


def evaluate(
    run: PathLike, paths: Paths = (), *, precision: Precision = "float32", listen: Listener = nobody
) -> dict[str, Any]:
    """Score the best checkpoint of `run` on every token of the files at `paths`, or of its validation split.

    Returns `loss` (nats per token), `perplexity`, `accuracy`, `bits_per_byte`, `tokens`, `bytes`, and `baselines`
    counted on the run's training text. Files are scored exactly as `read` prints them, without deduplication.
    `precision` is that of the weights, as for `generate`. Raises UserError when the run has no checkpoint or there is
    no text to score.
    """
    run, given = Path(run), as_inputs(paths)
    checkpoint = find_checkpoint(run)
    home = checkpoint.parent if (checkpoint.parent / "run.json").is_file() else None
    if home is None and not given:
        raise UserError(
            "a checkpoint outside its run has no validation split",
            where=run,
            fix="give files to score: groundup evaluate CHECKPOINT PATH...",
        )
    tokenizer = Tokenizer.load(checkpoint / "tokenizer.json")
    opened = Run.open(home) if home else None
    config = opened.config() if opened and (opened.path / "config.toml").is_file() else Config()
    config.device.device = "auto"  # the run may come from a machine with another one
    config.device.precision = "float32"  # so that any other program that scores the same tokens gets the same figures
    compute = decide_compute(config)
    model = load_model(checkpoint, compute.device)
    model.attention = compute.attention
    context, vocab_size = model.shape.context, model.shape.vocab_size
    scorer = model if precision == "float32" else PackedModel(model, precision)
    corpus = Corpus(opened.corpus) if opened else None
    if given:
        listen(Phase("reading"))
        texts = []
        for item in read_clean(given, config):
            if isinstance(item, Document):
                texts.append(item.text)
            elif item.status == "failed":
                listen(Notice(f"{item.path}: {item.reason}", "warning"))
        documents = [ids for ids in tokenizer.encode_batch(texts) if len(ids)]
    else:
        assert corpus is not None
        documents = corpus.validation_documents()
    if not documents:
        raise UserError(
            "there is no text to score",
            where=", ".join(str(path) for path in given) or run,
            fix="give files with text"
            if given
            else "the run held nothing out: give files, groundup evaluate RUN PATH...",
        )
    windows = Windows.of(documents, context)
    listen(Phase(f"scoring {windows.tokens:,} tokens"))
    with stop_on_signals() as stop:
        scores = score(
            scorer,
            windows,
            eos_id=tokenizer.eos_id,
            byte_lengths=torch.from_numpy(tokenizer.byte_lengths(vocab_size)),
            compute=compute,
            poll=stop.poll,
        )
    return {
        **asdict(scores),
        "source": [str(path) for path in given] or "validation split",
        "checkpoint": str(checkpoint),
        "context": context,
        "precision": precision,
        "baselines": reference_models(corpus, documents) if corpus and corpus.path.is_dir() else {},
    }
