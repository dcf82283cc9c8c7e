"""groundup in the training benchmark: the model, the loss, the optimizer and the decisions of `groundup train`.

`groundup` is AdamW, compiled, in the precision and with the attention that training decides on for this machine;
`groundup-muon` has Muon, `groundup-eager` is not compiled.
"""

from collections.abc import Callable
from typing import Any

import groundup
from groundup.benchmarking.training_peers import warm_up
from groundup.config import load_config
from groundup.model import ModelShape
from groundup.parallel import decide_compute
from groundup.training import build_model, build_optimizers, clip_gradients, loss_sums

# isort: split
import torch  # after groundup, which says how long torch's threads spin
from torch import Tensor

WAYS = {"muon", "eager"}
_RATES = {
    "adamw": {"optimizer.learning_rate": 1e-3},
    "muon": {"optimizer.learning_rate": 0.02, "optimizer.embedding_rate": 0.02, "optimizer.head_rate": 0.004},
}


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As contestant.py asks for it; `settings` has `name`, `shape` and `seed`, and may have a `device`."""
    _, *ways = settings["name"].split("-")
    sizes = settings["shape"]
    optimizer = "muon" if "muon" in ways else "adamw"
    config = load_config(
        None,
        {
            "model.context": sizes["context"],
            "optimizer.name": optimizer,
            "optimizer.weight_decay": 0.1,
            "training.seed": settings["seed"],
            "device.device": settings.get("device", "cpu"),
            "device.compile": "off" if "eager" in ways else "on",
            **_RATES[optimizer],
        },
    )
    compute = decide_compute(config)
    shape = model_shape(sizes)
    model = build_model(shape, config, compute)
    optimizers = build_optimizers(model, config, compute)
    forward = compute.compile(loss_sums)

    def step(inputs: Tensor, targets: Tensor) -> float:
        count = targets.numel()
        with compute.autocast():
            nll, correct = forward(model, inputs, targets)
        (nll * (1 / count)).backward()
        loss, _ = nll.item() / count, int(correct)
        clip_gradients(model.parameters(), config.optimizer.clip).item()
        optimizers.step(1.0)
        optimizers.zero_grad()
        return loss

    facts = {
        "parameters": shape.parameters(),
        "flops_per_token": shape.flops_per_token(),
        **compute.describe(),
        "notices": compute.notices,
        "versions": {"groundup": groundup.__version__, "torch": torch.__version__},
    }
    return warm_up(facts, step, settings)


def model_shape(sizes: dict[str, int]) -> ModelShape:
    """Our model at the depth, width, context and vocabulary of the peers, with a tied head as GPT-2 has."""
    return ModelShape(
        arch="qwen3",
        vocab_size=sizes["vocabulary"],
        layers=sizes["layers"],
        width=sizes["width"],
        heads=sizes["heads"],
        kv_heads=sizes["heads"],
        head_dim=sizes["width"] // sizes["heads"],
        ffn_width=sizes["ffn_width"],
        context=sizes["context"],
        tied=True,
    )
