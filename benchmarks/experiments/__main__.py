"""A resumable queue of training runs that compares recipes at equal CPU time: docs/experiments.md says how to read it.

    python benchmarks/experiments time screen --corpus 1mb=BOOK.txt --corpus 10mb=FOLDER
    python benchmarks/experiments run screen --corpus 1mb=BOOK.txt --corpus 10mb=FOLDER --limit-minutes 20
    python benchmarks/experiments table screen

`time` measures what an update costs in each recipe, all of a width in turns (NAME.times.jsonl); the number of updates
of a run follows from that, so that the runs themselves may share the machine with other work.

benchmarks/experiments/NAME.toml lists the runs; every finished one appends a line to NAME.jsonl, and what is there is
not run again. A recipe is settings of groundup, so that what wins can be given to `groundup train --set`, and at most
one of the changes in variants.py, which no setting makes yet.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from groundup.benchmarking.contest import Entrant, contest
from groundup.errors import UserError
from results import fit_of, label, rows_of, same, table_of

HERE = Path(__file__).resolve().parent
RECIPE = HERE / "recipe.py"
ROUNDS, TURN_SECONDS = 7, 1.5
SECONDS_BEYOND = 30.0  # a first guess of what a run takes beside its budget: start, calibration, compiling, scoring


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    timing = commands.add_parser("time", help="measure what an update costs, where that is missing")
    run = commands.add_parser("run", help="run what is missing")
    for command in (timing, run):
        command.add_argument("--corpus", action="append", default=[], metavar="NAME=PATH", help="a file or folder")
        command.add_argument("--only", nargs="+", metavar="ENTRY", help="these entries of the list")
        command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "groundup-experiments")
    run.add_argument("--limit-minutes", type=float, default=math.inf, help="begin no run that would end later")
    run.add_argument("--seeds", nargs="+", type=int, help="instead of those of the list, to confirm what won")
    fit = commands.add_parser("fit", help="fit what `groundup plan` predicts of the loss")
    table = commands.add_parser("table", help="show the results")
    table.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page, between its marks")
    fit.add_argument("name", nargs="+", help="NAME.jsonl of results; NAME:ENTRY takes those entries that begin so")
    for command in (timing, run, table):
        command.add_argument("name", help="of the list, benchmarks/experiments/NAME.toml")
    for command in (timing, run, fit, table):
        command.add_argument("--folder", type=Path, default=HERE, help="where list and results are")
    given = parser.parse_args(arguments)
    try:
        follow(given)
    except (OSError, UserError) as error:
        parser.error(str(error))


def follow(given: argparse.Namespace) -> None:
    """Do what the command line says; raises UserError and OSError for what it cannot be right about."""
    if given.command in ("time", "run"):
        if wrong := [item for item in given.corpus if "=" not in item]:
            raise UserError(f"is {wrong[0]!r}", where="--corpus", fix="write NAME=PATH")
        corpora = {name: Path(path).resolve() for name, path in (item.split("=", 1) for item in given.corpus)}
        time_updates(given, corpora) if given.command == "time" else run_queue(given, corpora)
    elif given.command == "fit":
        rows = []
        for name, _, entry in (name.partition(":") for name in given.name):
            rows += [row for row in rows_of(given.folder, name) if row["entry"].startswith(entry)]
        print(fit_of([row for row in rows if row["bits_per_byte"] is not None], " ".join(given.name)))
    elif given.write:
        text, mark = given.write.read_text(encoding="utf-8"), f"<!-- table: {given.name} -->"
        before, _, rest = text.partition(mark)
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            raise UserError(f"has no marks {mark} and <!-- end -->", where=given.write, fix="put them where it belongs")
        table_text = table_of(rows_of(given.folder, given.name), markdown=True)
        given.write.write_text(f"{before}{mark}\n{table_text}\n{end}{after}", encoding="utf-8")
    else:
        print(table_of(rows_of(given.folder, given.name), markdown=False))


def runs_of(listed: Mapping[str, Any], seeds: list[int] | None, only: list[str] | None) -> Iterator[dict[str, Any]]:
    """The runs of a list, in its order: each entry for its corpora, widths and seeds."""
    names = [entry["name"] for entry in listed["runs"]]
    assert len(set(names)) == len(names), "two entries have one name"
    if unknown := [name for name in only or () if name not in names]:
        raise UserError(f"unknown entry '{unknown[0]}'", where="--only", fix=f"there are {', '.join(names)}")
    for entry in listed["runs"]:
        if only and entry["name"] not in only:
            continue
        for corpus in entry["corpora"]:
            for width in entry["widths"]:
                for seed in seeds or entry.get("seeds", [0]):
                    settings = listed["baseline"] | listed["widths"][str(width)] | entry.get("set", {})
                    yield {
                        "entry": entry["name"],
                        "corpus": corpus,
                        "width": width,
                        "seed": seed,
                        "cpu_budget": entry.get("cpu_seconds", listed["cpu_seconds"]),
                        "variant": entry.get("variant", ""),
                        "settings": {key: value for key, value in settings.items() if value != ""},
                    }


def time_updates(given: argparse.Namespace, corpora: dict[str, Path]) -> None:
    """Measure an update of every recipe that costs something else than the others.

    All of a width take turns, so that the machine's moods fall on all of them alike. What was measured stays, and what
    is new is measured beside the width's baseline, by the ratio to it.
    """
    listed = tomllib.loads((given.folder / f"{given.name}.toml").read_text(encoding="utf-8"))
    file = given.folder / f"{given.name}.times.jsonl"
    for width in listed["widths"]:
        runs = [run for run in runs_of(listed, [0], None) if str(run["width"]) == width and run["corpus"] in corpora]
        recipes = {json.dumps(_costly(run)): run for run in reversed(runs)}  # the first of those that cost the same
        known = {json.dumps(row["recipe"]): row["seconds"] for row in rows_of(given.folder, f"{given.name}.times")}
        base = next((key for key, run in recipes.items() if run["entry"].startswith("baseline")), None)
        missing = [
            key for key, run in recipes.items() if key not in known and run["entry"] in (given.only or [run["entry"]])
        ]
        if not base or not missing:
            continue
        found = _race({key: recipes[key] for key in {base: 0, **dict.fromkeys(missing)}}, listed, given, corpora)
        unit = known.get(base) or median(found[base])
        with file.open("a", encoding="utf-8") as lines:
            for key in missing:
                seconds = unit * median(own / of_base for own, of_base in zip(found[key], found[base], strict=True))
                row = {"recipe": json.loads(key), "seconds": seconds, "rounds": found[key], "commit": _commit()}
                lines.write(json.dumps(row) + "\n")
                print(f"{recipes[key]['entry']}, {width} wide: {seconds * 1000:.2f} ms an update", flush=True)


def _race(
    runs: Mapping[str, dict[str, Any]], listed: Mapping[str, Any], given: argparse.Namespace, corpora: dict[str, Path]
) -> dict[str, list[float]]:
    """Seconds of an update in each round, of every recipe."""
    entrants = []
    for key, run in runs.items():
        corpus, _ = prepare(run, corpora[run["corpus"]], given.work, listed["validation_bytes"])
        entrants.append(Entrant(key, RECIPE, {**run, "path": str(corpus)}))
    outcomes = contest(entrants, rounds=ROUNDS, seconds=TURN_SECONDS, threads=listed["threads"], name=given.name)
    for outcome in outcomes:
        if outcome.status != "measured":
            sys.exit(f"failed: {runs[outcome.name]['entry']}: {outcome.reason}")
    return {outcome.name: [turn["step_seconds"] for turn in outcome.rounds] for outcome in outcomes}


def run_queue(given: argparse.Namespace, corpora: dict[str, Path]) -> None:
    """Run what the results lack, in the order of the list, one at a time and each in a process of its own."""
    listed = tomllib.loads((given.folder / f"{given.name}.toml").read_text(encoding="utf-8"))
    file, deadline, longest = given.folder / f"{given.name}.jsonl", time.monotonic() + given.limit_minutes * 60, 0.0
    todo = list(runs_of(listed, given.seeds, given.only))
    done = rows_of(given.folder, given.name)
    missing = [run for run in todo if not any(same(run, row) for row in done)]
    print(f"{len(todo) - len(missing)} of {len(todo)} runs are done", flush=True)
    for run in missing:
        if run["corpus"] not in corpora:
            print(f"left out, no --corpus {run['corpus']}=PATH: {label(run)}", flush=True)
            continue
        if time.monotonic() + (longest or run["cpu_budget"] + SECONDS_BEYOND) > deadline:
            print("the time is up", flush=True)
            return
        began = time.monotonic()
        seconds = _update_seconds(run, given)
        # the other seeds of a run take as many steps as the first: the seed is then all that differs
        alike = [row["steps"] for row in done if same(run, row, but_seed=True)]
        steps = alike[0] if alike else max(10, round(run["cpu_budget"] / seconds))
        corpus, fingerprint = prepare(run, corpora[run["corpus"]], given.work, listed["validation_bytes"])
        if {old["fingerprint"] for old in done if _data(old) == _data(run)} - {fingerprint}:
            raise UserError(f"is another text than in {file}", where=f"--corpus {run['corpus']}")
        row = {**run, **_in_child({**run, "steps": steps, "path": str(corpus)}, listed["threads"])}
        row |= {"update_seconds": seconds, "commit": _commit()}
        row["date"] = datetime.now(UTC).isoformat(timespec="seconds")
        done.append(row)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        longest = max(longest, time.monotonic() - began)
        bits = "failed" if row["bits_per_byte"] is None else f"{row['bits_per_byte']:.4f} bits per byte"
        print(f"{label(run)}: {bits}, {row['steps']} steps, {row['cpu_seconds']:.1f} CPU seconds", flush=True)


def _costly(run: Mapping[str, Any]) -> dict[str, Any]:
    """What an update's cost depends on: rates, decay and corpus cost nothing."""
    costly = ("model.", "data.", "device.", "training.", "optimizer.name")
    settings = {key: value for key, value in run["settings"].items() if key.startswith(costly)}
    return settings | ({"variant": run["variant"]} if run["variant"] else {})


