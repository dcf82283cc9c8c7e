"""The generation benchmark: tokens per second of one text, cached and not, beside transformers' `generate`."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from groundup.benchmarking.contest import Entrant, Outcome, contest, spread
from groundup.benchmarking.decoding_ours import WAYS as OUR_WAYS
from groundup.benchmarking.decoding_peers import WAYS as PEER_WAYS
from groundup.benchmarking.shapes import SHAPES, Shape
from groundup.cores import usable_cores
from groundup.errors import UserError
from groundup.events import Listener, Phase, nobody
from groundup.parallel import describe_machine

DECODERS = ("gpt2", "gpt2-bf16", "groundup", "groundup-bf16", "groundup-int8", "groundup-uncached")
# The shapes of the training benchmark with room for a text; a vocabulary of bytes is the least that texts need.
DECODING_SHAPES = {
    "b": replace(SHAPES["b"], context=512, batch=1, vocabulary=257),
    "c": replace(SHAPES["d"], batch=1, vocabulary=50_304),
}
# Tokens per second of the fastest groundup as a multiple of gpt2's, and as a share of the memory bandwidth.
GOALS = {"b": {"gpt2": 3.5}, "c": {"gpt2": 2.5, "share": 0.5}}
_HERE = Path(__file__).parent


def measure_decoding(
    shapes: Sequence[str] | Mapping[str, Shape] = ("b",),
    *,
    prompts: Sequence[int] = (128,),
    new_tokens: Sequence[int] = (256,),
    threads: Sequence[int] = (),
    contestants: Sequence[str] = DECODERS,
    rounds: int = 5,
    seconds: float = 1.0,
    seed: int = 0,
    listen: Listener = nobody,
) -> dict[str, Any]:
    """Let `contestants` write whole texts at each of `shapes`, prompt and text length, and number of `threads`.

    Each takes `rounds` turns of `seconds`, one text at least. Without `threads`, all cores are used. The result is
    plain data for JSON: `machine`, `settings`, `load`, and `contests`, each with `rows` and `bandwidth`. Raises
    UserError for unknown names and for texts that do not fit the context.
    """
    chosen = shapes if isinstance(shapes, Mapping) else {name: _shape(name) for name in shapes}
    _check(chosen, prompts, new_tokens, contestants, rounds)
    began, load = time.perf_counter(), os.getloadavg()
    contests = []
    for name, shape in chosen.items():
        for prompt, new in [(prompt, new) for prompt in prompts for new in new_tokens]:
            for count in tuple(threads) or (usable_cores(),):
                listen(Phase(title := f"shape {name}, {prompt} + {new} tokens, {count} thread{'s' * (count > 1)}"))
                entrants = [_entrant("bandwidth", shape, prompt, new, seed)]
                entrants += [_entrant(contestant, shape, prompt, new, seed) for contestant in contestants]
                outcomes = contest(entrants, rounds=rounds, seconds=seconds, threads=count, name=title, listen=listen)
                rows = _rows(outcomes)
                contests.append(
                    {
                        "shape": name,
                        **asdict(shape),
                        "prompt": prompt,
                        "new": new,
                        "threads": count,
                        "rows": rows,
                        "bandwidth": outcomes[0].rounds,
                        "goals": _goals(rows, GOALS.get(name, {}) if (prompt, new) == (128, 256) else {}),
                    }
                )
    return {
        "benchmark": "generate",
        "settings": {"rounds": rounds, "seconds": seconds, "seed": seed, "contestants": list(contestants)},
        "machine": describe_machine(),
        "load": {"before": load, "after": os.getloadavg()},
        "seconds": time.perf_counter() - began,
        "contests": contests,
    }


def _rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Medians, ratios within rounds to the first contestant, and shares of the bandwidth of the same round.

    The first outcome is the machine's bandwidth.
    """
    machine, *contestants = outcomes
    baseline = _rates(contestants[0])
    rows = []
    for outcome in contestants:
        row: dict[str, Any] = {
            "name": outcome.name,
            "status": outcome.status,
            "reason": outcome.reason,
            **outcome.facts,
        }
        if outcome.rounds:
            rates = _rates(outcome)
            row["tokens_per_second"] = spread(rates)
            row["first_token_seconds"] = spread([turn["first_token_seconds"] for turn in outcome.rounds])
            if baseline:
                row["ratio"] = spread([own / other for own, other in zip(rates, baseline, strict=False)])
            if row["bytes_per_token"] and machine.rounds:
                row["share_of_bandwidth"] = spread(
                    [
                        _decoding(turn) * row["bytes_per_token"] / max(limit["read"], limit["copy"])
                        for turn, limit in zip(outcome.rounds, machine.rounds, strict=False)
                    ]
                )
            row["rounds"] = outcome.rounds
        rows.append(row)
    return rows


