"""Does `groundup plan` predict? Runs of different sizes, corpora and budgets, each planned first and then trained.

    python benchmarks/predictions.py run --corpus book=BOOK.txt --corpus code=FOLDER --corpus documents=FILE.jsonl.gz
    python benchmarks/predictions.py table --write docs/experiments.md
    python benchmarks/predictions.py spread                                   # the constants of planning's intervals

Every finished run appends a line to benchmarks/results/predictions.jsonl, and what is there is not run again. `plan`
and `train` are commands in processes of their own; the clock runs from the start of `train` to its end.
"""

import argparse
import gzip
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.errors import UserError

RESULTS = Path(__file__).resolve().parent / "results" / "predictions.jsonl"
FIGURES = ("minutes", "memory_bytes", "bits_per_byte")
LARGEST_FILE = 400_000  # of a folder: one long file is not "code"
SECONDS_BEYOND = 60.0  # a first guess of what a run takes beside its minutes, its plan included
MARK = "<!-- table: predictions -->"


def listed() -> Iterator[dict[str, Any]]:
    """The runs that are planned and then done: corpus, kilobytes of it, layers and width (none: as planned), budget."""
    for corpus, kilobytes, shape, budget in (
        ("jargon", 100, None, ("minutes", 0.6)),
        ("jargon", 300, (2, 128), ("epochs", 3)),
        ("faq", 300, None, ("minutes", 0.5)),
        ("algebra", 1_000, None, ("minutes", 1)),
        ("faq", 1_000, (4, 128), ("steps", 300)),
        ("jargon", 1_600, None, ("minutes", 1)),
        ("faq", 4_000, (5, 192), ("epochs", 0.3)),
        ("jargon", 1_600, (4, 128), ("epochs", 2)),
        ("algebra", 8_000, (6, 256), ("steps", 60)),
        ("faq", 8_000, (4, 128), ("minutes", 1.5)),
        ("algebra", 5_000, None, ("minutes", 2)),
        ("faq", 10_000, None, ("minutes", 2.5)),
        ("algebra", 20_000, None, ("minutes", 4)),
    ):
        yield {"corpus": corpus, "kilobytes": kilobytes, "shape": shape, "budget": budget, "threads": 1}


def fitted() -> Iterator[dict[str, Any]]:
    """The runs of other texts that the prediction of the loss is fitted to, beside those of the experiments. The most
    different ones come first; they are not planned beforehand."""
    for corpus, kilobytes, shape, minutes in (
        ("javascript", 5_000, (4, 128), 5),
        ("rfcs", 9_000, (4, 128), 12),
        ("linux", 20_000, (5, 192), 6),
        ("headers", 10_000, (6, 256), 6),
        ("bible", 4_300, (5, 192), 4),
        ("manuals", 5_000, (4, 128), 3),
        ("headers", 2_000, None, 2),
        ("bible", 1_000, (4, 128), 3),
        ("python", 9_000, (5, 192), 8),
        ("linux", 20_000, (6, 384), 6),
        ("manuals", 8_000, (6, 256), 5),
        ("javascript", 1_000, None, 1.5),
        ("rfcs", 500, None, 2),
        ("python", 2_000, None, 1),
    ):
        budget = ("minutes", minutes)
        yield {"corpus": corpus, "kilobytes": kilobytes, "shape": shape, "budget": budget, "threads": 1, "plan": False}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run what is missing")
    run.add_argument("--corpus", action="append", default=[], metavar="NAME=PATH", help="a text, .gz or folder")
    run.add_argument("--to-fit", action="store_true", help="instead, what the loss is fitted to (predictions_fit)")
    run.add_argument("--limit-minutes", type=float, default=math.inf, help="begin no run that would end later")
    table = commands.add_parser("table", help="planned beside actual")
    table.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page, between its marks")
    spread = commands.add_parser("spread", help="least and greatest deviations: the constants of the intervals")
    for command in (run, table, spread):
        command.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="JSON lines")
    given = parser.parse_args(arguments)
    try:
        if given.command == "run":
            if wrong := [item for item in given.corpus if "=" not in item]:
                raise UserError(f"is {wrong[0]!r}", where="--corpus", fix="write NAME=PATH")
            sources = {name: Path(path) for name, path in (item.split("=", 1) for item in given.corpus)}
            todo = list(fitted() if given.to_fit else listed())
            results = given.results.with_stem("predictions_fit") if given.to_fit else given.results
            run_queue(todo, sources, results, given.limit_minutes)
        elif given.command == "spread":
            print(spread_of(rows_of(given.results)))
        elif given.write:
            write_table(given.write, table_of(rows_of(given.results)))
        else:
            print(table_of(rows_of(given.results)))
    except (OSError, UserError) as error:
        parser.error(str(error))


