"""The cost benchmark: seconds per training token against model size, context and batch, beside what operations say.

A step should take its operations divided by the machine's rate. What it takes is fitted as a share of that rate, one
for all points, and a constant for each step.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from groundup.benchmarking.contest import Entrant, Outcome, check_threads, contest, spread
from groundup.benchmarking.shapes import Shape
from groundup.benchmarking.startup import measure_starts
from groundup.benchmarking.training_ours import WAYS
from groundup.cores import usable_cores
from groundup.errors import UserError
from groundup.events import Listener, nobody
from groundup.parallel import describe_machine

# Each line changes one thing: the size at 2,048 tokens a step, the context at the same number of tokens, the batch.
LINES: dict[str, dict[str, Shape]] = {
    "size": {
        f"{layers} layers, {width} wide": Shape(layers, width // 32, width, context=256, batch=8, vocabulary=257)
        for layers, width in ((2, 64), (4, 128), (6, 256), (6, 384), (8, 512))
    },
    "context": {
        f"{context} tokens": Shape(4, 4, 128, context, 2048 // context, vocabulary=257)
        for context in (64, 128, 256, 512, 1024)
    },
    "batch": {f"{batch} sequences": Shape(4, 4, 128, 256, batch, vocabulary=257) for batch in (1, 2, 8, 32)},
}
_HERE = Path(__file__).parent


def measure_cost(
    lines: Mapping[str, Mapping[str, Shape]] = LINES,
    *,
    contestant: str = "groundup",
    threads: int | None = None,
    rounds: int = 3,
    seconds: float = 1.0,
    starts: int = 3,
    seed: int = 0,
    listen: Listener = nobody,
) -> dict[str, Any]:
    """Seconds per token of training steps at every shape of `lines`, in `rounds` turns of `seconds`, and start-up
    times, each the median of `starts` fresh processes.

    The shapes of a line and the machine's peak take turns. The result is plain data for JSON: `machine`, `settings`,
    `load`, `lines` with `points` each, `fit` and `starts`. Raises UserError for numbers that cannot be.
    """
    threads = threads or usable_cores()
    _check(contestant, threads, rounds, seconds, starts)
    began, load = time.perf_counter(), psutil.getloadavg()
    measured = []
    for name, shapes in lines.items():
        entrants = [Entrant("peak", _HERE / "peak.py", {})]
        entrants += [_entrant(label, contestant, shape, seed) for label, shape in shapes.items()]
        outcomes = contest(entrants, rounds=rounds, seconds=seconds, threads=threads, name=name, listen=listen)
        points = [_point(outcome, shapes[outcome.name], outcomes[0]) for outcome in outcomes[1:]]
        measured.append({"line": name, "peak": outcomes[0].rounds, "points": points})
    return {
        "benchmark": "cost",
        "settings": {
            "contestant": contestant,
            "threads": threads,
            "rounds": rounds,
            "seconds": seconds,
            "starts": starts,
            "seed": seed,
        },
        "machine": describe_machine(),
        "lines": measured,
        "fit": fit_cost([point for line in measured for point in line["points"]]),
        "starts": measure_starts(starts, threads=threads, listen=listen),
        "load": {"before": load, "after": psutil.getloadavg()},
        "seconds": time.perf_counter() - began,
    }


def fit_cost(points: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    """`efficiency` e and `step_seconds` s of: seconds per token = s / tokens a step + operations / (e * peak).

    Least squares of the relative errors, neither below 0. Every measured point gets its `fitted_seconds`. The result
    has the median relative `error`, too; it is None where fewer than two points were measured.
    """
    found = [point for point in points if "seconds_per_token" in point]
    if len(found) < 2:
        return None
    taken = np.array([point["seconds_per_token"]["median"] for point in found])
    per_step = 1 / np.array([point["batch"] * point["context"] for point in found])
    at_peak = np.array([point["peak_seconds"] for point in found])
    columns = np.stack([per_step / taken, at_peak / taken], axis=1)
    constant, slope = np.linalg.lstsq(columns, np.ones(len(found)), rcond=None)[0]
    if constant < 0 or slope <= 0:  # noise: operations alone
        constant, slope = 0.0, columns[:, 1].sum() / (columns[:, 1] ** 2).sum()
    fitted = constant * per_step + slope * at_peak
    for point, value in zip(found, fitted, strict=True):
        point["fitted_seconds"] = float(value)
    return {
        "efficiency": float(1 / slope),
        "step_seconds": float(constant),
        "error": float(np.median(np.abs(fitted / taken - 1))),
    }


def _point(outcome: Outcome, shape: Shape, peak: Outcome) -> dict[str, Any]:
    point = {"label": outcome.name, **asdict(shape), "status": outcome.status, "reason": outcome.reason}
    if not (outcome.rounds and peak.rounds):
        return point
    facts = outcome.facts
    rate = spread([turn[facts["precision"]] for turn in peak.rounds])["median"]
    return {
        **point,
        **facts,
        "seconds_per_token": spread([turn["seconds"] / turn["tokens"] for turn in outcome.rounds]),
        "peak_seconds": facts["flops_per_token"] / rate,
        "rounds": outcome.rounds,
    }


def _entrant(label: str, contestant: str, shape: Shape, seed: int) -> Entrant:
    settings = {"name": contestant, "shape": {**asdict(shape), "ffn_width": shape.ffn_width}, "seed": seed}
    return Entrant(label, _HERE / "training_ours.py", settings, memory_bytes=shape.memory_bytes)


def _check(contestant: str, threads: int, rounds: int, seconds: float, starts: int) -> None:
    base, *ways = contestant.split("-")
    if base != "groundup" or not set(ways) <= WAYS:
        fix = "use groundup, groundup-eager, groundup-muon or groundup-muon-eager"
        raise UserError(f"unknown contestant '{contestant}'", where="--contestant", fix=fix)
    check_threads(threads)
    for option, value in (("--rounds", rounds), ("--seconds", seconds), ("--starts", starts)):
        if not value > 0:
            raise UserError(f"is {value}", where=option, fix="use a number above 0")
