"""Prompts to texts, in batches, with a KV cache.

Every text is preceded by `<|endoftext|>`, as every document is in training. When the tokens fill the context,
the newest half is kept and read again from position 0; with and without the cache the rule is the same, and in float32
so are the logits, up to rounding. A prompt longer than the context is read from its newest `context` tokens.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from groundup.corpus.tokenizer import Tokenizer
from groundup.errors import UserError
from groundup.inference.native import NativeDecoder, native_decoder
from groundup.inference.packing import PackedModel
from groundup.inference.sampling import SamplingSettings, draw
from groundup.inference.slots import SlotDecoder
from groundup.inference.text_stream import TextStream
from groundup.model import KVCache, Transformer

_ROWS = 32  # generated at once: bounds the memory of the cache
LONG = 64  # new tokens from which on a text earns back the second that compiling the decoder takes, once a machine
_RECORDED = ("cuda",)  # devices whose decoding step is recorded and replayed


@dataclass(frozen=True, slots=True)
class Generation:
    """One generated text."""

    text: str
    """What follows the prompt, without the stop string."""
    token_ids: tuple[int, ...]
    """All new tokens, including those of the stop string, without `<|endoftext|>`."""
    finish_reason: Literal["stop", "length", "eos"]
    """`stop`: a stop string came; `length`: max_new_tokens; `eos`: the model ended the text."""
    prompt_tokens: int
    """Tokens of the whole prompt, without the `<|endoftext|>` before it."""
    slid_at: tuple[int, ...]
    """After how many new tokens the older half of a full context was forgotten; 0: too long a prompt."""

    @property
    def slides(self) -> int:
        """How many times the model forgot the beginning."""
        return len(self.slid_at)


def generate(
    model: Transformer | PackedModel,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    settings: SamplingSettings,
    *,
    use_cache: bool = True,
    n: int = 1,
    on_text: Callable[[int, str], None] | None = None,
) -> list[Generation]:
    """`n` texts for each prompt, those of the first prompt first.

    Draws depend on the seed, a text's number among the `n` and the token's place. In float32 the logits do not depend
    on the other prompts but by rounding, so neither does the text, unless two tokens are as close as that. In bfloat16
    and int8 it does: a text that is alone in its batch may be decoded with float32 activations, batches have bfloat16
    ones, and another batch rounds otherwise.

    `on_text(index, piece)` is called with each piece of text as it becomes certain; `index` is the place in the
    result. `use_cache=False` reads the whole context again for every token: slow, the reference for the cache.

    A `Transformer` is packed in float32 first; whoever generates often, or in another precision, packs it once.
    A packed model on a CPU decodes a long text that is alone in its batch with compiled code, where there is a C++
    compiler; on a GPU the step of a long text is recorded once and replayed. Raises UserError where tokenizer and model
    do not belong together, or the logits are not finite.
    """
    if tokenizer.vocab_size > model.shape.vocab_size:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {model.shape.vocab_size}",
            fix="use the tokenizer that the model was trained with",
        )
    if n < 1:
        raise UserError(f"is {n}", where="n", fix="ask for 1 text or more")
    context = model.shape.context
    rows = []
    for prompt in prompts:
        ids = tokenizer.encode(_sound(prompt))
        window = [tokenizer.eos_id, *ids]
        slid_at = [0] if len(window) > context else []
        for sample in range(n):
            stream = TextStream(settings.stop)
            rows.append(_Row(len(rows), sample, ids, window[-context:], stream, list(slid_at)))
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            packed, native = model, None
            if use_cache and isinstance(model, Transformer):
                packed = PackedModel(model)
            elif use_cache and isinstance(model, PackedModel) and settings.max_new_tokens >= LONG:
                native = native_decoder(model)
            for start in range(0, len(rows), _ROWS):
                _run(packed, native, tokenizer, rows[start : start + _ROWS], settings, use_cache, on_text)
    finally:
        model.train(training)
    return [row.result() for row in rows]


@dataclass(slots=True)
class _Row:
    index: int
    sample: int
    prompt: list[int]
    window: list[int]
    """The tokens the model sees, at positions 0, 1, ..."""
    stream: TextStream
    slid_at: list[int]
    new: list[int] = field(default_factory=list)
    fresh: bool = True
    """The window is to be read from position 0: it is the prompt, or it slid."""
    reason: Literal["stop", "length", "eos"] | None = None

    def push(self, token: int, context: int) -> None:
        """Let the model see one more token, forgetting the older half of a full window."""
        self.fresh = len(self.window) == context
        if self.fresh:
            self.slid_at.append(len(self.new))
            self.window = self.window[context - context // 2 :]
        self.window.append(token)

    def result(self) -> Generation:
        assert self.reason is not None
        return Generation(self.stream.text, tuple(self.new), self.reason, len(self.prompt), tuple(self.slid_at))


def _run(
    model: Transformer | PackedModel,
    native: NativeDecoder | None,
    tokenizer: Tokenizer,
    rows: list[_Row],
    settings: SamplingSettings,
    use_cache: bool,
    on_text: Callable[[int, str], None] | None,
) -> None:
    if use_cache:
        assert isinstance(model, PackedModel)
        source = _cached(model, native, rows, settings.max_new_tokens)
        if model.cos.device.type in _RECORDED and settings.max_new_tokens >= LONG:
            source = _in_slots(model, rows, settings.max_new_tokens) or source
    else:
        source = _uncached(model, rows)
    for active, logits in source:
        if not bool(torch.isfinite(logits).all()):
            raise UserError("the model's logits are not finite", fix="use an earlier checkpoint")
        logits = logits[:, : tokenizer.vocab_size]  # rows that only pad the vocabulary are no tokens
        previous = [row.prompt + row.new for row in active] if settings.repetition_penalty != 1 else ()
        tokens = draw(logits, settings, previous, [(row.sample, len(row.new)) for row in active])
        for row, token in zip(active, tokens, strict=True):
            piece = _accept(row, token, tokenizer, settings, model.shape.context)
            if piece and on_text is not None:
                on_text(row.index, piece)


def _accept(row: _Row, token: int, tokenizer: Tokenizer, settings: SamplingSettings, context: int) -> str:
    """Take a row's next token; returns the text that it makes certain."""
    if token == tokenizer.eos_id:
        row.reason = "eos"
        return row.stream.finish(cut=False)
    row.new.append(token)
    piece = row.stream.feed(tokenizer.decode_bytes([token]))
    if row.stream.stopped:
        row.reason = "stop"
    elif len(row.new) == settings.max_new_tokens:
        row.reason = "length"
        piece += row.stream.finish(cut=True)
    else:
        row.push(token, context)
    return piece


