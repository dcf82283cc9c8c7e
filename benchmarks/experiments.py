"""A resumable queue of training runs that compares recipes at equal CPU time: docs/experiments.md says how to read it.

    python benchmarks/experiments.py time screen --corpus 1mb=BOOK.txt --corpus 10mb=FOLDER
    python benchmarks/experiments.py run screen --corpus 1mb=BOOK.txt --corpus 10mb=FOLDER --limit-minutes 20
    python benchmarks/experiments.py table screen

`time` measures what an update costs in each recipe, all of a width in turns (NAME.times.jsonl); the number of updates
of a run follows from that, so that the runs themselves may share the machine with other work.

benchmarks/experiments/NAME.toml lists the runs; every finished one appends a line to NAME.jsonl, and what is there is
not run again. A recipe is nothing but settings of groundup, so whatever wins can be given to `groundup train --set`.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from groundup.benchmarking.contest import Entrant, contest
from groundup.config import load_config
from groundup.errors import UserError

HERE = Path(__file__).resolve().parent / "experiments"
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
    fit.add_argument("--entry", default="baseline", help="the recipe that is fitted (default: baseline)")
    table = commands.add_parser("table", help="show the results")
    table.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page, between its marks")
    for command in (timing, run, fit, table):
        command.add_argument("name", help="of the list, benchmarks/experiments/NAME.toml")
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
        rows = [row for row in rows_of(given.folder, given.name) if row["entry"] == given.entry]
        print(fit_of([row for row in rows if row["bits_per_byte"] is not None], given.name))
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
        entrants.append(Entrant(key, Path(__file__), {"settings": run["settings"], "path": str(corpus)}))
    outcomes = contest(entrants, rounds=ROUNDS, seconds=TURN_SECONDS, threads=listed["threads"], name=given.name)
    for outcome in outcomes:
        if outcome.status != "measured":
            sys.exit(f"failed: {runs[outcome.name]['entry']}: {outcome.reason}")
    return {outcome.name: [turn["step_seconds"] for turn in outcome.rounds] for outcome in outcomes}


def make(settings: dict[str, Any]) -> tuple[dict[str, Any], Callable[[float], dict[str, Any]]]:
    """As a contestant of a contest: the training steps of a run."""
    from groundup.corpus import Corpus
    from groundup.parallel import decide_compute
    from groundup.planning import calibrate, make_plan
    from groundup.training import build_batches, build_model, build_optimizers

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


def run_queue(given: argparse.Namespace, corpora: dict[str, Path]) -> None:
    """Run what the results lack, in the order of the list, one at a time and each in a process of its own."""
    listed = tomllib.loads((given.folder / f"{given.name}.toml").read_text(encoding="utf-8"))
    file, deadline, longest = given.folder / f"{given.name}.jsonl", time.monotonic() + given.limit_minutes * 60, 0.0
    todo = list(runs_of(listed, given.seeds, given.only))
    done = rows_of(given.folder, given.name)
    missing = [run for run in todo if not any(_same(run, row) for row in done)]
    print(f"{len(todo) - len(missing)} of {len(todo)} runs are done", flush=True)
    for run in missing:
        if run["corpus"] not in corpora:
            print(f"left out, no --corpus {run['corpus']}=PATH: {_label(run)}", flush=True)
            continue
        if time.monotonic() + (longest or run["cpu_budget"] + SECONDS_BEYOND) > deadline:
            print("the time is up", flush=True)
            return
        began = time.monotonic()
        seconds = _update_seconds(run, given)
        # the other seeds of a run take as many steps as the first: the seed is then all that differs
        alike = [row["steps"] for row in done if _same(run, row, but_seed=True)]
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
        print(f"{_label(run)}: {bits}, {row['steps']} steps, {row['cpu_seconds']:.1f} CPU seconds", flush=True)


def _costly(run: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that an update's cost depends on: rates, decay and corpus cost nothing."""
    costly = ("model.", "data.", "device.", "training.", "optimizer.name")
    return {key: value for key, value in run["settings"].items() if key.startswith(costly)}


def _update_seconds(run: Mapping[str, Any], given: argparse.Namespace) -> float:
    """Seconds of an update in this recipe, as they were measured."""
    recipe = _costly(run)
    for row in rows_of(given.folder, f"{given.name}.times"):
        if row["recipe"] == recipe:
            return row["seconds"]
    raise UserError(
        f"has no time of {_label(run)}", where=f"{given.name}.times.jsonl", fix="measure it: `time`, quietly"
    )