def run_queue(todo: Sequence[dict[str, Any]], sources: Mapping[str, Path], results: Path, limit: float) -> None:
    """Run what the results lack, one at a time, until `limit` minutes would be exceeded."""
    deadline, done = time.monotonic() + 60 * limit, [named(row) for row in rows_of(results)]
    missing = [run for run in todo if named(run) not in done]
    print(f"{len(todo) - len(missing)} of {len(todo)} runs are done", flush=True)
    for run in missing:
        if run["corpus"] not in sources:
            print(f"left out, no --corpus {run['corpus']}=PATH: {named(run)}", flush=True)
            continue
        kind, amount = run["budget"]
        if time.monotonic() + SECONDS_BEYOND + (60 * amount if kind == "minutes" else 0) > deadline:
            print("the time is up", flush=True)
            return
        row = {**run, **measure(run, sources[run["corpus"]])}
        with results.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        said = ", ".join(f"{name} {in_words(row, name)}" for name in FIGURES)
        print(f"{named(run)}: {said}", flush=True)


def measure(run: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """Plan a run and do it; what was planned, what it came to, and what a fit of the loss needs."""
    from groundup.parallel.machine import describe_machine
    from groundup.planning.minutes import LATE

    with tempfile.TemporaryDirectory(prefix="groundup-predictions-") as name:
        folder = Path(name)
        cut(source, 1000 * run["kilobytes"], folder / "texts")
        words = [str(folder / "texts"), f"--{run['budget'][0]}", str(run["budget"][1])]
        for key, value in zip(("layers", "width"), run["shape"] or (), strict=False):
            words += ["--set", f"model.{key}={value}"]
        planned = _command(["plan", *words], run["threads"])[0] if run.get("plan", True) else None
        _, seconds = _command(["train", *words, "--out", str(folder / "run")], run["threads"])
        info = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    planned = planned or info
    expected, stated, final = planned["plan"]["expected"], info["plan"]["expected"], info["final"]["validation"]
    actual = {
        "minutes": round(seconds / 60, 3),
        "memory_bytes": info["actual"]["memory_bytes"],
        "bits_per_byte": final["bits_per_byte"],
    }
    late = (expected["minutes"]["high"] - expected["minutes"]["expected"]) * 60 / LATE[1]
    return {
        "planned": expected,
        "stated": stated,
        "actual": actual,
        "inside": {name: inside(expected[name], actual[name]) for name in FIGURES},
        "stated_inside": {name: inside(stated[name], actual[name]) for name in FIGURES},
        "late_unit_seconds": round(late, 2) if run["budget"][0] == "minutes" else None,
        "stop_reason": info["stop_reason"],
        "planned_steps": planned["plan"]["steps"],
        "steps": info["actual"]["steps"],
        "planned_tokens": planned["plan"]["tokens"],
        "tokens": info["actual"]["tokens"],
        "epochs": info["actual"]["epochs"],
        "parameters": info["plan"]["parameters"],
        "layers_width": [_setting(info, "model.layers"), _setting(info, "model.width")],
        "bytes_per_token": info["corpus"]["bytes_per_token"],
        "train_tokens": info["corpus"]["train_tokens"],
        "bits_per_byte": final["bits_per_byte"],
        "baselines": {name: row["bits_per_byte"] for name, row in info["baselines"].items()},
        "compute": info["compute"],
        "entry": "planned",  # as benchmarks/experiments fit --entry planned takes it
        "machine": {key: value for key, value in describe_machine().items() if key != "system"},
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def cut(source: Path, size: int, target: Path) -> None:
    """About the first `size` bytes of a text file, plain or .gz, in whole lines; of a folder, files in an order drawn
    once for all. Raises UserError where there is less."""
    target.mkdir(parents=True)
    taken = 0
    if source.is_dir():
        files = [path for path in sorted(source.rglob("*")) if path.is_file() and path.stat().st_size <= LARGEST_FILE]
        random.Random(0).shuffle(files)
        for number, path in enumerate(files):
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if taken < size and text.strip() and "\0" not in text:
                (target / f"{number:05d}{path.suffix}").write_text(text, encoding="utf-8")
                taken += len(text.encode())
    else:
        packed = source.suffix == ".gz"
        suffix = Path(source.stem).suffix if packed else source.suffix
        with (
            (gzip.open if packed else open)(source, "rt", encoding="utf-8") as lines,
            (target / f"text{suffix}").open("w", encoding="utf-8") as out,
        ):
            for line in lines:
                if taken >= size:
                    break
                out.write(str(line))
                taken += len(str(line).encode())
    if taken < 0.9 * size:
        raise UserError(f"has {taken:,} bytes of text, {size:,} are needed", where=source)


def inside(interval: Mapping[str, Any], actual: float) -> bool | None:
    """Whether `actual` lies in it; None where nothing was said."""
    return None if "none" in interval else interval["low"] <= actual <= interval["high"]


def rows_of(results: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return [json.loads(line) for line in lines]


def named(run: Mapping[str, Any]) -> str:
    """`book 50 KB, 2 x 64, steps 200, 1 thread`."""
    shape = "{} x {}".format(*run["shape"]) if run["shape"] else "as planned"
    kind, amount = run["budget"]
    return f"{run['corpus']} {run['kilobytes']:,} KB, {shape}, {kind} {amount:g}, threads {run['threads']}"


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Planned beside actual, the misses in bold, and how many lie inside."""
    if not rows:
        return "*No results yet.*"
    head = ("corpus", "layers x width", "budget", "threads", *("minutes", "memory, MB", "bits per byte"))
    lines = [head, tuple("---" for _ in head)]
    for row in rows:
        shape = "{} x {}{}".format(*row["layers_width"], "" if row["shape"] else " (planned)")
        text = f"{row['corpus']}, {row['kilobytes']:,} KB"
        budget = f"{row['budget'][0]} {row['budget'][1]:g}"
        lines.append((text, shape, budget, str(row["threads"]), *(in_words(row, name) for name in FIGURES)))
    shown = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    counts = [
        f"{label}: {_share(row['inside'][name] for row in rows)} of what `plan` said,"
        f" {_share(row['stated_inside'][name] for row in rows)} of what `train` said before its first step"
        for name, label in zip(FIGURES, ("minutes", "memory", "loss"), strict=True)
    ]
    return f"{shown}\n\nInside: {'; '.join(counts)}."


def spread_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The least and greatest deviations from what was planned, as planning/minutes.py and planning/memory.py have them.

    Runs that stopped early are left out of the minutes."""
    whole = [row for row in rows if row["stop_reason"] == "complete"]
    minutes = [_ratio(row, "minutes") for row in whole if row["late_unit_seconds"] is None]
    memory = [_ratio(row, "memory_bytes") for row in rows]
    late = [
        60 * (row["actual"]["minutes"] - row["planned"]["minutes"]["expected"]) / row["late_unit_seconds"]
        for row in whole
        if row["late_unit_seconds"]
    ]
    lines = []
    for name, values in (("minutes.RATIOS", minutes), ("minutes.LATE", late), ("memory.RATIOS", memory)):
        share = f"{(len(values) - 1) / (len(values) + 1):.0%}" if len(values) > 1 else "too few"
        extremes = f"({min(values):.3f}, {max(values):.3f})" if values else "none"
        lines.append(f"{name} = {extremes}  # {len(values)} runs: holds for {share} of new ones")
    return "\n".join(lines)


def in_words(row: Mapping[str, Any], name: str) -> str:
    """`1.2 (1.0 to 1.4): 1.3`, in bold where it is outside."""
    write = {"minutes": lambda v: f"{v:.2f}", "memory_bytes": lambda v: f"{v / 1e6:,.0f}"}.get(
        name, lambda v: f"{v:.3f}"
    )
    interval, actual = row["planned"][name], write(row["actual"][name])
    if "none" in interval:
        return f"no prediction: {actual}"
    said = f"{write(interval['expected'])} ({write(interval['low'])} to {write(interval['high'])}): {actual}"
    return said if row["inside"][name] else f"**{said}**"


def write_table(page: Path, table: str) -> None:
    """Put `table` between the marks of a page. Raises UserError where it has none."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARK)
    _, end, after = rest.partition("<!-- end -->")
    if not end:
        raise UserError(f"has no marks {MARK} and <!-- end -->", where=page, fix="put them where the table belongs")
    page.write_text(f"{before}{MARK}\n{table}\n{end}{after}", encoding="utf-8")


def _ratio(row: Mapping[str, Any], name: str) -> float:
    return row["actual"][name] / row["planned"][name]["expected"]


def _share(answers: Iterable[bool | None]) -> str:
    known = [answer for answer in answers if answer is not None]
    return f"{sum(known)} of {len(known)} ({sum(known) / len(known):.0%})" if known else "none"


def _setting(info: Mapping[str, Any], key: str) -> Any:
    found = {row["key"]: row["value"] for row in info["plan"]["decisions"]} | info["request"]["settings"]
    return found[key]


def _command(words: Sequence[str], threads: int) -> tuple[dict[str, Any], float]:
    """What a command of groundup printed as JSON, and its seconds. Raises UserError when it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "groundup", *words, "--json"],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise UserError(f"groundup {words[0]} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout), seconds


def _commit() -> str:
    """The commit of the code, with a + where the package was changed since."""
    words = ["git", "-C", str(Path(__file__).parent)]
    commit = subprocess.run([*words, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*words, "status", "--porcelain", ":/src"], capture_output=True, text=True).stdout.strip()
    return f"{commit}+" if changed else commit


if __name__ == "__main__":
    main()
