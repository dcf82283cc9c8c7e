"""What rates that are too low or too high do to the weights: the measurement behind two rules of the diagnosis.

    python benchmarks/rates.py examples/library --out benchmarks/results/rates.json

Trains 200 steps of one layer, 64 wide, on bytes, at rates from a thousandth to a hundred times the usual one, with both
optimizers, and notes how far the blocks' matrices moved, how much they grew, and what was learned (nats per byte).
"""

import argparse
import json
import tempfile
from pathlib import Path

from groundup import runs, verbs
from groundup.insight.diagnosis.weights import movement

USUAL = {"adamw": 0.004, "muon": 0.02}
FACTORS = (0.001, 0.01, 0.1, 0.3, 1, 3, 10, 30, 100)
SETTINGS = {
    "data.tokenizer": "bytes",
    "model.layers": 1,
    "model.width": 64,
    "model.context": 64,
    "training.tokens_per_update": 512,
    "training.log_every": 10,
    "training.patience": 0,
    "evaluation.every": 100,
    "samples.max_new_tokens": 1,
    "device.precision": "float32",
    "device.compile": "off",
}


def measure(corpus: Path, name: str, factor: float) -> dict[str, float | str]:
    """One run: its final validation loss, and the movement and growth of its matrices."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {**SETTINGS, "optimizer.name": name, "optimizer.learning_rate": USUAL[name] * factor}
        run = verbs.train(corpus, out=Path(folder) / "run", steps=200, settings=settings)
        moved, last = movement(run.path), runs.read_entries(run.path)[-1]
        assert moved
        found = [finding["rule"] for finding in run.info["findings"]]
        return {
            "optimizer": name,
            "factor": factor,
            "rate": USUAL[name] * factor,
            "val_loss": round(last["val_loss"], 3),
            "moved": round(moved.moved, 4),
            "grown": round(moved.grown, 3),
            "findings": " ".join(found),
        }


def main() -> None:
    """Measure every rate on the documents at a path and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        verbs.prepare([asked.path], out=corpus, settings={"data.tokenizer": "bytes"})
        rows = [measure(corpus, name, factor) for name in USUAL for factor in FACTORS]
    asked.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
