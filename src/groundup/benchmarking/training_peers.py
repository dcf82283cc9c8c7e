"""Peers in the training benchmark: transformers' GPT-2 and Llama, and litgpt's GPT, each in nanoGPT's plain loop.

A name says the model and, after dashes, what a user can switch on with a line: `gpt2-bf16`, `llama-bf16-compiled`.
This file imports nothing of groundup: other interpreters run it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PACKAGES = {"gpt2": "transformers", "llama": "transformers", "litgpt": "litgpt"}
WAYS = {"bf16", "compiled"}
BATCHES = 8  # different ones, dealt in turn
Step = Callable[[Tensor, Tensor], float]


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As contestant.py asks for it; `settings` has `name`, `shape` and `seed`, and may have a `device`."""
    base, *ways = settings["name"].split("-")
    shape, device = settings["shape"], settings.get("device", "cpu")
    torch.manual_seed(settings["seed"])
    model = {"gpt2": gpt2, "llama": llama, "litgpt": litgpt}[base](shape).to(device).train()
    forward = torch.compile(model) if "compiled" in ways else model
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    fused = True if device == "cuda" else None  # as nanoGPT has it
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=fused)

    def step(inputs: Tensor, targets: Tensor) -> float:
        with torch.autocast(device, torch.bfloat16) if "bf16" in ways else nullcontext():
            output = forward(inputs)
            logits = getattr(output, "logits", output)  # transformers wraps them
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    facts = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "flops_per_token": flops_per_token(model, shape),
        "precision": "bfloat16" if "bf16" in ways else "float32",
        "compiled": "compiled" in ways,
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, PACKAGES[base]: metadata.version(PACKAGES[base])},
    }
    return warm_up(facts, step, settings)


def warm_up(
    facts: dict[str, Any], step: Step, settings: dict[str, Any]
) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """`facts` with the seconds of the first two steps, the first of which compiles, and the work that follows them."""
    device, done = settings.get("device", "cpu"), 0
    dealt = random_batches(settings["shape"], settings["seed"])
    batches = [(inputs.to(device), targets.to(device)) for inputs, targets in dealt]
    times = []
    for _ in range(2):
        began = time.perf_counter()
        facts.setdefault("first_loss", step(*batches[0]))
        times.append(time.perf_counter() - began)
    facts |= {"first_step_seconds": times[0], "second_step_seconds": times[1]}

    def work(seconds: float) -> dict[str, Any]:
        """Whole steps, one at least, until `seconds` have passed."""
        nonlocal done
        first, loss, until = done, 0.0, time.perf_counter() + seconds
        while done == first or time.perf_counter() < until:
            loss = step(*batches[done % BATCHES])
            done += 1
        held = {"device_memory_bytes": torch.cuda.max_memory_allocated()} if device == "cuda" else {}
        return {"tokens": (done - first) * batches[0][0].numel(), "steps": done - first, "loss": loss, **held}

    return facts, work


def flops_per_token(model: nn.Module, shape: dict[str, int]) -> int:
    """Floating-point operations to train on one token, forward and backward, counted as for all contestants:
    `groundup.model.ModelShape.flops_per_token` gives the source."""
    # all matrices, a tied head once; positions are only looked up
    matrices = sum(p.numel() for name, p in model.named_parameters() if p.ndim >= 2 and "wpe" not in name)
    return 6 * matrices + 12 * shape["layers"] * shape["width"] * shape["context"]


def random_batches(shape: dict[str, int], seed: int) -> Sequence[tuple[Tensor, Tensor]]:
    """The tokens that all contestants train on, in this order: inputs and targets (B, T)."""
    generator = torch.Generator().manual_seed(seed)
    size = (BATCHES, shape["batch"], shape["context"] + 1)
    rows = torch.randint(shape["vocabulary"], size, generator=generator)
    return [(batch[:, :-1].contiguous(), batch[:, 1:].contiguous()) for batch in rows]


def gpt2(shape: dict[str, int]) -> nn.Module:
    """transformers' GPT-2 as it comes, without dropout."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=shape["vocabulary"],
        n_positions=shape["context"],
        n_embd=shape["width"],
        n_layer=shape["layers"],
        n_head=shape["heads"],
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    return GPT2LMHeadModel(config)


def llama(shape: dict[str, int]) -> nn.Module:
    """transformers' Llama with a tied head."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape["vocabulary"],
        max_position_embeddings=shape["context"],
        hidden_size=shape["width"],
        intermediate_size=shape["ffn_width"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    return LlamaForCausalLM(config)


def litgpt(shape: dict[str, int]) -> nn.Module:
    """litgpt's GPT in Llama's form with a tied head; its padding would make a small vocabulary eightfold."""
    from litgpt.model import GPT, Config  # pyright: ignore[reportMissingImports]

    config = Config(
        block_size=shape["context"],
        vocab_size=shape["vocabulary"],
        padding_multiple=512 if shape["vocabulary"] > 10_000 else 1,
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
    model = GPT(config)
    model.apply(model._init_weights)
    model.lm_head.weight = model.transformer.wte.weight
    return model
