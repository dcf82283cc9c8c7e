"""The generation benchmark: tokens per second of one text, cached and not, beside transformers' `generate`."""

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

from groundup.benchmarking.contest import Entrant, Outcome, contest, spread
from groundup.benchmarking.decoding_ours import PRECISIONS
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
BASELINE = "gpt2"  # of all ratios: in float32, whatever precision stands beside it
# What groundup's tokens per second should be in each precision: a multiple of gpt2's, a share of the memory bandwidth.
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

    Each takes `rounds` turns of `seconds`, one text at least. Without `threads`, all cores may be used; a row's
    `threads` are those that write after the first token. Ratios are to `gpt2`, where it takes part. The result is plain
    data for JSON: `machine`, `settings`, `load`, and `contests`, each with `rows` and `bandwidth`. Raises UserError for
    unknown names, numbers that cannot be and texts that do not fit the context.
    """
    chosen = shapes if isinstance(shapes, Mapping) else {name: _shape(name) for name in shapes}
    _check_contestants(contestants)
    _check_numbers(chosen, prompts, new_tokens, threads, rounds, seconds)
    threads_chosen = bool(threads) or "OMP_NUM_THREADS" in os.environ
    began, load = time.perf_counter(), psutil.getloadavg()
    contests = []
    for name, shape in chosen.items():
        for prompt, new in [(prompt, new) for prompt in prompts for new in new_tokens]:
            for count in tuple(threads) or (usable_cores(),):
                listen(Phase(title := f"shape {name}, {prompt} + {new} tokens, {count} thread{'s' * (count > 1)}"))
                given = {"prompt": prompt, "new": new, "seed": seed, "threads_chosen": threads_chosen}
                entrants = [_entrant(contestant, shape, given) for contestant in ("bandwidth", *contestants)]
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
        "load": {"before": load, "after": psutil.getloadavg()},
        "seconds": time.perf_counter() - began,
        "contests": contests,
    }


def _rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Medians, ratios within rounds to gpt2 where it was measured, and shares of the bandwidth of the same round.

    The first outcome is the machine's bandwidth.
    """
    machine, *contestants = outcomes
    baseline = next((_rates(outcome) for outcome in contestants if outcome.name == BASELINE), [])
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
    """What groundup should reach in each precision that takes part, what it did, and whether that is enough."""
    precisions = {"groundup": "float32", **{f"groundup-{way}": precision for way, precision in PRECISIONS.items()}}
    found = []
    for row in rows:
        for name, goal in goals.items() if row["name"] in precisions else ():
            key = "share_of_bandwidth" if name == "share" else "ratio"
            what = "share of the memory bandwidth" if name == "share" else f"tokens per second beside {name} (float32)"
            measured = row[key]["median"] if key in row else None
            found.append(
                {
                    "what": f"groundup in {precisions[row['name']]}: {what}",
                    "goal": goal,
                    "measured": measured,
                    "reached": measured is not None and measured >= goal,
                }
            )
    return found


def _entrant(name: str, shape: Shape, given: Mapping[str, Any]) -> Entrant:
    sizes = {**asdict(shape), "ffn_width": shape.ffn_width}
    file = _HERE / ("decoding_peers.py" if name.startswith("gpt2") else "decoding_ours.py")
    weights = 12 * shape.layers * shape.width**2 + shape.vocabulary * shape.width
    return Entrant(name, file, {"name": name, "shape": sizes, **given}, memory_bytes=500_000_000 + 8 * weights)


def _shape(name: str) -> Shape:
    if name not in DECODING_SHAPES:
        raise UserError(f"unknown shape '{name}'", where="--shape", fix=f"use one of {', '.join(DECODING_SHAPES)}")
    return DECODING_SHAPES[name]


def _check_contestants(contestants: Sequence[str]) -> None:
    for name in contestants:
        base, *ways = name.split("-")
        known = OUR_WAYS if base == "groundup" else PEER_WAYS if base == "gpt2" else None
        if known is None or not set(ways) <= known or len(ways) > len(set(ways)):
            fix = f"use some of {', '.join(DECODERS)}"
            raise UserError(f"unknown contestant '{name}'", where="--contestants", fix=fix)
        if len(PRECISIONS.keys() & set(ways)) > 1:
            fix = f"use one of {', '.join(f'{base}-{way}' for way in PRECISIONS)}"
            raise UserError(f"'{name}' names more than one precision", where="--contestants", fix=fix)
    if not contestants or len(set(contestants)) < len(contestants):
        raise UserError("name each contestant once, and at least one", where="--contestants")


def _check_numbers(
    shapes: Mapping[str, Shape],
    prompts: Sequence[int],
    news: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    seconds: float,
) -> None:
    for option, value in (("--rounds", rounds), *(("--prompt", n) for n in prompts)):
        if value < 1:
            raise UserError(f"is {value}", where=option, fix="use 1 or more")
    if not 0 < seconds < math.inf:
        raise UserError(f"is {seconds}", where="--seconds", fix="use a number above 0")
    for count in threads:
        if not 1 <= count <= usable_cores():
            raise UserError(f"is {count}", where="--threads", fix=f"use 1 to {usable_cores()}, the usable cores")
    if min(news) < 2:
        raise UserError(f"is {min(news)}", where="--new", fix="use 2 or more")
    for name, shape in shapes.items():
        if max(prompts) + max(news) > shape.context:
            raise UserError(
                f"{max(prompts)} + {max(news)} tokens are more than the context of shape {name}",
                where="--prompt",
                fix=f"stay within {shape.context}",
            )
