"""The reference for time to quality: nanoGPT's README recipe for CPUs, on characters, with transformers' GPT-2 class.

Run as a process of its own, `python reference.py REQUEST RESULT`: as a file, and one that imports nothing of groundup,
because that would cost time that nanoGPT does not need, and sets how torch's threads wait.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# How much faster nanoGPT's own model is than transformers' class. At this shape 1.23 was measured, rounded; 1.2 stands
# because the goal was defined with it. The measured ratio would make W 2.4% smaller.
SLOWER_THAN_NANOGPT = 1.2
CURVE_POINTS = 8


@dataclass(frozen=True)
class Recipe:
    """nanoGPT's README: `--block_size=64 --batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --max_iters=2000
    --lr_decay_iters=2000 --dropout=0.0` over config/train_shakespeare_char.py."""

    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    batch: int = 12
    steps: int = 2000
    rate: float = 1e-3
    minimum_rate: float = 1e-4
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.1
    clip: float = 1.0

    def rate_at(self, step: int) -> float:
        """The learning rate of the update with 0-based index `step`: linear warmup, then half a cosine."""
        if step < self.warmup:
            return self.rate * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.minimum_rate + (self.rate - self.minimum_rate) * (1 + math.cos(math.pi * done)) / 2


def run_reference(
    train: str, validation: str, *, seed: int, environment: dict[str, str], steps: int = Recipe.steps
) -> dict[str, Any]:
    """Train the reference in a child process and score every character of `validation`.

    `seconds` is the wall clock of that process from its start to its last update: the interpreter, importing torch,
    reading the text, building the model and all updates. Left out are the import of transformers, which nanoGPT does
    not have, and every validation; `update_seconds` has the updates alone. The process gets `environment` without what
    `import groundup` sets there for itself.
    """
    environment = {name: value for name, value in environment.items() if name != "GOMP_SPINCOUNT"}
    with tempfile.TemporaryDirectory(prefix="groundup-reference-") as name:
        asked, answer = Path(name, "request.json"), Path(name, "result.json")
        request = {"train": train, "validation": validation, "seed": seed, "steps": steps, "began": time.perf_counter()}
        asked.write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-P", __file__, str(asked), str(answer)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return json.loads(answer.read_text(encoding="utf-8"))


def train_reference(train: str, validation: str, recipe: Recipe, *, seed: int, began: float) -> dict[str, Any]:
    """The same in this process, which started at `began`, of time.perf_counter(), a clock of the whole system."""
    import torch
    from torch.nn import functional as F

    at = time.perf_counter()
    model = _build(recipe, len(vocabulary := sorted(set(train + validation))), seed)
    left_out = time.perf_counter() - at  # building takes milliseconds: this is the import of transformers
    ids = {character: number for number, character in enumerate(vocabulary)}
    stream = torch.tensor([ids[character] for character in train])
    held_out = torch.tensor([ids[character] for character in train[-1] + validation])
    optimizer = _optimizer(model, recipe)
    draw = torch.Generator().manual_seed(seed)
    offsets = torch.arange(recipe.context)
    curve: list[tuple[float, float]] = []
    updating, burned = time.perf_counter(), time.process_time()
    started = time.perf_counter() - began - left_out
    scoring = cpu_scoring = nats = 0.0
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step)
        starts = torch.randint(len(stream) - recipe.context, (recipe.batch, 1), generator=draw)
        inputs, targets = stream[starts + offsets], stream[starts + offsets + 1]  # (B, T)
        logits = model(inputs, use_cache=False).logits  # (B, T, V)
        F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) * CURVE_POINTS // recipe.steps > step * CURVE_POINTS // recipe.steps:
            at, cpu_at = time.perf_counter(), time.process_time()
            nats = score_characters(model, held_out, recipe.context)
            curve.append((started + at - updating - scoring, nats))
            scoring, cpu_scoring = scoring + time.perf_counter() - at, cpu_scoring + time.process_time() - cpu_at
    update_seconds = time.perf_counter() - updating - scoring
    return {
        "seed": seed,
        "nats_per_character": nats,
        "bits_per_character": nats / math.log(2),
        "characters": len(held_out) - 1,
        "seconds": started + update_seconds,
        "update_seconds": update_seconds,
        "update_cpu_seconds": time.process_time() - burned - cpu_scoring,
        "transformers_import_seconds": left_out,
        "curve": curve,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "threads": torch.get_num_threads(),
        "gomp_spincount": os.environ.get("GOMP_SPINCOUNT"),  # None is OpenMP's own
        "recipe": asdict(recipe),
    }


def score_characters(model: "nn.Module", held_out: "Tensor", context: int) -> float:
    """Nats per character of `held_out` (1 + n,) after its first: every one scored once, in windows of `context` that
    do not overlap and begin with the character before them."""
    import torch
    from torch.nn import functional as F

    total, count = 0.0, len(held_out) - 1
    whole = count // context
    inputs, targets = held_out[:-1], held_out[1:]
    batches = [(inputs[: whole * context].view(whole, -1), targets[: whole * context].view(whole, -1))] if whole else []
    rest = [(inputs[whole * context :][None], targets[whole * context :][None])] if count % context else []
    model.eval()
    with torch.no_grad():
        for rows, wanted in batches + rest:
            for some, right in zip(rows.split(64), wanted.split(64), strict=True):
                logits = model(some, use_cache=False).logits
                total += F.cross_entropy(logits.flatten(0, 1), right.flatten(), reduction="sum").double().item()
    model.train()
    return total / count


def _build(recipe: Recipe, vocab_size: int, seed: int) -> Any:
    import torch
    from transformers.models.gpt2 import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    # the class starts all weights at std .02 and residual projections at .02 / sqrt(2 L), as nanoGPT does
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocab_size,
            n_positions=recipe.context,
            n_embd=recipe.width,
            n_layer=recipe.layers,
            n_head=recipe.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).train()


def _optimizer(model: "nn.Module", recipe: Recipe) -> "torch.optim.Optimizer":
    import torch

    parameters = list(model.parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=recipe.rate,
        betas=recipe.betas,
    )


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    chosen = replace(Recipe(), steps=given["steps"])
    result = train_reference(given["train"], given["validation"], chosen, seed=given["seed"], began=given["began"])
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
