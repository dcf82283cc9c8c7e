"""groundup in the training benchmark: its step is the training loop's update."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from groundup.benchmarking.training_ours import make, model_shape
from groundup.benchmarking.training_peers import random_batches
from groundup.config import load_config
from groundup.parallel import Group, decide_compute
from groundup.training import build_model, build_optimizers, loop, loss_sums
from groundup.training.state import State

SIZES = {"layers": 2, "heads": 2, "width": 16, "context": 16, "batch": 4, "vocabulary": 65, "ffn_width": 48}


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("groundup-eager", {"optimizer.name": "adamw", "optimizer.learning_rate": 1e-3}),
        (
            "groundup-muon-eager",
            {
                "optimizer.name": "muon",
                "optimizer.learning_rate": 0.02,
                "optimizer.embedding_rate": 0.02,
                "optimizer.head_rate": 0.004,
            },
        ),
    ],
)
def test_the_step_is_the_update_of_the_training_loop(name: str, chosen: dict[str, Any]) -> None:
    facts, work = make({"name": name, "shape": SIZES, "seed": 3})
    # its warm-up makes two updates with the first batch, and work(0) one more with the first and then the second
    measured = [facts["first_loss"], work(0)["loss"], work(0)["loss"]]

    settings = {"model.context": 16, "optimizer.weight_decay": 0.1, "training.seed": 3, "schedule.shape": "constant"}
    config = load_config(None, {**settings, "device.device": "cpu", "device.compile": "off", **chosen})
    compute = decide_compute(config)
    model = build_model(model_shape(SIZES), config, compute)
    dealt = random_batches(SIZES, 3)
    group = Group()
    job: Any = SimpleNamespace(
        config=config,
        model=model,
        optimizers=build_optimizers(model, config, compute),
        batches=SimpleNamespace(batch=4, at=lambda step, share: dealt[(0, 0, 0, 1)[step]], targets=lambda step: 4 * 16),
        byte_lengths=torch.ones(65, dtype=torch.int64),
        compute=compute,
        horizon=SimpleNamespace(entries=[(0, 4)]),
        poll=lambda: None,
        group=group,
    )
    forward = group.data_parallel(model, loss_sums)
    state, losses = State(), []
    for _ in range(4):
        loop._update(job, state, forward)
        losses.append(state.window.scores().loss)
        state.window = type(state.window)()
    assert measured == pytest.approx([losses[0], losses[2], losses[3]], rel=1e-6)
    assert len(set(losses)) == 4
