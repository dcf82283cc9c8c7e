"""groundup in the generation benchmark: `groundup.inference.generate`, greedy, in each precision, and without a cache.

`bandwidth` is one more contestant: how fast this machine reads and copies memory, in the same rounds.
"""

import json
import os
import time
from collections.abc import Callable
from typing import Any

import groundup
from groundup.benchmarking.decoding_peers import timed
from groundup.benchmarking.training_ours import model_shape
from groundup.corpus.tokenizer import Tokenizer
from groundup.inference import PackedModel, Precision, SamplingSettings, generate
from groundup.inference.generate import LONG
from groundup.inference.native import native_decoder
from groundup.inference.weights import Int8Matrix, Matrix
from groundup.model import Transformer

# isort: split
import tokenizers
import torch  # after groundup, which says how long torch's threads spin

PRECISIONS: dict[str, Precision] = {"bf16": "bfloat16", "int8": "int8"}
WAYS = {*PRECISIONS, "uncached"}
UNCACHED_TOKENS = 4
_STREAM_BYTES = 512_000_000  # far more than any cache holds


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As contestant.py asks for it; `settings` as in decoding_peers.py, and `threads_chosen`.

    A `device`, a `batch` of texts and `compiled` may be there, too. Without a cache a token costs the whole text before
    it, so tokens in the middle of the text stand for all.
    """
    if settings["name"] == "bandwidth":
        return {}, bandwidth
    if not settings["threads_chosen"]:
        os.environ.pop("OMP_NUM_THREADS", None)  # torch has read it; the decoder takes it for a user's choice
    _, *ways = settings["name"].split("-")
    uncached = "uncached" in ways
    precision: Precision = "float32"
    for way in ways:
        precision = PRECISIONS.get(way, precision)
    device, batch = settings.get("device", "cpu"), settings.get("batch", 1)
    shape = model_shape(settings["shape"])
    tokenizer = tokenizer_of(shape.vocab_size)
    model = Transformer(shape).to(device)
    draws = torch.Generator(device).manual_seed(settings["seed"])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:  # no matrix may be zero: all arithmetic is to be done
                parameter.normal_(0.0, 0.02, generator=draws)
        model.model.embed_tokens.weight[tokenizer.eos_id] = 0  # never the likeliest: no text ends early
    packed = PackedModel(model, precision)
    packed.compiled = settings.get("compiled", False)
    del model
    prompt, new = settings["prompt"], settings["new"]
    if uncached:
        prompt, new = prompt + new // 2, min(new, UNCACHED_TOKENS)
    text = "".join(chr(97 + i % 26) for i in range(prompt - 1))  # after <|endoftext|>

    def write(tokens: int) -> int:
        greedy = SamplingSettings(temperature=0, max_new_tokens=tokens)
        texts = generate(packed, tokenizer, [text] * batch, greedy, use_cache=not uncached)
        return sum(len(text.token_ids) for text in texts)

    read = 0
    for matrix in packed.modules():
        if isinstance(matrix, Matrix | Int8Matrix):
            read += sum(held.numel() * held.element_size() for held in matrix.buffers())
    held = packed.cache(1, 1).keys.numel() * packed.cache(1, 1).keys.element_size() * 2
    decoder = native_decoder(packed) if new >= LONG and not uncached and batch == 1 else None
    facts = {
        "threads": decoder.threads if decoder else torch.get_num_threads(),
        "parameters": shape.parameters(),
        "bytes_per_token": None if uncached else read / batch + held * (prompt + new // 2),
        "precision": precision,
        "versions": {"groundup": groundup.__version__, "torch": torch.__version__},
    }
    # a GPU records its step for the length of the text
    return facts, timed(write, new, batch=batch, warm_up=new if device == "cuda" else min(new, LONG))


def tokenizer_of(size: int) -> Tokenizer:
    """A token for each byte, and pairs of bytes up to `size` entries (at most 65,793), which no text is encoded to.

    With them every token is drawn among as many logits as the peers' are.
    """
    content = json.loads(Tokenizer.of_bytes().to_json())
    vocabulary = content["model"]["vocab"]
    single = [token for token in vocabulary if len(token) == 1]
    pairs = (one + other for one in single for other in single)
    for index, pair in zip(range(len(vocabulary), size), pairs, strict=False):
        vocabulary[pair] = index
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(content)))


def bandwidth(seconds: float) -> dict[str, float]:
    """Bytes per second, at best, of summing memory and of copying it (read and written bytes)."""
    source = torch.ones(_STREAM_BYTES // 4)
    target = torch.empty_like(source)
    return {
        "read": _STREAM_BYTES / _fastest(lambda: source.sum(), seconds / 2),
        "copy": 2 * _STREAM_BYTES / _fastest(lambda: target.copy_(source), seconds / 2),
    }


def _fastest(work: Callable[[], object], seconds: float) -> float:
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
