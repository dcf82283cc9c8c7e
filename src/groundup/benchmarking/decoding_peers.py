"""The peer in the generation benchmark: transformers' GPT-2 and its `generate`, greedy, with its cache.

A name says the model and, after a dash, the precision: `gpt2` is float32, `gpt2-bf16` has the model in bfloat16.
This file imports nothing of groundup: other interpreters run it.
"""

import time
from collections.abc import Callable
from typing import Any

import torch

WAYS = {"bf16"}


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As contestant.py asks for it; `settings` has `name`, `shape`, `prompt` and `new` (tokens), and `seed`."""
    import transformers

    shape, new = settings["shape"], settings["new"]
    dtype = torch.bfloat16 if "bf16" in settings["name"].split("-") else torch.float32
    torch.manual_seed(settings["seed"])
    config = transformers.GPT2Config(
        vocab_size=shape["vocabulary"],
        n_positions=shape["context"],
        n_embd=shape["width"],
        n_layer=shape["layers"],
        n_head=shape["heads"],
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    model: Any = transformers.GPT2LMHeadModel(config)  # its own types refuse its own methods
    model.eval().to(dtype)
    prompt = torch.randint(1, shape["vocabulary"], (1, settings["prompt"]))

    def write(tokens: int) -> int:
        with torch.inference_mode():
            ids = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                use_cache=True,
            )
        return ids.shape[1] - prompt.shape[1]

    size = torch.empty((), dtype=dtype).element_size()
    weights = sum(parameter.numel() for parameter in model.parameters()) - shape["context"] * shape["width"]
    held = 2 * shape["layers"] * shape["width"] * (settings["prompt"] + new // 2)
    facts = {
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bytes_per_token": size * (weights + held),
        "precision": str(dtype).removeprefix("torch."),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    return facts, timed(write, new)


def timed(write: Callable[[int], int], new: int) -> Callable[[float], dict[str, Any]]:
    """Turns of whole texts: how long the first token took, alone, and the texts of `new` tokens, first token and all.

    `write(n)` writes n tokens after the prompt and returns how many it wrote. One text is written here, to warm up.
    """
    write(min(new, 64))

    def work(seconds: float) -> dict[str, Any]:
        began = time.perf_counter()
        write(1)
        first = time.perf_counter() - began
        tokens, began = 0, time.perf_counter()
        while not tokens or time.perf_counter() - began < seconds:
            tokens += write(new)
        return {
            "tokens": tokens,
            "texts": tokens // new,
            "writing_seconds": time.perf_counter() - began,
            "first_token_seconds": first,
        }

    return work
