"""A short text, read often: which decay, dropout, size and number of epochs leave the best validation loss?

    python benchmarks/often.py run BOOK.txt              # 200 KB of it: half trains, half is held out; one thread
    python benchmarks/often.py table --write docs/experiments.md

Every finished run appends a line to benchmarks/results/often.jsonl, and what is there is not run again. The numbers of
steps are given, so the machine may be shared.
"""

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "often.jsonl"
MARK = "<!-- table: often -->"
BYTES = 200_000
COPIES = 16  # of the text, each cut in another way, where merges are dropped
# layers, width, context, dropout, weight decay, steps of 1,024 tokens, seed, share of merges dropped
RUNS = (
    (2, 64, 128, 0.2, 0.1, 1000, 0, 0.0),
    (4, 128, 128, 0.0, 0.1, 500, 0, 0.0),
    (4, 128, 128, 0.2, 0.1, 500, 0, 0.0),
    (4, 128, 128, 0.2, 0.1, 1000, 0, 0.0),
    (4, 128, 128, 0.2, 0.5, 1000, 0, 0.0),
    (4, 128, 128, 0.0, 1.0, 1000, 0, 0.0),
    (4, 128, 128, 0.1, 1.0, 1000, 0, 0.0),
    (4, 128, 128, 0.2, 1.0, 1000, 0, 0.0),
    (4, 128, 128, 0.2, 1.0, 1000, 1, 0.0),
    (4, 128, 128, 0.3, 1.0, 1000, 0, 0.0),
    (4, 128, 128, 0.4, 1.0, 1000, 0, 0.0),
    (4, 128, 128, 0.2, 2.0, 1000, 0, 0.0),
    (4, 128, 128, 0.2, 4.0, 1000, 0, 0.0),
    (4, 128, 128, 0.2, 1.0, 2000, 0, 0.0),
    (4, 128, 128, 0.2, 2.0, 2000, 0, 0.0),
    (2, 64, 64, 0.1, 1.0, 2000, 0, 0.0),
    (2, 128, 64, 0.2, 1.0, 1000, 0, 0.0),
    (5, 192, 128, 0.2, 1.0, 700, 0, 0.0),
    (5, 192, 128, 0.2, 2.0, 1000, 0, 0.0),
    (5, 256, 128, 0.4, 0.1, 600, 0, 0.0),
    (4, 128, 128, 0.2, 1.0, 1000, 0, 0.1),
    (4, 128, 128, 0.2, 1.0, 2000, 0, 0.1),
    (4, 128, 128, 0.1, 1.0, 1000, 0, 0.1),
)
COLUMNS = ("layers", "width", "context", "dropout", "decay", "steps", "seed", "bpe_dropout")


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

    done = [[row.get(name, 0.0) for name in COLUMNS] for row in rows()]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "text.txt")
        source.write_text(text[:BYTES], encoding="utf-8")
        for number, values in enumerate(RUNS):
            if list(values) in done:
                continue
            layers, width, context, dropout, decay, steps, seed, dropped = values
            shape = {"model.layers": layers, "model.width": width, "model.context": context, "model.dropout": dropout}
            settings = shape | {"optimizer.weight_decay": decay, "training.tokens_per_update": 1024}
            settings |= {"training.seed": seed, "device.threads": 1, "device.compile": "on"}
            settings |= {"evaluation.every": steps // 10, "training.patience": 0, "samples.max_new_tokens": 1}
            corpus = verbs.prepare([source], out=Path(folder, "corpus"), settings={"data.validation": 0.5})
            with merges_dropped(corpus, dropped, Path(folder)):
                made = verbs.train([corpus.path], out=Path(folder, str(number)), steps=steps, settings=settings)
            curve = [e["val_bits_per_byte"] for e in read_entries(made.path) if e["val_loss"] is not None]
            row: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
            row |= {"parameters": made.info["plan"]["parameters"], "epochs": made.info["plan"]["epochs"]}
            row |= {"bits_per_byte": made.info["final"]["validation"]["bits_per_byte"], "curve": curve}
            with RESULTS.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
            print(f"{values}: {row['bits_per_byte']:.4f} bits per byte", flush=True)


@contextlib.contextmanager
def merges_dropped(corpus: Any, share: float, folder: Path) -> Iterator[None]:
    """Train on COPIES of the text in which each merge of two tokens is left out with the probability `share`, another
    one each time (Provilkov et al. 2020, "BPE-Dropout"); nothing changes where `share` is 0."""
    import numpy as np
    from tokenizers import Tokenizer

    from groundup.corpus.batches import Batches
    from groundup.corpus.shards import ShardWriter, TokenStream
    from groundup.training import build

    if not share:
        yield
        return
    tokenizer = corpus.tokenizer
    cutter = Tokenizer.from_str(tokenizer.to_json())
    cutter.model.dropout = share
    writer = ShardWriter(folder, "dropped", tokenizer.dtype, tokenizer.eos_id)
    for number in [*range(len(corpus.train.document_ends))] * COPIES:
        text = tokenizer.decode(corpus.train.document(number).tolist())
        writer.add(np.array(cutter.encode(text, add_special_tokens=False).ids))
    writer.close()
    stream = TokenStream([folder / "dropped-00000.ds"], tokenizer.dtype, tokenizer.vocab_size)
    build.Batches = lambda _, **shape: Batches(stream, **shape)
    try:
        yield
    finally:
        build.Batches = Batches


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []


def table_of(found: list[dict[str, Any]]) -> str:
    """Best first; the figure is of the checkpoint with the lowest validation loss, on all that is held out."""
    lines = ["| layers, width | dropout | of merges | weight decay | epochs | best bits per byte | after the last |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for row in sorted(found, key=lambda row: row["bits_per_byte"]):
        size = f"{row['layers']}, {row['width']}" + (f" (seed {row['seed']})" if row["seed"] else "")
        end = f"{row['curve'][-1] - min(row['curve']):+.3f}"
        lines.append(
            f"| {size} | {row['dropout']} | {row.get('bpe_dropout') or ''} | {row['decay']} | {row['epochs']:.0f} |"
            f" {row['bits_per_byte']:.3f} | {end} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