def _rates(outcome: Outcome) -> list[float]:
    """Tokens per second of whole texts, the reading of the prompt included."""
    return [turn["tokens"] / turn["writing_seconds"] for turn in outcome.rounds]


def _decoding(turn: Mapping[str, Any]) -> float:
    """Tokens per second after each text's first."""
    rest = turn["writing_seconds"] - turn["texts"] * turn["first_token_seconds"]
    # a first token that met a slow moment may seem to have taken as long as a whole text
    return (turn["tokens"] - turn["texts"]) / max(rest, turn["writing_seconds"] / 10)


def _goals(rows: Sequence[Mapping[str, Any]], goals: Mapping[str, float]) -> list[dict[str, Any]]:
    """What the fastest groundup should reach, what it did, and whether that is enough."""
    found = []
    for name, goal in goals.items():
        key = "share_of_bandwidth" if name == "share" else "ratio"
        ours = [row[key]["median"] for row in rows if row["name"].startswith("groundup") and key in row]
        what = "share of the memory bandwidth" if name == "share" else f"tokens per second beside {name}"
        best = max(ours, default=None)
        found.append({"what": what, "goal": goal, "measured": best, "reached": best is not None and best >= goal})
    return found


def _entrant(name: str, shape: Shape, prompt: int, new: int, seed: int) -> Entrant:
    sizes = {**asdict(shape), "ffn_width": shape.ffn_width}
    file = _HERE / ("decoding_peers.py" if name.startswith("gpt2") else "decoding_ours.py")
    weights = 12 * shape.layers * shape.width**2 + shape.vocabulary * shape.width
    settings = {"name": name, "shape": sizes, "prompt": prompt, "new": new, "seed": seed}
    return Entrant(name, file, settings, memory_bytes=500_000_000 + 8 * weights)


def _shape(name: str) -> Shape:
    if name not in DECODING_SHAPES:
        raise UserError(f"unknown shape '{name}'", where="--shape", fix=f"use one of {', '.join(DECODING_SHAPES)}")
    return DECODING_SHAPES[name]


def _check(
    shapes: Mapping[str, Shape], prompts: Sequence[int], news: Sequence[int], contestants: Sequence[str], rounds: int
) -> None:
    for name in contestants:
        base, *ways = name.split("-")
        known = OUR_WAYS if base == "groundup" else PEER_WAYS if base == "gpt2" else None
        if known is None or not set(ways) <= known:
            fix = f"use some of {', '.join(DECODERS)}"
            raise UserError(f"unknown contestant '{name}'", where="--contestants", fix=fix)
    if not contestants or len(set(contestants)) < len(contestants):
        raise UserError("name each contestant once, and at least one", where="--contestants")
    for option, value in (("--rounds", rounds), *(("--prompt", n) for n in prompts)):
        if value < 1:
            raise UserError(f"is {value}", where=option, fix="use 1 or more")
    if min(news) < 2:
        raise UserError(f"is {min(news)}", where="--new", fix="use 2 or more")
    for name, shape in shapes.items():
        if max(prompts) + max(news) > shape.context:
            raise UserError(
                f"{max(prompts)} + {max(news)} tokens are more than the context of shape {name}",
                where="--prompt",
                fix=f"stay within {shape.context}",
            )