def _in_child(request: dict[str, Any], threads: int) -> dict[str, Any]:
    command = [sys.executable, "-P", __file__, "--child", json.dumps(request)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if answer.returncode:
        sys.exit(f"failed: {_label(request)}")
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


class Clock:
    """Listens to a training run and reads the clocks after every update.

    Compiling is before the first of them, and evaluating, which such a run does at its ends alone, is never between.
    """

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []
        self._training = False

    def __call__(self, event: Any) -> None:
        from groundup.events import Phase, Progress

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
    from groundup import verbs
    from groundup.parallel.machine import describe_machine
    from groundup.runs import Run

    steps, clock, error = request["steps"], Clock(), ""
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


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """The finished runs of a list."""
    file = folder / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def table_of(rows: Sequence[Mapping[str, Any]], markdown: bool) -> str:
    """Mean and deviation over seeds of each entry, beside the entry `baseline` of the same corpus and width."""
    head = ("corpus", "width", "recipe", "bits per byte", "seeds", "to baseline", "t", "steps", "MB seen", "CPU s")
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["corpus"], row["width"], row["entry"]), []).append(row)
    lines = []
    best_first = sorted(groups.items(), key=lambda item: (*item[0][:2], fmean(_bits(item[1]) or [math.inf])))
    for (corpus, width, entry), group in best_first:
        base = _bits(groups.get((corpus, width, "baseline"), []))
        bits, t = _bits(group), ""
        if bits and base and entry != "baseline":
            value = welch(bits, base)
            t = f"{value[0]:+.1f} (df {value[1]:.0f})" if value else ""
        deviation = f" ± {stdev(bits):.4f}" if len(bits) > 1 else ""
        lines.append(
            (
                corpus,
                str(width),
                entry,
                f"{fmean(bits):.4f}{deviation}" if bits else "not finite",
                str(len(bits)),
                f"{fmean(bits) - fmean(base):+.4f}" if bits and base and entry != "baseline" else "",
                t,
                f"{median(row['steps'] for row in group):,.0f}",
                f"{median(row['tokens'] * row['bytes_per_token'] for row in group) / 1e6:.1f}",
                f"{median(row['cpu_seconds'] for row in group):.0f}",
            )
        )
    if markdown:
        ruled = [head, tuple("---" for _ in head), *lines]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in ruled) if lines else "*No results yet.*"
    widths = [max(len(cells[n]) for cells in [head, *lines]) for n in range(len(head))]
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in [head, *lines])


def fit_of(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """The fit for planning/prediction.py, and how it would have predicted each run from those of other seeds,
    budgets, widths or corpora: from all runs but those alike."""
    from groundup.planning import prediction

    fitted, inside, told = prediction.fit_runs(rows, f"benchmarks/experiments/{name}.jsonl"), 0, []
    for row in rows:
        others = [other for other in rows if not _same(row, other, but_seed=True)]
        seen, baseline = row["tokens"] * row["bytes_per_token"], row["baselines"][prediction.BASELINE]
        facts = {"bytes_seen": seen, "baseline": baseline, "parameters": row["parameters"], "epochs": row["epochs"]}
        try:
            found = prediction.predict(prediction.fit_runs(others, name), **facts)
        except UserError as error:
            found = f"of the others, {error.what}"
        if isinstance(found, str):
            told.append(f"# {_label(row)}: {row['bits_per_byte']:.3f}; no prediction: {found}")
            continue
        inside += (hit := found.low <= row["bits_per_byte"] <= found.high)
        told.append(
            f"# {_label(row)}: {row['bits_per_byte']:.3f}; {found.bits_per_byte:.3f}"
            f" ({found.low:.3f} to {found.high:.3f}){'' if hit else ' missed'}"
        )
    predicted = sum("no prediction" not in line for line in told)
    told.append(f"# {inside} of {predicted} runs inside their interval, {len(rows)} runs in all")
    return "\n".join([*told, f"FITTED = {fitted!r}"])


def welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    """Welch's t of the means of `a` and `b` and its degrees of freedom (Welch 1947); None where it has no meaning."""
    if len(a) < 2 or len(b) < 2:
        return None
    va, vb = stdev(a) ** 2 / len(a), stdev(b) ** 2 / len(b)
    if va + vb == 0:
        return None
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return (fmean(a) - fmean(b)) / math.sqrt(va + vb), freedom


def _bits(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    return [row["bits_per_byte"] for row in rows if row["bits_per_byte"] is not None]


def _same(run: Mapping[str, Any], row: Mapping[str, Any], but_seed: bool = False) -> bool:
    """Whether a finished run is the one asked for. Its name may have changed: what was run is in its settings."""
    keys = ("corpus", "cpu_budget", "settings") + (() if but_seed else ("seed",))
    return all(run[key] == row[key] for key in keys)


def _data(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"corpus": row["corpus"]} | {k: v for k, v in row["settings"].items() if k.startswith("data.")}


def _label(run: Mapping[str, Any]) -> str:
    return f"{run['entry']}, {run['width']} wide, {run['corpus']}, seed {run['seed']}"


def _commit() -> str:
    """The commit of the code, with a + where the package was changed since."""
    words = ["git", "-C", str(HERE)]
    commit = subprocess.run([*words, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*words, "status", "--porcelain", ":/src"], capture_output=True, text=True).stdout.strip()
    return f"{commit}+" if changed else commit


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(train_once(json.loads(sys.argv[2]))))
    else:
        main()
