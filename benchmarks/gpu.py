"""Training and decoding on one GPU beside transformers and litgpt: MFU at 124M, 350M and 1B, and decoding bandwidth.

    python benchmarks/gpu.py --out benchmarks/results/gpu.json   # one H200: under 8 minutes, by its own clock
    python benchmarks/gpu.py --smoke                              # two layers on the CPU: every line runs

Goals: 1B in bfloat16 at 45% MFU or more; decoding at 60% of the copy bandwidth or more. Not yet measured: no GPU has
run this file so far. Every contestant has the GPU alone, in a process of its own. What matters most comes first, and
what the minutes do not suffice for is left out and said to be.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.table import Table

import groundup.benchmarking
from groundup.benchmarking import Entrant, Outcome, Shape, contest
from groundup.cores import usable_cores
from groundup.errors import EXIT_USER
from groundup.parallel import describe_machine
from groundup.reporting.tables import render
from groundup.reporting.wording import clean, number, percent, short, size, whole
from groundup.runs import write_atomic

HERE = Path(groundup.benchmarking.__file__).parent
# GPT-2's and GPT-3's sizes, and 1B with heads of 128; as many tokens in a step as keep the matrix products large
SHAPES = {
    "124M": Shape(layers=12, heads=12, width=768, context=1024, batch=32, vocabulary=50_304),
    "350M": Shape(layers=24, heads=16, width=1024, context=1024, batch=16, vocabulary=50_304),
    "1B": Shape(layers=18, heads=16, width=2048, context=2048, batch=8, vocabulary=50_304),
}
SMOKE = {"tiny": Shape(layers=2, heads=2, width=64, context=128, batch=2, vocabulary=257)}
# dense bfloat16 operations per second as published, by which MFU is usually stated; elsewhere by the measured ones
PUBLISHED = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
GOALS = {"mfu": 0.45, "share_of_bandwidth": 0.60}
PROMPT, NEW, LEAST_SECONDS = 128, 256, 25.0  # a process needs so long to import, build and warm up


@dataclass(frozen=True)
class Job:
    """One contestant at one shape."""

    kind: Literal["train", "decode"]
    model: str
    batch: int
    entrant: Entrant


def main() -> None:
    """Measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7.5, help="no contestant starts when they are nearly over")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("--python-with", nargs="*", default=[], help="other interpreters that have litgpt")
    parser.add_argument("--out", type=Path, help="a file for everything, as JSON, rewritten after each contestant")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes on the CPU, to exercise every line")
    options = parser.parse_args()
    if not (options.smoke or torch.cuda.is_available()):
        print("gpu.py: torch finds no CUDA device here; --smoke runs tiny shapes on the CPU", file=sys.stderr)
        sys.exit(EXIT_USER)
    began, turns = time.perf_counter(), {"rounds": options.rounds, "seconds": options.seconds}
    device = "cpu" if options.smoke else "cuda"
    peaks = take_turn(
        Entrant("peak", HERE / "peak.py", {"device": device, **({"sizes": [64]} if options.smoke else {})}), **turns
    )
    result: dict[str, Any] = {
        "benchmark": "gpu",
        "smoke": options.smoke,
        "settings": turns,
        "machine": describe_machine(),
    }
    result |= {"peak": best(peaks), "rows": []}
    for job in planned(device, options.python_with, smoke=options.smoke):
        left = options.minutes * 60 - (time.perf_counter() - began)
        if left < LEAST_SECONDS:
            outcome = Outcome(job.entrant.name, "left out", "the minutes were over")
        else:
            outcome = take_turn(job.entrant, limit=left, **turns)
        result["rows"].append(row(job, outcome, result["peak"], result["machine"]["gpu"]))
        result["seconds"] = time.perf_counter() - began
        print(
            f"{result['seconds']:5.0f} s  {job.kind} {job.model} x {job.batch}: {outcome.name} {outcome.status}",
            flush=True,
        )
        if options.out:
            write_atomic(options.out, json.dumps(result, indent=1) + "\n")
    print(described(result))


