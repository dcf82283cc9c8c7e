"""Time to quality: what `groundup train --minutes M`, defaults only, learns of a text beside nanoGPT's README recipe.

The first 90% of the characters train, the last 10% are scored, every character of them, in float32 and windows of
each model's own context that do not overlap; bits per character compare models of different tokenizers.
"""

import hashlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from groundup.benchmarking.contest import check_threads
from groundup.benchmarking.reference import SLOWER_THAN_NANOGPT, Recipe, run_reference
from groundup.config import load_config
from groundup.cores import usable_cores
from groundup.corpus import read_clean
from groundup.documents import Document
from groundup.errors import EXIT_USER, UserError
from groundup.events import Listener, Notice, Phase, nobody
from groundup.runs import Run, read_entries, read_journal, read_json, write_atomic

TRAINING_SHARE = 0.9
FRACTIONS = ("1/7", "1/5", "1", "5")
CACHES = ("cold", "warm")
_ANOTHER = "give another --out"


def measure_learning(
    text: str | Path,
    *,
    at: Sequence[str] = FRACTIONS,
    seeds: Sequence[int] = (0, 1, 2),
    caches: Sequence[str] = CACHES,
    threads: int | None = None,
    reference_steps: int = Recipe.steps,
    out: Path | None = None,
    listen: Listener = nobody,
) -> dict[str, Any]:
    """Train the reference and then groundup for each fraction `at` of W, for every seed in turn, one after another.

    W is the reference's `seconds` (see `run_reference`) of the same seed, divided by SLOWER_THAN_NANOGPT. A run of
    groundup is the command `groundup train TRAIN.txt --minutes M --out RUN` with M = W x fraction; its `seconds` are
    the wall clock from the process's start to its exit, everything in it: reading, tokenizer, planning, compiling,
    training, the evaluation of its own held-out text and the report. `groundup evaluate RUN VALIDATION.txt` follows
    outside the clock. `cold` runs find an empty compile cache, `warm` ones that of the cold run of the same length, or
    of an unmeasured run of that length where there was none. With `out` results are written after every run and what
    is there already is not run again. Raises UserError for a text too short, more threads than cores, results of
    something else or of another machine, and without transformers, which the reference needs.
    """
    text = Path(text)
    whole = _read(text)
    check_threads(threads := usable_cores() if threads is None else threads)
    lengths = {name: _fraction(name) for name in at}
    if unknown := set(caches) - set(CACHES):
        raise UserError(f"unknown compile cache {unknown.pop()!r}", where="--cache", fix="cold, warm or both")
    cut = int(TRAINING_SHARE * len(whole))
    train, validation = whole[:cut], whole[cut:]
    if importlib.util.find_spec("transformers") is None:
        raise UserError(
            "the reference needs transformers", where="groundup benchmark learn", fix="pip install transformers"
        )
    results = _results(out, whole, cut, text.name, threads, reference_steps)
    versions = results["machine"]["versions"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory(prefix="groundup-learning-") as name:
        work = Path(name)
        (work / "train.txt").write_text(train, encoding="utf-8", newline="")
        (work / "validation.txt").write_text(validation, encoding="utf-8", newline="")
        scored = _characters(work / "validation.txt")
        if scored != len(validation):
            listen(Notice(f"cleaning leaves {scored:,} of the {len(validation):,} characters that validate"))
        for seed in seeds:
            reference = next((row for row in results["reference"] if row["seed"] == seed), None)
            if reference is None:
                listen(Phase(f"seed {seed}: the reference, {reference_steps:,} steps"))
                reference = run_reference(train, validation, seed=seed, environment=environment, steps=reference_steps)
                reference |= {"versions": versions, "date": _now()}
                results["reference"].append(reference)
                _keep(results, out)
            w = reference["seconds"] / SLOWER_THAN_NANOGPT
            for number, (fraction, length) in enumerate(lengths.items()):
                for cache in (cache for cache in CACHES if cache in caches):
                    if any((r["seed"], r["at"], r["cache"]) == (seed, fraction, cache) for r in results["runs"]):
                        continue
                    kept = work / f"cache-{number}"
                    if cache == "cold":
                        shutil.rmtree(kept, ignore_errors=True)
                    elif not kept.exists():
                        listen(Phase(f"filling the compile cache for {fraction} W"))
                        _train(work, w * length, seed, environment, kept)
                    listen(Phase(f"seed {seed}: groundup at {fraction} W = {w * length:.1f} s, {cache} compile cache"))
                    row = _train(work, w * length, seed, environment, kept)
                    row |= _score(work, scored, environment)
                    row["curve"] = _curve(work / "run", row.pop("began"), row["bytes_per_character"])
                    named = {"seed": seed, "at": fraction, "cache": cache, "w_seconds": w}
                    results["runs"].append({**named, **row, "versions": versions, "date": _now()})
                    _keep(results, out)
    return {**results, "summary": summarize(results)}


def summarize(results: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for the reference and one for each length and cache: means, and deviations over seeds (None for one)."""
    bits, count = [row["bits_per_character"] for row in results["reference"]], len(results["reference"])
    rows = [
        {
            "who": "reference",
            "cache": None,
            "runs": count,
            **_spread("seconds", (row["seconds"] for row in results["reference"])),
            **_spread("share_of_w", (SLOWER_THAN_NANOGPT for _ in range(count))),
            **_spread("bits_per_character", bits),
            **_spread("nats_per_character", (value * math.log(2) for value in bits)),
            "parameters": results["reference"][0]["parameters"],
            "reached": None,
        }
    ]
    final = {row["seed"]: row["bits_per_character"] for row in results["reference"]}
    for at, cache in dict.fromkeys((row["at"], row["cache"]) for row in results["runs"]):
        runs = [row for row in results["runs"] if (row["at"], row["cache"]) == (at, cache)]
        rows.append(
            {
                "who": f"{at} W",
                "cache": cache,
                "runs": len(runs),
                **_spread("seconds", (row["seconds"] for row in runs)),
                **_spread("share_of_w", (row["seconds"] / row["w_seconds"] for row in runs)),
                **_spread("bits_per_character", (row["bits_per_character"] for row in runs)),
                **_spread("nats_per_character", (row["nats_per_character"] for row in runs)),
                "parameters": runs[0]["parameters"],
                # as good as the reference with the same seed ended
                "reached": sum(row["bits_per_character"] <= final[row["seed"]] for row in runs),
            }
        )
    return rows


def _train(work: Path, seconds: float, seed: int, environment: dict[str, str], cache: Path) -> dict[str, Any]:
    """One `groundup train` into `work/run`, timed from its start to its exit."""
    shutil.rmtree(work / "run", ignore_errors=True)
    cache.mkdir(exist_ok=True)
    command = ["train", str(work / "train.txt"), "--minutes", f"{seconds / 60:.6f}", "--out", str(work / "run")]
    # the seed is all that is set: it changes no decision, only the draws
    command += ["--set", f"training.seed={seed}"]
    before, began, started = os.times(), time.time(), time.perf_counter()
    _groundup(command, {**environment, "TORCHINDUCTOR_CACHE_DIR": str(cache)}, work)
    seconds_taken, after = time.perf_counter() - started, os.times()
    info = Run.open(work / "run").info
    config = Run.open(work / "run").config()
    corpus = info["corpus"]
    return {
        "began": began,  # of the calendar's clock, as the events of the run are
        "seconds_given": seconds,
        "seconds": seconds_taken,
        "cpu_seconds": sum(after[2:4]) - sum(before[2:4]),
        "training_seconds": info["actual"]["training_seconds"],
        "stop_reason": info["stop_reason"],
        "steps": info["actual"]["steps"],
        "tokens": info["actual"]["tokens"],
        "epochs": info["actual"]["epochs"],
        "memory_bytes": info["actual"]["memory_bytes"],
        "parameters": info["plan"]["parameters"],
        "vocab_size": corpus["vocab_size"],
        # groundup never sees the text that is scored: what it validates on, it takes from the training text
        "held_out_of_training": corpus["validation_bytes"] / (corpus["validation_bytes"] + corpus["train_bytes"]),
        "compute": info["compute"],
        "planned": {row["key"]: row["value"] for row in info["plan"]["decisions"]},
        "context": config.model.context,
    }


def _score(work: Path, characters: int, environment: dict[str, str]) -> dict[str, float]:
    """What `groundup evaluate` gives for the validation text, by character."""
    scores = json.loads(
        _groundup(["evaluate", str(work / "run"), str(work / "validation.txt"), "--json"], environment, work)
    )
    nats = scores["loss"] * scores["tokens"] / characters
    return {
        "nats_per_character": nats,
        "bits_per_character": nats / math.log(2),
        "characters": characters,
        "bytes_per_character": scores["bytes"] / characters,
        "scored_tokens": scores["tokens"],
    }


def _groundup(arguments: list[str], environment: dict[str, str], work: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "groundup", *arguments],
        env=environment,
        cwd=work,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if ended.returncode == EXIT_USER:
        raise UserError(ended.stderr.strip().removeprefix("groundup: "))
    if ended.returncode:
        raise RuntimeError(f"groundup {arguments[0]} ended with {ended.returncode}: {ended.stderr.strip()[-2000:]}")
    return ended.stdout


def _curve(run: Path, began: float, bytes_per_character: float) -> list[tuple[float, float]]:
    """(seconds since the process began, bits per character of its own held-out text) at each of its evaluations."""
    saved = {row["step"]: row["time"] for row in read_journal(run / "events.jsonl") if row["event"] == "saved"}
    return [
        (datetime.fromisoformat(saved[step]).timestamp() - began, entry["val_bits_per_byte"] * bytes_per_character)
        for entry in read_entries(run)
        if (step := entry["step"]) in saved and entry["val_bits_per_byte"] is not None
    ]


def _characters(path: Path) -> int:
    """Characters of a file that are scored: those that are left by the cleaning that every text goes through."""
    items = read_clean([path], load_config())
    return sum(len(item.text) for item in items if isinstance(item, Document))


def _read(text: Path) -> str:
    try:
        whole = text.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=text, fix="give a text file in UTF-8") from None
    if len(whole) < 10_000:
        raise UserError(
            f"has only {len(whole):,} characters", where=text, fix="give 10,000 at least: a book has 500,000"
        )
    return whole


def _fraction(name: str) -> float:
    try:
        if (value := float(Fraction(name))) > 0:
            return value
    except (ValueError, ZeroDivisionError):
        pass
    raise UserError(f"{name!r} is no share of W", where="--at", fix="write such as 1/7, 0.5 or 5")


def _results(out: Path | None, whole: str, cut: int, name: str, threads: int, steps: int) -> dict[str, Any]:
    """The results that `out` holds, or none yet."""
    from groundup.parallel.machine import describe_machine

    digest = hashlib.sha256(whole.encode()).hexdigest()
    machine = describe_machine()
    machine["versions"]["transformers"] = metadata.version("transformers")
    started = {
        "text": {
            "name": name,
            "sha256": digest,
            "train_characters": cut,
            "validation_characters": len(whole) - cut,
        },
        "threads": threads,
        "recipe": json.loads(json.dumps({**asdict(Recipe()), "steps": steps})),
        "date": _now(),
        "machine": machine,
        "reference": [],
        "runs": [],
    }
    if out is None or not out.exists():
        return started
    found = read_json(out)
    try:
        differing = [what for what, there in _conditions(found).items() if there != _conditions(started)[what]]
    except (KeyError, TypeError):
        raise UserError("holds something else than results of this benchmark", where=out, fix=_ANOTHER) from None
    if differing:
        raise UserError(f"holds results of another {' and '.join(differing)}", where=out, fix=_ANOTHER)
    return found


def _conditions(results: dict[str, Any]) -> dict[str, Any]:
    """All that rows of one table must share."""
    machine = results["machine"]
    return {
        "text": results["text"]["sha256"],
        "number of threads": results["threads"],
        "recipe": results["recipe"],
        "processor": (machine["processor"], machine["cores"]),
        "version of the software": machine["versions"],
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _keep(results: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        write_atomic(out, json.dumps({**results, "summary": summarize(results)}, indent=1) + "\n")


def _spread(name: str, values: Iterable[float]) -> dict[str, float | None]:
    values = list(values)
    return {name: fmean(values), f"{name}_deviation": stdev(values) if len(values) > 1 else None}
