"""The training benchmark: tokens per second of groundup's training step beside its peers' on the same tokens."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from groundup.benchmarking.contest import Entrant, Outcome, check_threads, contest, spread
from groundup.benchmarking.shapes import SHAPES, Shape
from groundup.benchmarking.training_ours import WAYS as OUR_WAYS
from groundup.benchmarking.training_peers import PACKAGES
from groundup.benchmarking.training_peers import WAYS as PEER_WAYS
from groundup.cores import usable_cores
from groundup.errors import UserError
from groundup.events import Listener, Notice, nobody
from groundup.parallel import describe_machine

CONTESTANTS = ("gpt2", "gpt2-bf16", "llama", "litgpt", "groundup", "groundup-muon", "groundup-eager")
BASELINES = ("gpt2", "gpt2-bf16")
ALIKE = 0.02  # by which parameters and operations may differ from the first contestant's
# What `groundup` should reach: tokens per second as a multiple of each baseline's, and as a share of the machine's
# bfloat16 matrix products. nanoGPT's own model was 1.23 times as fast as transformers' class at (a), 1.41 times at (b)
# (measured), and the goals against bfloat16 are 1.3 and 1.2 times nanoGPT's.
GOALS: dict[str, dict[str, float]] = {
    "a": {"gpt2": 2.7, "gpt2-bf16": 1.6, "share": 0.60},
    "b": {"gpt2": 3.2, "gpt2-bf16": 1.7, "share": 0.80},
    "c": {"gpt2": 2.1, "share": 0.75},
    "d": {"gpt2": 2.1, "share": 0.75},
}
_HERE = Path(__file__).parent


def compare_training(
    shapes: Sequence[str] | Mapping[str, Shape] = ("a",),
    *,
    threads: Sequence[int] = (),
    contestants: Sequence[str] = CONTESTANTS,
    rounds: int = 5,
    seconds: float = 2.0,
    python_with: Sequence[str] = (),
    seed: int = 0,
    listen: Listener = nobody,
) -> dict[str, Any]:
    """Let `contestants` train at each of `shapes` and each number of `threads`, in `rounds` turns of `seconds`.

    A shape is a name of SHAPES, or one of your own under its name. Without `threads`, one and all cores are used. What
    this interpreter lacks is looked for in those of `python_with`. The result is plain data for JSON: `machine`,
    `settings`, `load`, and `contests`, each with `rows`, `peak` and all rounds. Raises UserError for unknown names
    and for more threads than cores.
    """
    chosen = shapes if isinstance(shapes, Mapping) else {name: _shape(name) for name in shapes}
    threads = tuple(threads) or tuple(sorted({1, usable_cores()}))
    _check(contestants, threads, rounds, seconds)
    began, load = time.perf_counter(), psutil.getloadavg()
    contests = []
    for name, shape in chosen.items():
        for count in threads:
            entrants = [Entrant("peak", _HERE / "peak.py", {})]
            entrants += [_entrant(contestant, shape, seed, python_with) for contestant in contestants]
            title = f"shape {name}, {count} thread{'s' * (count > 1)}"
            outcomes = contest(entrants, rounds=rounds, seconds=seconds, threads=count, name=title, listen=listen)
            contests.append(
                {"shape": name, **asdict(shape), "threads": count, **evaluate_contest(outcomes, GOALS.get(name, {}))}
            )
            for note in contests[-1]["notes"]:
                listen(Notice(f"{title}: {note}", "warning"))
    return {
        "benchmark": "train",
        "settings": {"rounds": rounds, "seconds": seconds, "seed": seed, "contestants": list(contestants)},
        "machine": describe_machine(),
        "load": {"before": load, "after": psutil.getloadavg()},
        "seconds": time.perf_counter() - began,
        "contests": contests,
    }


def evaluate_contest(outcomes: Sequence[Outcome], goals: Mapping[str, float]) -> dict[str, Any]:
    """Medians, ratios within rounds, shares of the peak measured in the same round, and the goals.

    The first outcome is the machine's peak, the second the baseline.
    """
    peak, *contestants = outcomes
    by_name = {outcome.name: outcome for outcome in contestants}
    baselines = [by_name[name] for name in dict.fromkeys((contestants[0].name, *BASELINES)) if name in by_name]
    rows = [_row(outcome, baselines, peak) for outcome in contestants]
    notes = []
    if not contestants[0].rounds:
        fix = "; `pip install transformers`" if contestants[0].status == "not installed" else ""
        notes.append(f"no ratios: the baseline {contestants[0].name} was not measured{fix}")
    for row in rows:
        far = [key for key in ("parameters", "flops_per_token") if abs(row.get(f"{key}_ratio", 1.0) - 1) > ALIKE]
        if far:
            notes.append(f"{row['name']}: {' and '.join(far)} differ from {rows[0]['name']}'s by more than {ALIKE:.0%}")
    return {
        "rows": rows,
        "peak": {
            "status": peak.status,
            "reason": peak.reason,
            "rounds": peak.rounds,
            **(
                {key: spread([turn[key] for turn in peak.rounds]) for key in ("float32", "bfloat16", "copy")}
                if peak.rounds
                else {}
            ),
        },
        "goals": _goals(rows, goals),
        "notes": notes,
    }


def _row(outcome: Outcome, baselines: Sequence[Outcome], peak: Outcome) -> dict[str, Any]:
    facts, rates = dict(outcome.facts), outcome.rates("tokens")
    row: dict[str, Any] = {"name": outcome.name, "status": outcome.status, "reason": outcome.reason, **facts}
    if not rates:
        return row
    row["tokens_per_second"] = spread(rates)
    row["tokens_per_cpu_second"] = spread([turn["tokens"] / turn["cpu_seconds"] for turn in outcome.rounds])
    row["ratios"] = {
        baseline.name: spread([own / other for own, other in zip(rates, baseline.rates("tokens"), strict=False)])
        for baseline in baselines
        if baseline.rounds
    }
    row["share_of_peak"] = {
        kind: spread(
            [rate * facts["flops_per_token"] / turn[kind] for rate, turn in zip(rates, peak.rounds, strict=False)]
        )
        for kind in ("float32", "bfloat16")
        if peak.rounds
    }
    if facts["compiled"]:
        row["compile_seconds"] = max(0.0, facts["first_step_seconds"] - facts["second_step_seconds"])
    if baselines[0].facts:
        for key in ("parameters", "flops_per_token"):
            row[f"{key}_ratio"] = facts[key] / baselines[0].facts[key]
    row["rounds"] = outcome.rounds
    return row


def _goals(rows: Sequence[Mapping[str, Any]], goals: Mapping[str, float]) -> list[dict[str, Any]]:
    """What `groundup` should reach, what it did, and whether that is enough; what was not measured is not reached."""
    ours = next((row for row in rows if row["name"] == "groundup"), None)
    if ours is None:
        return []
    by_name = {row["name"]: row for row in rows}
    found = []
    for name, goal in goals.items():
        if name == "share":
            what, figure = "share of the bfloat16 peak", ours.get("share_of_peak", {}).get("bfloat16")
        else:
            what, figure = f"tokens per second beside {name}", ours.get("ratios", {}).get(name)
        measured = figure["median"] if figure else None
        found.append({"what": what, "goal": goal, "measured": measured, "reached": bool(measured and measured >= goal)})
    own, other = (by_name.get(name, {}).get("peak_memory_bytes") for name in ("groundup", "gpt2"))
    if own and other:
        found.append({"what": "peak memory beside gpt2", "goal": 1.0, "measured": own / other, "reached": own <= other})
    return found


def _entrant(name: str, shape: Shape, seed: int, python_with: Sequence[str]) -> Entrant:
    sizes = {**asdict(shape), "ffn_width": shape.ffn_width}
    settings = {"name": name, "shape": sizes, "seed": seed}
    if name.split("-")[0] == "groundup":
        return Entrant(name, _HERE / "training_ours.py", settings, memory_bytes=shape.memory_bytes)
    pythons = (*Entrant.pythons, *python_with)
    return Entrant(name, _HERE / "training_peers.py", settings, pythons, memory_bytes=shape.memory_bytes)


def _shape(name: str) -> Shape:
    if name not in SHAPES:
        raise UserError(f"unknown shape '{name}'", where="--shape", fix=f"use one of {', '.join(SHAPES)}")
    return SHAPES[name]


def _check(contestants: Sequence[str], threads: Sequence[int], rounds: int, seconds: float) -> None:
    for name in contestants:
        base, *ways = name.split("-")
        known = OUR_WAYS if base == "groundup" else PEER_WAYS if base in PACKAGES else None
        if known is None or not set(ways) <= known:
            raise UserError(
                f"unknown contestant '{name}'",
                where="--contestants",
                fix=f"use some of {', '.join(CONTESTANTS)}; peers may end in -bf16, -compiled or both",
            )
    if not contestants or len(set(contestants)) < len(contestants):
        raise UserError("name each contestant once, and at least one", where="--contestants")
    for count in threads:
        check_threads(count)
    for option, value in (("--rounds", rounds), ("--seconds", seconds)):
        if not value > 0:
            raise UserError(f"is {value}", where=option, fix="use a number above 0")
