"""One run of a list: its training steps, timed in a contest (`make`), or the whole of it in a process of its own.

python recipe.py REQUEST        # as JSON; the result is the last line printed
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from groundup import verbs
from groundup.config import load_config
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.events import Phase, Progress
from groundup.parallel import decide_compute, describe_machine
from groundup.planning import calibrate, make_plan
from groundup.runs import Run
from groundup.training import build_batches, build_model, build_optimizers


def change(variant: str, steps: int) -> None:
    """Let all runs of `steps` steps in this process be of a variant, "" for none. Raises KeyError for others."""
    if variant:
        sys.path.insert(0, str(Path(__file__).parent))  # a module, as torch's compiler looks functions up by theirs
        import_module("variants").VARIANTS[variant](steps)


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As a contestant of a contest: the training steps of a run."""
    change(settings["variant"], steps=1_000_000)
    corpus = Corpus(Path(settings["path"]))
    of_run = {key: value for key, value in settings["settings"].items() if not key.startswith("data.")}
    config = load_config(None, {**of_run, "training.steps": 1_000_000})
    plan, compute = make_plan(config, corpus), decide_compute(config)
    model = build_model(plan.shape, config, compute)
    optimizers, batches = build_optimizers(model, config, compute), build_batches(config, corpus)

    def work(seconds: float) -> dict[str, Any]:
        pace = calibrate(
            model,
            optimizers,
            batches,
            config.training.microbatch or 1,
            compute,
            seconds=seconds,
            threads=config.device.threads or 1,
        )
        return {"step_seconds": pace.step_seconds}

    return work(0), work


class Clock:
    """Listens to a training run and reads the clocks after every update.

    Compiling is before the first of them, and evaluating, which such a run does at its ends alone, is never between.
    """

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []
        self._training = False

    def __call__(self, event: Any) -> None:
        if isinstance(event, Phase):
            self._training = event.name == "training"
        elif isinstance(event, Progress) and self._training:
            self.marks.append((time.process_time(), time.perf_counter()))

    def seconds(self, steps: int) -> tuple[float, float]:
        """CPU and wall seconds of `steps` updates, from all that were seen but the first."""
        if len(self.marks) < 2:
            return 0.0, 0.0
        (cpu, wall), (last_cpu, last_wall) = self.marks[0], self.marks[-1]
        whole = steps / (len(self.marks) - 1)
        return (last_cpu - cpu) * whole, (last_wall - wall) * whole


def train_once(request: dict[str, Any]) -> dict[str, Any]:
    """Train and score all that is held out in float32."""
    steps, clock, error = request["steps"], Clock(), ""
    change(request["variant"], steps)
    settings = {key: value for key, value in request["settings"].items() if not key.startswith("data.")}
    settings |= {"training.seed": request["seed"], "training.log_every": max(1, steps // 20)}
    settings |= {"evaluation.every": steps, "checkpoint.every": steps, "evaluation.tokens": 1_000}
    settings |= {"samples.max_new_tokens": 1, "training.patience": 0}
    with tempfile.TemporaryDirectory(prefix="groundup-experiment-") as folder:
        try:
            verbs.train([request["path"]], out=folder, steps=steps, settings=settings, listen=clock)
        except UserError as failed:  # a rate at which the loss is not finite is a result too
            error = str(failed)
        info = Run.open(Path(folder)).info
    cpu, wall = clock.seconds(steps)
    final = None if error else info["final"]["validation"]
    return {
        "steps": steps,
        "tokens": info["plan"]["tokens"],
        "epochs": info["plan"]["epochs"],
        "train_bytes": info["corpus"]["train_bytes"],
        "validation_bytes": info["corpus"]["validation_bytes"],
        "bytes_per_token": info["corpus"]["bytes_per_token"],
        "fingerprint": info["corpus"]["fingerprint"],
        "parameters": info["plan"]["parameters"],
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
        "bits_per_byte": final["bits_per_byte"] if final else None,
        "train_loss": info["final"]["train_loss"] if final else None,
        "val_loss": final["loss"] if final else None,
        "baselines": {name: row["bits_per_byte"] for name, row in info["baselines"].items()},
        "planned_memory_bytes": info["plan"]["memory_bytes"],
        "memory_bytes": info["actual"]["memory_bytes"] if final else None,
        "error": error,
        "compute": info["compute"],
        "machine": {key: value for key, value in describe_machine().items() if key != "system"},
    }


if __name__ == "__main__":
    print(json.dumps(train_once(json.loads(sys.argv[1]))))
