"""Fill every value the user left open, with its reason; say what the run will cost.

Sources of the rules are named where they are applied; research and measurements behind them are in docs/decisions.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundup.config import Config
from groundup.config.usual import usual_decay, usual_rates
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.model import ModelShape
from groundup.parallel import available_memory
from groundup.parallel.accelerator import microbatch_tokens
from groundup.planning import sizes
from groundup.planning.expected import Expected
from groundup.planning.memory import peak_bytes

DEFAULT_MINUTES = 10.0
MANY_EPOCHS = 100
EVALUATIONS = 10


@dataclass(frozen=True)
class Plan:
    """What will be trained, and its cost."""

    shape: ModelShape
    steps: int
    tokens: int
    epochs: float
    minutes: float | None
    memory_bytes: int
    decisions: list[dict[str, Any]]
    """One row for each value that was planned: key, value, reason."""
    notices: list[str]
    """What was shrunk to fit the corpus."""
    warnings: list[str]
    """What this length and size will cost more than expected."""
    expected: Expected | None = None
    """What was measured before the first step says of minutes, memory and loss; `decide` adds it."""

    def to_json(self) -> dict[str, Any]:
        """For run.json and `--json`."""
        return {
            "parameters": self.shape.parameters(),
            "steps": self.steps,
            "tokens": self.tokens,
            "epochs": round(self.epochs, 3),
            "minutes": self.minutes,
            "memory_bytes": self.memory_bytes,
            "expected": self.expected.to_json() if self.expected else None,
            "flops_per_token": self.shape.flops_per_token(),
            "decisions": self.decisions,
        }


def make_plan(
    config: Config, corpus: Corpus, *, flops_per_second: float | None = None, seconds_left: float | None = None
) -> Plan:
    """Decide everything `config` leaves open for `corpus`; `config` changes in place.

    With a time budget, `seconds_left` of training at `flops_per_second` choose the size and the first guess of the
    steps. Without one no clock is read. Raises UserError when the corpus cannot be trained on.
    """
    notices: list[str] = []
    stream = len(corpus.train)
    if stream < 16:
        raise UserError(
            f"the training text has only {stream} tokens",
            where=corpus.path,
            fix="give more text: a few hundred words at least",
        )
    size = _choose_size(config, stream, flops_per_second, seconds_left)
    shape = _shape(config, size, corpus, notices)
    batch = _batches(config, size, stream, shape, notices)
    steps, minutes = _steps(config, shape, batch * shape.context, stream, flops_per_second, seconds_left)
    return plan_length(config, corpus, steps, minutes, notices)


def plan_length(
    config: Config,
    corpus: Corpus,
    steps: int,
    minutes: float | None,
    notices: Sequence[str] = (),
    evaluations: int = EVALUATIONS,
) -> Plan:
    """Decide, or decide anew, all that follows from the number of steps, with about so many evaluations; `config`
    changes in place."""
    warnings: list[str] = []
    text = (
        f"the text is read {sizes.MOST_EPOCHS} times, which takes less than the minutes there are:"
        " twice as often as half of that taught no more"
    )
    notices = [notice for notice in notices if notice != text]  # of an estimate before steps were measured
    most = most_steps(config, corpus)
    if most and steps > most:
        steps = most
        notices.append(text)
    tokens = steps * (config.training.tokens_per_update or 0)
    epochs = tokens / len(corpus.train)
    _recipe(config, steps, epochs)
    _cadence(config, steps, evaluations)
    shape = shape_of(config, corpus)
    if epochs > MANY_EPOCHS:
        warnings.append(
            f"the text will be read {epochs:,.0f} times, if nothing stops it: more documents would help more"
        )
    memory = peak_bytes(shape, config, len(corpus.train))
    free = available_memory()
    if memory > free:
        warnings.append(
            f"about {memory / 1e9:.1f} GB of memory will be needed and {free / 1e9:.1f} GB are free:"
            " a smaller --size, or --set training.microbatch=1, needs less"
        )
    decisions = [
        {"key": key, "value": config.get(key), "reason": reason}
        for key, reason in config.origins.items()
        if key in config.planned
    ]
    return Plan(shape, steps, tokens, epochs, minutes, memory, decisions, notices, warnings)


def most_steps(config: Config, corpus: Corpus) -> int | None:
    """The steps after which training ends though its minutes are not over; None under any other budget."""
    if not config.training.minutes:
        return None
    return max(10, math.ceil(sizes.MOST_EPOCHS * len(corpus.train) / (config.training.tokens_per_update or 1)))


def shape_of(config: Config, corpus: Corpus) -> ModelShape:
    """The shape of a configuration in which every value is decided."""
    model = config.model
    rows = -(-corpus.tokenizer.vocab_size // 64) * 64  # whole vectors in every matrix product
    assert (
        model.layers
        and model.width
        and model.heads
        and model.kv_heads
        and model.head_dim
        and model.ffn_width
        and model.context
    )
    return ModelShape(
        arch=model.arch,
        vocab_size=rows,
        layers=model.layers,
        width=model.width,
        heads=model.heads,
        kv_heads=model.kv_heads,
        head_dim=model.head_dim,
        ffn_width=model.ffn_width,
        context=model.context,
        tied=bool(model.tied),
        dropout=model.dropout or 0.0,
        rope_theta=model.rope_theta,
        norm_eps=model.norm_eps,
    )


def _choose_size(config: Config, stream: int, flops_per_second: float | None, seconds_left: float | None) -> sizes.Size:
    if config.size:
        return sizes.DIAL[config.size]
    if flops_per_second and seconds_left:
        size, reason = sizes.for_compute(flops_per_second * max(seconds_left, 1.0), stream)
    else:
        size, reason = sizes.for_corpus(stream)
    config.decide("model.layers", size.layers, reason)
    config.decide("model.width", size.width, reason)
    return size


def _shape(config: Config, size: sizes.Size, corpus: Corpus, notices: list[str]) -> ModelShape:
    of_dial = f"size {config.size}" if config.size else "goes with the depth"
    layers = config.decide("model.layers", size.layers, of_dial)
    width = config.decide("model.width", size.width, of_dial)
    context, reason = size.context, f"{of_dial}: {size.layers} layers, {size.width} wide"
    if context > (fit := _power_of_two(len(corpus.train) // 8)):
        context, reason = fit, f"{len(corpus.train):,} training tokens: at least eight windows of the text"
        if config.model.context is None:
            notices.append(f"the corpus is small: the context was shrunk from {size.context} to {context} tokens")
    context = config.decide("model.context", context, reason)
    if context > len(corpus.train):
        raise UserError(
            f"model.context = {context} is more than the {len(corpus.train):,} training tokens",
            where="model.context",
            fix=f"use --set model.context={_power_of_two(len(corpus.train) // 8)} or less, or leave it out",
        )
    head_dim = config.model.head_dim
    if head_dim is None:
        for head_dim in (128, 64, 32, 16, 8, 4, 2):
            # 128 from 768 wide on, 64 from 384, else 32 (nanochat's sweep); a divisor of the width
            if head_dim <= max(32, width // 6) and width % head_dim == 0:
                break
        config.decide("model.head_dim", head_dim, "64 from 384 wide on, 128 from 768, else 32; a divisor")
    assert head_dim
    heads = config.decide("model.heads", max(1, width // head_dim), "width / head size")
    config.decide("model.kv_heads", heads, "one for each query head: sharing them saves cache memory and costs quality")
    config.decide(
        "model.ffn_width",
        -(-width * 8 // 3 // 64) * 64,
        "8/3 of the width, in whole multiples of 64 (SwiGLU)",
    )
    blocks = 12 * layers * width**2
    table = corpus.tokenizer.vocab_size * width
    config.decide("model.tied", table > blocks, f"the embedding has {table:,} weights, the blocks {blocks:,}")
    return shape_of(config, corpus)


def _batches(config: Config, size: sizes.Size, stream: int, shape: ModelShape, notices: list[str]) -> int:
    """Decide tokens per update and microbatch; return sequences per update."""
    tokens, reason = size.tokens_per_update, "2,048 measured best at 128 wide; larger models afford larger updates"
    if tokens > stream:
        tokens, reason = (
            max(stream // shape.context, 1) * shape.context,
            "the corpus is smaller than one usual batch",
        )
        if config.training.tokens_per_update is None:
            notices.append(
                f"the corpus is small: an update learns from {tokens} tokens instead of {size.tokens_per_update}"
            )
    tokens = config.decide("training.tokens_per_update", tokens, reason)
    batch = max(1, round(tokens / shape.context))
    config.training.tokens_per_update = batch * shape.context
    most, reason = microbatch_tokens(config.device.device, shape)
    config.decide("training.microbatch", min(batch, max(1, most // shape.context)), reason)
    return batch


def _steps(
    config: Config,
    shape: ModelShape,
    tokens_per_step: int,
    stream: int,
    flops_per_second: float | None,
    seconds_left: float | None,
) -> tuple[int, float | None]:
    """Steps of the budget, and minutes where the clock sets them (then the steps are a first guess)."""
    training = config.training
    if training.minutes:
        assert flops_per_second and seconds_left is not None
        return max(
            10, int(flops_per_second * seconds_left / (tokens_per_step * shape.flops_per_token()))
        ), training.minutes
    if training.steps:
        return training.steps, None
    if training.tokens:
        return -(-training.tokens // tokens_per_step), None
    assert training.epochs
    return math.ceil(training.epochs * stream / tokens_per_step), None


def _recipe(config: Config, steps: int, epochs: float) -> None:
    """Optimizer, rates, schedule and regularization."""
    name = config.decide(
        "optimizer.name", "muon", "learned more per second than AdamW at 1,024 and 2,048 tokens an update"
    )
    for key, (rate, reason) in usual_rates(name, config.model.width or 128).items():
        config.decide(key, rate, reason)
    config.decide("optimizer.weight_decay", *usual_decay(epochs))
    config.decide("schedule.warmup", warmup_steps(steps), "20 steps, at most a tenth of the run")
    if config.model.dropout is None or config.device.compile != "on":  # else it is compiled in
        decide_dropout(config, epochs)
    patience = 5 if config.training.minutes and epochs > 4 else 0
    config.decide(
        "training.patience",
        patience,
        "5 under a time budget with more than 4 epochs, else the run has the length asked for",
    )


def warmup_steps(steps: int) -> int:
    """Updates of warmup in a run of `steps`."""
    return min(20, max(1, steps // 10))


def decide_dropout(config: Config, epochs: float) -> None:
    """Decide how much is dropped when the text is read so often."""
    dropout = 0.0 if epochs <= 10 else 0.1 if epochs <= 20 else 0.2
    config.decide("model.dropout", dropout, f"{epochs:.1f} epochs: none up to 10, 0.1 up to 20, 0.2 beyond")


def _cadence(config: Config, steps: int, evaluations: int) -> None:
    config.decide("training.log_every", max(1, steps // 100), "about a hundred entries")
    reason = f"about {evaluations} evaluations"
    if evaluations < EVALUATIONS:
        reason += ": more would take too much of the time"
    every = config.decide("evaluation.every", max(1, steps // evaluations), reason)
    config.decide("checkpoint.every", every, "with each evaluation")
    trained = steps * (config.training.tokens_per_update or 1)
    config.decide("evaluation.tokens", max(16_384, trained // 64), "a 64th of the training tokens, and at least 16,384")


def _power_of_two(n: int) -> int:
    return max(8, 1 << (max(n, 1).bit_length() - 1))
