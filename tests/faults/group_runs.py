"""The run that several processes train in tests: small, with everything in it that a run leaves."""

from pathlib import Path
from typing import Any

from groundup import runs

STEPS = 80
SETTINGS = {
    "model.layers": 1,
    "model.width": 16,
    "model.context": 16,
    "training.tokens_per_update": 8 * 16,
    "training.microbatch": 2,
    "training.log_every": 10,
    "evaluation.every": 40,
    "evaluation.tokens": 500,
    "checkpoint.every": 10,
    "samples.max_new_tokens": 4,
    "device.precision": "float32",
    "device.compile": "off",
}
# every figure and tensor that a run leaves and that no clock is in
FIGURES = ("metrics.jsonl", "training_metrics.json", "probes.jsonl", "samples.jsonl")
TENSORS = ("model.safetensors", "training/optimizer.safetensors", "training/state.json")


def command(corpus: Path, out: Path, steps: int = STEPS, **changed: Any) -> list[object]:
    """The words of `groundup train`, some settings changed: `parallel__timeout=2`."""
    settings = SETTINGS | {key.replace("__", "."): value for key, value in changed.items()}
    return ["train", corpus, "--out", out, "--steps", steps, *(f"--set={key}={settings[key]}" for key in settings)]


def newest(run: Path) -> int:
    """The step of the newest checkpoint; -1 without one."""
    return max(runs.published(run), default=-1) if run.is_dir() else -1


def contents(run: Path, steps: int = STEPS) -> dict[str, bytes]:
    """What a run of `steps` leaves, by name."""
    step, checkpoint = list(runs.published(run).items())[-1]
    assert step == steps and runs.verify(checkpoint) == []
    return {name: (run / name).read_bytes() for name in FIGURES} | {n: (checkpoint / n).read_bytes() for n in TENSORS}