def _update_seconds(run: Mapping[str, Any], given: argparse.Namespace) -> float:
    """Seconds of an update in this recipe, as they were measured."""
    recipe, rows = _costly(run), rows_of(given.folder, f"{given.name}.times")
    plain = {key: value for key, value in recipe.items() if key != "variant"}
    for wanted in (recipe, plain):  # those variants that were timed took 99 to 100% of the same without
        for row in rows:
            if row["recipe"] == wanted:
                return row["seconds"]
    raise UserError(
        f"has no time of {label(run)}", where=f"{given.name}.times.jsonl", fix="measure it: `time`, quietly"
    )


def _in_child(request: dict[str, Any], threads: int) -> dict[str, Any]:
    command = [sys.executable, "-P", str(RECIPE), json.dumps(request)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if answer.returncode:
        sys.exit(f"failed: {label(request)}")
    return json.loads(answer.stdout.splitlines()[-1])


def prepare(run: dict[str, Any], source: Path, work: Path, validation_bytes: int) -> tuple[Path, str]:
    """The corpus of a run's `data.*` settings, prepared once, and its fingerprint. About `validation_bytes` are held
    out, at most a tenth: the same text whatever the tokenizer is."""
    from groundup import verbs

    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) or source.stat().st_size
    settings = {key: value for key, value in run["settings"].items() if key.startswith("data.")}
    settings["data.validation"] = round(min(0.1, validation_bytes / size), 4)
    name = "-".join([run["corpus"], *(str(value) for _, value in sorted(settings.items()))])
    work.mkdir(parents=True, exist_ok=True)
    return work / name, verbs.prepare([source], out=work / name, settings=settings).manifest["fingerprint"]


def _data(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"corpus": row["corpus"]} | {k: v for k, v in row["settings"].items() if k.startswith("data.")}


def _commit() -> str:
    """The commit of the code, with a + where the package was changed since."""
    words = ["git", "-C", str(HERE)]
    commit = subprocess.run([*words, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*words, "status", "--porcelain", ":/src"], capture_output=True, text=True).stdout.strip()
    return f"{commit}+" if changed else commit


if __name__ == "__main__":
    main()