def planned(device: str, python_with: Sequence[str], *, smoke: bool) -> list[Job]:
    """All contestants, the most telling ones first."""
    pythons = (sys.executable, *python_with)

    def train(model: str, name: str) -> Job:
        settings = {"name": name, "shape": sizes(shapes[model]), "seed": 0, "device": device}
        file = "training_ours.py" if name.startswith("groundup") else "training_peers.py"
        return Job("train", model, shapes[model].batch, Entrant(name, HERE / file, settings, pythons))

    def decode(model: str, batch: int, name: str, *, compiled: bool = False) -> Job:
        settings = {"name": name, "shape": sizes(shapes[model]), "seed": 0, "device": device, "batch": batch}
        settings |= {"prompt": prompt, "new": new, "threads_chosen": False, "compiled": compiled}
        file = "decoding_ours.py" if name.startswith("groundup") else "decoding_peers.py"
        shown = f"{name}-compiled" if compiled else name
        return Job("decode", model, batch, Entrant(shown, HERE / file, settings, pythons))

    if smoke:
        shapes, prompt, new = SMOKE, 16, 64
        return [
            train("tiny", "groundup-eager"),
            train("tiny", "litgpt-bf16"),
            decode("tiny", 2, "groundup-bf16"),
            decode("tiny", 2, "gpt2-bf16"),
        ]
    shapes, prompt, new = SHAPES, PROMPT, NEW
    return [
        *(train(model, "groundup") for model in ("1B", "124M", "350M")),
        decode("1B", 1, "groundup-bf16", compiled=True),
        *(decode(model, batch, "groundup-bf16") for model in ("1B", "124M") for batch in (1, 32)),
        train("1B", "llama-bf16-compiled"),
        train("124M", "gpt2-bf16-compiled"),
        decode("1B", 1, "gpt2-bf16"),
        decode("124M", 32, "gpt2-bf16"),
        train("1B", "litgpt-bf16-compiled"),
        decode("1B", 1, "litgpt-bf16"),
        decode("1B", 32, "groundup-bf16", compiled=True),
        train("350M", "gpt2-bf16-compiled"),
        train("124M", "groundup-muon"),
        train("124M", "litgpt-bf16-compiled"),
        decode("124M", 1, "gpt2-bf16"),
        decode("124M", 1, "litgpt-bf16"),
        train("350M", "llama-bf16-compiled"),
    ]


