"""What reliability costs: `python benchmarks/reliability.py determinism | saving [--out FILE]`.

`determinism` times training steps with and without deterministic kernels, in turns on the same batches; every second
round goes in reverse. `saving` trains a run that saves often, beside training and waited for, kills it, resumes it, and
gives what a step waited, how long a checkpoint took to be on the disk, and the seconds until the first resumed step.
`tests/faults/torture.py` and `tests/faults/fuzz.py` count kills and mutations.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import groundup
from groundup.benchmarking.shapes import SHAPES, Shape
from groundup.config import load_config
from groundup.parallel import decide_compute, describe_machine

# isort: split
import torch  # after groundup, which says how long torch's threads spin

from groundup.benchmarking.training_ours import model_shape
from groundup.runs import published, read_journal
from groundup.training import build_model, build_optimizers, clip_gradients, loss_sums

LIBRARY = Path(__file__).parents[1] / "examples" / "library"
BATCHES = 8
RESUME = """
import sys, time
began = time.monotonic()
import groundup
from groundup.events import Progress
training = []
def listen(event):
    if isinstance(event, Progress) and training:
        print(time.monotonic() - began)
        raise SystemExit
    if getattr(event, "name", "") == "training":
        training.append(True)
groundup.resume(sys.argv[1], listen=listen)
"""


class Trainer:
    """Training steps as `groundup train` makes them, with deterministic kernels or any."""

    def __init__(self, shape: Shape, deterministic: bool, compiled: bool) -> None:
        self._config = load_config(
            None,
            {
                "model.context": shape.context,
                "optimizer.name": "adamw",
                "optimizer.learning_rate": 1e-3,
                "optimizer.weight_decay": 0.1,
                "device.compile": "on" if compiled else "off",
                "device.deterministic": deterministic,
            },
        )
        self._compute = decide_compute(self._config)
        sizes = {**vars(shape), "ffn_width": shape.ffn_width}
        self._model = build_model(model_shape(sizes), self._config, self._compute)
        self._optimizers = build_optimizers(self._model, self._config, self._compute)
        self._forward = self._compute.compile(loss_sums)
        draw = torch.Generator().manual_seed(0)
        rows = torch.randint(shape.vocabulary, (BATCHES, shape.batch, shape.context + 1), generator=draw)
        self._batches = [
            (b[:, :-1].contiguous().to(self._compute.device), b[:, 1:].contiguous().to(self._compute.device))
            for b in rows
        ]

    def work(self, seconds: float) -> float:
        """Seconds of a step, over whole steps that take `seconds` or more."""
        decide_compute(self._config)  # which kernels torch uses is one switch for the process
        began, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - began < seconds:
            inputs, targets = self._batches[steps % BATCHES]
            with self._compute.autocast():
                nll, _ = self._forward(self._model, inputs, targets)
            (nll / targets.numel()).backward()
            nll.item()
            clip_gradients(self._model.parameters(), self._config.optimizer.clip).item()
            self._optimizers.step(1.0)
            self._optimizers.zero_grad()
            steps += 1
        return (time.perf_counter() - began) / steps


def measure_determinism(shapes: list[str], ways: list[str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """A row for each shape and way (eager, compiled): seconds of a step in each round, and their ratios."""
    rows = []
    for name in shapes:
        for way in ways:
            compiled = way == "compiled"
            pair = [Trainer(SHAPES[name], deterministic, compiled) for deterministic in (True, False)]
            for trainer in pair:
                trainer.work(0)  # compiles
                trainer.work(0)
            taken: list[list[float]] = [[], []]
            for number in range(rounds):
                for side in (0, 1) if number % 2 == 0 else (1, 0):
                    taken[side].append(pair[side].work(seconds))
            ratios = [deterministic / free for deterministic, free in zip(*taken, strict=True)]
            row = {
                "shape": name,
                "way": way,
                "deterministic_seconds": taken[0],
                "any_seconds": taken[1],
                "ratio": {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)},
            }
            low, middle, high = (f"{row['ratio'][key]:.3f}" for key in ("lowest", "median", "highest"))
            print(f"{name} {way}: deterministic steps take {middle} times as long ({low} to {high})")
            rows.append(row)
    return rows


def measure_saving(shapes: list[str], saves: int, every: int) -> list[dict[str, Any]]:
    """A row for each shape: bytes of a checkpoint, stall and time to durable of each save, seconds of a resume."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="groundup-saving-") as scratch:
        corpus = groundup.prepare([LIBRARY], out=Path(scratch) / "corpus", settings={"data.tokenizer": "bytes"}).path
        for name in shapes:
            shape, row = SHAPES[name], {"shape": name}
            for asynchronous in (True, False):
                run = Path(scratch) / f"{name}-{asynchronous}"
                _train_and_kill(corpus, run, shape, saves * every, every, asynchronous)
                saved = [event for event in read_journal(run / "events.jsonl") if event["event"] == "saved"]
                row["beside_training" if asynchronous else "waited_for"] = {
                    "stall_seconds": [event["stall_seconds"] for event in saved],
                    "seconds_to_durable": [event["seconds"] for event in saved],
                }
            newest = [*published(run).values()][-1]
            row["checkpoint_bytes"] = sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())
            done = subprocess.run([sys.executable, "-c", RESUME, str(run)], capture_output=True, text=True, check=True)
            row["resume_seconds"] = float(done.stdout)
            beside, waited = row["beside_training"], row["waited_for"]
            print(
                f"{name}: {row['checkpoint_bytes'] / 1e6:.1f} MB; a step stalls"
                f" {1e3 * statistics.median(beside['stall_seconds']):.0f} ms beside training and"
                f" {1e3 * statistics.median(waited['stall_seconds']):.0f}"
                " ms where the save is waited for; on the disk after"
                f" {1e3 * statistics.median(beside['seconds_to_durable']):.0f} ms; first resumed step after"
                f" {row['resume_seconds']:.1f} s with the imports"
            )
            rows.append(row)
    return rows


