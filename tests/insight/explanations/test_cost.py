"""Parts and sums against tensors, torch's own count of operations, the files on the disk, and the clock."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from groundup.insight.explanations.cost import explain_cost
from groundup.insight.subject import Subject

NAMES = {
    "embedding": ("embed_tokens",),
    "attention: matrices": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "feed-forward": ("gate_proj", "up_proj", "down_proj"),
    "norms": ("norm",),
    "output head": ("lm_head",),
}


@pytest.fixture(scope="module")
def found(finished: Path) -> dict[str, Any]:
    return explain_cost(Subject.open(finished))


def test_parameters_are_those_of_the_checkpoints_tensors(finished: Path, found: dict[str, Any]) -> None:
    tensors = load_file(finished / "best" / "model.safetensors")
    parts = {row["part"]: row["parameters"] for row in found["parts"]}
    for part, names in NAMES.items():
        counted = sum(
            tensor.numel() for name, tensor in tensors.items() if any(word in name.split(".")[-2] for word in names)
        )
        assert parts[part] == counted, part
    assert sum(parts.values()) == found["parameters"] == found["counted"] == sum(t.numel() for t in tensors.values())


def test_operations_are_those_that_torch_counts(finished: Path, found: dict[str, Any]) -> None:
    model = Subject.open(finished).model
    model.attention = "manual"  # its matrix products are counted like all others, forward and backward
    context = model.shape.context
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, context, dtype=torch.long)).sum().backward()
    assert sum(row["operations"] for row in found["parts"]) == found["operations"]
    assert counter.get_total_flops() / context == pytest.approx(found["operations"], rel=1e-9)
    assert found["work"]["operations"] == found["operations"] * found["work"]["tokens"]


def test_bytes_on_the_disk_are_those_of_all_files(finished: Path, found: dict[str, Any]) -> None:
    files = [
        path for path in finished.rglob("*") if path.is_file() and not path.is_symlink() and path.parts[-2] != "best"
    ]
    assert sum(row["bytes"] for row in found["disk"]) == sum(path.stat().st_size for path in files)
    weights = sum(path.stat().st_size for path in files if path.name == "model.safetensors")
    assert {row["part"]: row["bytes"] for row in found["disk"]}["weights"] == weights > 0


def test_memory_for_the_optimizer_is_what_a_checkpoint_keeps_of_it(finished: Path, found: dict[str, Any]) -> None:
    state = load_file(finished / "step-00000020" / "training" / "optimizer.safetensors")
    kept = sum(tensor.nbytes for name, tensor in state.items() if name != "adamw.step")
    assert sum(row["bytes"] for row in found["memory"][2:]) == kept
    assert found["memory"][0]["bytes"] == 4 * found["parameters"]


def test_the_phases_are_the_whole_time(finished: Path, found: dict[str, Any]) -> None:
    assert sum(row["seconds"] for row in found["seconds"]) == pytest.approx(found["total_seconds"], abs=0.3)
    assert all(row["seconds"] >= 0 for row in found["seconds"])
    training = [row["seconds"] for row in found["seconds"] if row["phase"] == "training"]
    assert len(training) == 3
    info = json.loads((finished / "run.json").read_text())
    assert sum(training) == pytest.approx(info["phase_seconds"]["training"])
    assert {"reading", "tokenizing", "training", "reporting"} <= info["phase_seconds"].keys()


def test_a_run_that_recorded_no_phases_has_what_it_recorded(finished: Path) -> None:
    subject = Subject.open(finished)
    subject.run.info = {key: value for key, value in subject.run.info.items() if key != "phase_seconds"}
    phases = {row["phase"] for row in explain_cost(subject)["seconds"]}
    assert phases == {"reading", "training"}
