"""Peers in the generation benchmark: transformers' GPT-2 and its `generate`, greedy, with its cache; litgpt's on GPUs.

A name says the model and, after a dash, the precision: `gpt2` is float32, `gpt2-bf16` has the model in bfloat16.
This file imports nothing of groundup: other interpreters run it.
"""

import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import torch

WAYS = {"bf16"}


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As contestant.py asks for it; `settings` has `name`, `shape`, `prompt` and `new` (tokens), and `seed`,
    and may have a `device` and a `batch` of texts (`litgpt` writes one)."""
    shape, new = settings["shape"], settings["new"]
    device, batch = settings.get("device", "cpu"), settings.get("batch", 1)
    dtype = torch.bfloat16 if "bf16" in settings["name"].split("-") else torch.float32
    torch.manual_seed(settings["seed"])
    make_writer = litgpt if settings["name"].split("-")[0] == "litgpt" else gpt2
    prompt = torch.randint(1, shape["vocabulary"], (batch, settings["prompt"]), device=device)
    model, write, package = make_writer(shape, prompt, settings["prompt"] + new, dtype)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    positions = sum(p.numel() for name, p in model.named_parameters() if "wpe" in name)  # only looked up
    size = torch.empty((), dtype=dtype).element_size()
    held = 2 * shape["layers"] * shape["width"] * (settings["prompt"] + new // 2)
    facts = {
        "threads": torch.get_num_threads(),
        "parameters": parameters,
        "bytes_per_token": size * ((parameters - positions) / batch + held),
        "precision": str(dtype).removeprefix("torch."),
        "versions": {"torch": torch.__version__, package: metadata.version(package)},
    }
    return facts, timed(write, new, batch=batch)


Writer = tuple[torch.nn.Module, Callable[[int], int], str]


def gpt2(shape: dict[str, int], prompt: torch.Tensor, length: int, dtype: torch.dtype) -> Writer:
    """transformers' model, what writes so many tokens after each `prompt` (B, T), and the package."""
    import transformers

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
    model.eval().to(prompt.device, dtype)

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
        return ids[:, prompt.shape[1] :].numel()

    return model, write, "transformers"


def litgpt(shape: dict[str, int], prompt: torch.Tensor, length: int, dtype: torch.dtype) -> Writer:
    """The same of litgpt, whose `generate` writes one text; `length` is the most tokens, prompt and all."""
    from litgpt.generate.base import generate  # pyright: ignore[reportMissingImports]
    from litgpt.model import GPT, Config  # pyright: ignore[reportMissingImports]

    config = Config(
        block_size=shape["context"],
        vocab_size=shape["vocabulary"],
        padding_multiple=64,
        n_layer=shape["layers"],
        n_head=shape["heads"],
        n_embd=shape["width"],
        intermediate_size=shape["ffn_width"],
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP",
    )
    model = GPT(config).eval().to(prompt.device, dtype)
    model.lm_head.weight = model.transformer.wte.weight
    model.max_seq_length = length
    model.set_kv_cache(batch_size=1, device=prompt.device, dtype=dtype)

    def write(tokens: int) -> int:
        most = prompt.shape[1] + tokens
        return generate(model, prompt[0], most, temperature=0.0, top_p=0.0, include_prompt=False).numel()

    return model, write, "litgpt"


def timed(
    write: Callable[[int], int], new: int, *, batch: int = 1, warm_up: int = 64
) -> Callable[[float], dict[str, Any]]:
    """Turns of whole texts: how long the first token took, alone, and the texts of `new` tokens, first token and all.

    `write(n)` writes n tokens after each of `batch` prompts and returns how many it wrote. `warm_up` tokens are written
    here, if texts are so long.
    """
    write(min(new, warm_up))

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
            "turns": tokens // (new * batch),
            "writing_seconds": time.perf_counter() - began,
            "first_token_seconds": first,
        }

    return work