def _train_and_kill(corpus: Path, run: Path, shape: Shape, steps: int, every: int, asynchronous: bool) -> None:
    """Train `steps` steps with a save every `every`-th, in a process that is killed some steps later."""
    settings = {
        "model.layers": shape.layers,
        "model.width": shape.width,
        "model.context": shape.context,
        "training.tokens_per_update": shape.batch * shape.context,
        "checkpoint.every": every,
        "checkpoint.asynchronous": asynchronous,
        "evaluation.every": 10 * steps,
        "evaluation.tokens": 10_000,
        "device.compile": "off",
    }
    pid = os.fork()
    if not pid:

        def listen(event: Any) -> None:
            if getattr(event, "done", 0) >= steps + every // 2 and (run / f"step-{steps:08d}").is_dir():
                os.kill(os.getpid(), signal.SIGKILL)

        groundup.train(corpus, out=run, steps=2 * steps, settings=settings, listen=listen)
        os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != -signal.SIGKILL:
        raise RuntimeError(f"the run in {run} was not killed after step {steps}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("determinism", "saving"))
    parser.add_argument("--shape", nargs="+", choices=sorted(SHAPES), default=["a", "b"])
    parser.add_argument("--ways", nargs="+", choices=("eager", "compiled"), default=["eager", "compiled"])
    parser.add_argument("--rounds", type=int, default=10, help="of determinism: pairs of turns")
    parser.add_argument("--seconds", type=float, default=2.0, help="of determinism: a turn")
    parser.add_argument("--saves", type=int, default=10)
    parser.add_argument("--every", type=int, default=8, help="of saving: steps between saves")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    asked = parser.parse_args()
    load = os.getloadavg()
    if asked.what == "determinism":
        rows = measure_determinism(asked.shape, asked.ways, asked.rounds, asked.seconds)
    else:
        rows = measure_saving(asked.shape, asked.saves, asked.every)
    if asked.out:
        facts = {
            "benchmark": asked.what,
            "settings": {key: value for key, value in vars(asked).items() if key not in ("what", "out")},
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "threads": torch.get_num_threads(),
            "load": {"before": load, "after": os.getloadavg()},
            "machine": describe_machine(),
            "rows": rows,
        }
        asked.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