def _uncached(model: Transformer | PackedModel, rows: list[_Row]) -> Iterator[tuple[list[_Row], Tensor]]:
    """Yields unfinished rows and their next logits (B, V) until none is left, reading every window anew."""
    while active := [row for row in rows if row.reason is None]:
        yield active, _read(model, active, None)


def _cached(
    model: PackedModel, native: NativeDecoder | None, rows: list[_Row], new_tokens: int
) -> Iterator[tuple[list[_Row], Tensor]]:
    """The same, reading one token a row where the cache holds the others."""
    capacity = min(model.shape.context, max(len(row.window) for row in rows) + new_tokens)
    device = model.cos.device
    cache = model.cache(len(rows), capacity)
    held, active = rows, rows
    while active:
        if len(active) < len(held):
            cache.keep([i for i, row in enumerate(held) if row.reason is None])
        fresh = [i for i, row in enumerate(active) if row.fresh]
        if len(fresh) == len(active):
            logits = _read(model, active, cache)
        elif native and len(active) == 1:
            window = active[0].window
            logits = native.step(window[-1], len(window) - 1, cache)
        else:
            # rows that slid take part with some token in slot 0; all their slots are replaced right after
            positions = torch.tensor([[0 if row.fresh else len(row.window) - 1] for row in active])
            ids = torch.tensor([row.window[-1:] for row in active])
            logits = model(ids.to(device), cache, positions.to(device))[:, -1].float()
            if fresh:
                slid = [active[i] for i in fresh]
                part = model.cache(len(slid), max(len(row.window) for row in slid))
                logits[fresh] = _read(model, slid, part)
                cache.put(fresh, part)
        yield active, logits
        held, active = active, [row for row in active if row.reason is None]


def _in_slots(model: PackedModel, rows: list[_Row], new_tokens: int) -> Iterator[tuple[list[_Row], Tensor]] | None:
    """The same with each row in a slot of its own to the end, by a recorded step; None where none can be recorded."""
    capacity = min(model.shape.context, max(len(row.window) for row in rows) + new_tokens)
    decoder, model.recorded = model.recorded, None  # texts written at the same time need a decoder each
    try:
        if decoder is None or not decoder.fits(len(rows), capacity, model.compiled):
            decoder = SlotDecoder(model, len(rows), capacity)
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[0][:200]
        warnings.warn(f"decoding steps cannot be recorded ({reason}): the same, but slower", stacklevel=2)
        return None
    return _replayed(model, decoder, rows)


def _replayed(model: PackedModel, decoder: SlotDecoder, rows: list[_Row]) -> Iterator[tuple[list[_Row], Tensor]]:
    while active := [i for i, row in enumerate(rows) if row.reason is None]:
        fresh, logits = [i for i in active if rows[i].fresh], None
        if len(fresh) < len(active):
            # the others take part with some token: what they write is replaced right after, or read by nobody
            logits = decoder.step([row.window[-1] for row in rows], [len(row.window) - 1 for row in rows])
        if fresh:
            part = model.cache(len(fresh), max(len(rows[i].window) for i in fresh))
            read = _read(model, [rows[i] for i in fresh], part)
            decoder.cache.put(fresh, part)
            if logits is None:
                logits = read.new_zeros(len(rows), read.shape[1])
            logits[fresh] = read
        assert logits is not None
        yield [rows[i] for i in active], logits if len(active) == len(rows) else logits[active]
    model.recorded = decoder


def _read(model: Transformer | PackedModel, rows: list[_Row], cache: KVCache | None) -> Tensor:
    """Read whole windows from position 0, into a cache if given; returns next logits (B, V), float32."""
    device = model.cos.device
    lengths = torch.tensor([len(row.window) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row.window)] = torch.tensor(row.window)
    hidden = model.hidden(ids.to(device), cache)
    return model.logits(hidden[torch.arange(len(rows)), lengths - 1]).float()


def _sound(text: str) -> str:
    """The text with lone surrogates, which a terminal or a file name can hold but UTF-8 cannot, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