def sizes(shape: Shape) -> dict[str, int]:
    """As contestants take it; SwiGLU's inner width is a multiple of 128, which tensor cores are fed in."""
    return {**asdict(shape), "ffn_width": -(-shape.ffn_width // 128) * 128}


def take_turn(entrant: Entrant, *, rounds: int, seconds: float, limit: float = 300.0) -> Outcome:
    """One contestant alone on the GPU."""
    limited = Entrant(entrant.name, entrant.file, entrant.settings, entrant.pythons, limit_seconds=limit)
    [outcome] = contest([limited], rounds=rounds, seconds=seconds, threads=usable_cores(), name=entrant.name)
    return outcome


def best(peak: Outcome) -> dict[str, float]:
    """The highest rate of each kind in any round."""
    if not peak.rounds:
        sys.exit(f"gpu.py: the peak could not be measured: {peak.reason}")
    return {kind: max(turn[kind] for turn in peak.rounds) for kind in ("bfloat16", "float32", "copy")}


def row(job: Job, outcome: Outcome, peak: dict[str, float], gpu: str | None) -> dict[str, Any]:
    """The figures of one contestant, from its fastest round."""
    found = {"kind": job.kind, "model": job.model, "batch": job.batch, **asdict(outcome)}
    if not outcome.rounds:
        return found
    facts = outcome.facts
    if job.kind == "train":
        rate = max(turn["tokens"] / turn["seconds"] for turn in outcome.rounds)
        done = rate * facts["flops_per_token"]
        published = next((flops for name, flops in PUBLISHED.items() if name in (gpu or "")), peak["bfloat16"])
        found |= {"tokens_per_second": rate, "share_of_peak": done / peak["bfloat16"], "mfu": done / published}
        found["compile_seconds"] = max(0.0, facts["first_step_seconds"] - facts["second_step_seconds"])
    else:
        decoding = max(tokens_after_the_first(turn, job.batch) for turn in outcome.rounds)
        found["tokens_per_second"] = max(turn["tokens"] / turn["writing_seconds"] for turn in outcome.rounds)
        found["share_of_bandwidth"] = decoding * facts["bytes_per_token"] / peak["copy"]
        found["first_token_seconds"] = min(turn["first_token_seconds"] for turn in outcome.rounds)
    found["device_memory_bytes"] = outcome.rounds[-1].get("device_memory_bytes")
    return found


def tokens_after_the_first(turn: dict[str, Any], batch: int) -> float:
    """Tokens per second of all texts together, without the reading of the prompts."""
    rest = turn["writing_seconds"] - turn["turns"] * turn["first_token_seconds"]
    return (turn["tokens"] - turn["turns"] * batch) / max(rest, turn["writing_seconds"] / 10)


def described(result: dict[str, Any]) -> str:
    """Two tables, what was not measured, and the goals."""
    rows, peak = result["rows"], result["peak"]
    training = Table("training", "who", box=None, pad_edge=False, header_style="bold")
    for title in ("tokens/s", "MFU", "of measured peak", "GPU memory", "compile"):
        training.add_column(title, justify="right")
    writing = Table("decoding", "who", box=None, pad_edge=False, header_style="bold")
    for title in ("texts at once", "tokens/s", "of copy bandwidth", "first token"):
        writing.add_column(title, justify="right")
    for found in rows:
        if "mfu" in found:
            figures = (percent(found["mfu"]), percent(found["share_of_peak"]), size(found["device_memory_bytes"]))
            rate, compiling = whole(found["tokens_per_second"]), f"{number(found['compile_seconds'], 0)} s"
            training.add_row(found["model"], found["name"], rate, *figures, compiling)
        elif "share_of_bandwidth" in found:
            figures = (whole(found["batch"]), whole(found["tokens_per_second"]), percent(found["share_of_bandwidth"]))
            first = f"{number(found['first_token_seconds'] * 1000, 1)} ms"
            writing.add_row(found["model"], found["name"], *figures, first)
    lines = [
        f"{result['machine']['gpu'] or 'no GPU'}: bfloat16 {short(peak['bfloat16'])}FLOP/s, float32"
        f" {short(peak['float32'])}FLOP/s, copies {short(peak['copy'])}B/s (read and written)",
        render(training),
        render(writing),
        *(
            f"{found['kind']} {found['model']} x {found['batch']}: {found['name']} {found['status']}:"
            f" {clean(found['reason'])}"
            for found in rows
            if found["status"] != "measured"
        ),
        *goals(rows),
    ]
    return "\n\n".join(lines)


def goals(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What groundup should reach with the 1B model, and what it did."""
    texts = []
    for kind, figure, what in (
        ("train", "mfu", "MFU in training"),
        ("decode", "share_of_bandwidth", "of the bandwidth"),
    ):
        ours = [r for r in rows if r["model"] == "1B" and r["kind"] == kind and r["name"].startswith("groundup")]
        reached = max((r[figure] for r in ours if figure in r), default=None)
        said = "not measured"
        if reached is not None:
            said = f"{percent(reached)}, {'reached' if reached >= GOALS[figure] else 'not reached'}"
        texts.append(f"goal: 1B in bfloat16, {percent(GOALS[figure])} {what} or more: {said}")
    return texts


if __name__ == "__main__":
    main()
