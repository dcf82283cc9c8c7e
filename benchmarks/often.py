"""A short text, read often: which decay, dropout, size and number of epochs leave the best validation loss?

    python benchmarks/often.py run BOOK.txt              # 200 KB of it: half trains, half is held out; one thread
    python benchmarks/often.py table --write docs/experiments.md

Every finished run appends a line to benchmarks/results/often.jsonl, and what is there is not run again. The numbers of
steps are given, so the machine may be shared.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "often.jsonl"
MARK = "<!-- table: often -->"
BYTES = 200_000
# layers, width, context, dropout, weight decay, steps of 1,024 tokens, seed
RUNS = (
    (2, 64, 128, 0.2, 0.1, 1000, 0),
    (4, 128, 128, 0.0, 0.1, 500, 0),
    (4, 128, 128, 0.2, 0.1, 500, 0),
    (4, 128, 128, 0.2, 0.1, 1000, 0),
    (4, 128, 128, 0.2, 0.5, 1000, 0),
    (4, 128, 128, 0.0, 1.0, 1000, 0),
    (4, 128, 128, 0.1, 1.0, 1000, 0),
    (4, 128, 128, 0.2, 1.0, 1000, 0),
    (4, 128, 128, 0.2, 1.0, 1000, 1),
    (4, 128, 128, 0.3, 1.0, 1000, 0),
    (4, 128, 128, 0.4, 1.0, 1000, 0),
    (4, 128, 128, 0.2, 2.0, 1000, 0),
    (4, 128, 128, 0.2, 4.0, 1000, 0),
    (4, 128, 128, 0.2, 1.0, 2000, 0),
    (4, 128, 128, 0.2, 2.0, 2000, 0),
    (2, 64, 64, 0.1, 1.0, 2000, 0),
    (2, 128, 64, 0.2, 1.0, 1000, 0),
    (5, 192, 128, 0.2, 1.0, 700, 0),
    (5, 192, 128, 0.2, 2.0, 1000, 0),
    (5, 256, 128, 0.4, 0.1, 600, 0),
)
COLUMNS = ("layers", "width", "context", "dropout", "decay", "steps", "seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run what is missing").add_argument("text", type=Path)
    table = commands.add_parser("table", help="show the results")
    table.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page, between its marks")
    given = parser.parse_args()
    if given.command == "run":
        run(given.text.read_text(encoding="utf-8"))
    elif given.write:
        before, _, rest = given.write.read_text(encoding="utf-8").partition(MARK)
        _, end, after = rest.partition("<!-- end -->")
        given.write.write_text(f"{before}{MARK}\n{table_of(rows())}\n{end}{after}", encoding="utf-8")
    else:
        print(table_of(rows()))


def run(text: str) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    from groundup import verbs
    from groundup.runs import read_entries

    done = [[row[name] for name in COLUMNS] for row in rows()]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "text.txt")
        source.write_text(text[:BYTES], encoding="utf-8")
        for number, values in enumerate(RUNS):
            if list(values) in done:
                continue
            layers, width, context, dropout, decay, steps, seed = values
            shape = {"model.layers": layers, "model.width": width, "model.context": context, "model.dropout": dropout}
            settings = shape | {"optimizer.weight_decay": decay, "training.tokens_per_update": 1024}
            settings |= {"training.seed": seed, "data.validation": 0.5, "device.threads": 1, "device.compile": "on"}
            settings |= {"evaluation.every": steps // 10, "training.patience": 0, "samples.max_new_tokens": 1}
            made = verbs.train([source], out=Path(folder, str(number)), steps=steps, settings=settings)
            curve = [e["val_bits_per_byte"] for e in read_entries(made.path) if e["val_loss"] is not None]
            row: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
            row |= {"parameters": made.info["plan"]["parameters"], "epochs": made.info["plan"]["epochs"]}
            row |= {"bits_per_byte": made.info["final"]["validation"]["bits_per_byte"], "curve": curve}
            with RESULTS.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
            print(f"{values}: {row['bits_per_byte']:.4f} bits per byte", flush=True)


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []


def table_of(found: list[dict[str, Any]]) -> str:
    """Best first; the figure is of the checkpoint with the lowest validation loss, on all that is held out."""
    lines = ["| layers, width | dropout | weight decay | epochs | best bits per byte | after the last step |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for row in sorted(found, key=lambda row: row["bits_per_byte"]):
        size = f"{row['layers']}, {row['width']}" + (f" (seed {row['seed']})" if row["seed"] else "")
        end = f"{row['curve'][-1] - min(row['curve']):+.3f}"
        lines.append(
            f"| {size} | {row['dropout']} | {row['decay']} | {row['epochs']:.0f} | {row['bits_per_byte']:.3f} | {end} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
