"""A run directory as a real run of 6,000 steps leaves it, fabricated from the contract of its files."""

import json
import math
import random
from pathlib import Path

import pytest

EVIL = '<script>alert("x")</script> & <b>bold</b> \x1b[31mred\x1b[0m'
STEPS, EVERY = 6000, 100
LN2 = math.log(2)


def write_lines(file: Path, rows) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def scores(loss: float, bytes_per_token: float = 3.9) -> dict:
    return {
        "loss": loss,
        "perplexity": math.exp(loss),
        "accuracy": min(0.95, 0.62 * math.exp(-0.17 * loss) * 1.4),
        "bits_per_byte": loss / bytes_per_token / LN2,
    }


def fabricate_entries(seed: int = 0) -> list[dict]:
    """61 entries: warmup, stable, linear decay; a power law with noise; validation every 500 steps."""
    draw = random.Random(seed)
    entries = []
    for step in range(0, STEPS + 1, EVERY):
        t = step / STEPS
        rate = 0.02 * min(1.0, max(step, 1) / 200) * (1 if t < 0.4 else 0.05 + 0.95 * (1 - t) / 0.6)
        loss = 2.3 + (8.32 - 2.3) * (1 + 180 * t) ** -0.52 - 0.5 * max(0.0, t - 0.4) ** 1.5
        train = loss + draw.gauss(0, 0.035) * (step > 0)
        val = loss + 0.02 + 0.17 * t + draw.gauss(0, 0.004) if step % 500 == 0 else None
        entry: dict = {"step": step, "epoch": int(t * 2.9999)}
        entry |= {f"train_{key}": value for key, value in scores(train).items()}
        entry |= {f"val_{key}": value if val else None for key, value in scores(val or 1.0).items()}
        entry |= {"learning_rate": rate, "grad_norm": 0.4 + draw.random() * 0.3, "tokens": step * 8192}
        entries.append(entry)
    return entries


def fabricate(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    entries = fabricate_entries()
    bad = {"step": 4123, "event": "bad_step", "sequences": [11, 207]}
    write_lines(root / "metrics.jsonl", [*entries[:42], bad, *entries[42:]])
    arrays = {"train_loss": "train_loss", "val_loss": "val_loss", "learning_rate": "learning_rate"}
    arrays |= {"epochs": "epoch", "steps": "step"}
    (root / "training_metrics.json").write_text(json.dumps({a: [e[k] for e in entries] for a, k in arrays.items()}))

    texts = [
        (0, "The river", " gq�� 7the;; wOf\n  anin 3 pp,,e t1"),
        (100, "The river", " the and of the in a the, to of the. The the was"),
        (600, "The river", " was the first of the town, and the road to the house was made in the water."),
        (
            2500,
            "The river",
            " rose in March that year, and the mill below the bridge stood idle for three weeks.",
        ),
        (
            6000,
            "The river",
            " froze early that winter. By December the ice would bear a cart, and the ferryman, who\n"
            "had nothing to do, sat in the inn and told of the year the bridge went down.",
        ),
        (6000, "def area(r):", "\n    return 3.14159 * r * r\n"),
        (6000, "Q: What is water made of?\nA:", f" Hydrogen and oxygen. {EVIL}"),
    ]
    write_lines(root / "samples.jsonl", [{"step": s, "prompt": p, "text": t} for s, p, t in texts])
    noise = [("ę", 0.0004), (" qu", 0.0004), ("\n", 0.0003), ("zz", 0.0003), ("�", 0.0003)]
    learned = {
        "The capital of France is": [
            (" Paris", 0.61),
            (" the", 0.11),
            (" a", 0.06),
            (" Lyon", 0.03),
            (" not", 0.02),
        ],
        "for i in range(": [("len", 0.44), ("1", 0.22), ("n", 0.09), ("0", 0.08), ("10", 0.05)],
        "Once upon a": [(" time", 0.93), (" day", 0.02), (" night", 0.01), ("\n", 0.01), (" hill", 0.004)],
    }
    pairs = [(0, dict.fromkeys(learned, noise)), (3000, learned), (6000, learned)]
    tops = [
        (
            step,
            [{"prompt": p, "top": [{"token": t, "probability": x} for t, x in top]} for p, top in table.items()],
        )
        for step, table in pairs
    ]
    write_lines(root / "probes.jsonl", [{"step": step, "probes": probes} for step, probes in tops])
    write_lines(root / "events.jsonl", [{"time": "2026-11-21T09:00:00Z", "event": "start"}])
    write_lines(root / "corpus" / "ledger.jsonl", fabricate_ledger())
    write_run(root, entries)
    for name in ("config.toml", "progress.log"):
        (root / name).write_text("")
    for name in ("step-00000000", "step-00006000"):
        (root / name).mkdir()
    return root


def fabricate_ledger() -> list[dict]:
    kinds = [
        ("application/pdf", "pdf", 84),
        ("text/markdown", "md", 41),
        ("text/x-python", "py", 63),
        ("image/png", "png", 12),
    ]
    rows = [
        {
            "path": f"library/{kind}/{i:03}.{kind}",
            "media_type": media,
            "bytes": 40_000 + 137 * i,
            "pages": 3,
            "documents": 1,
            "characters": 9000 + i,
            "status": "read",
            "reason": "",
            "reader": kind,
            "seconds": 0.1,
        }
        for media, kind, count in kinds
        for i in range(count)
    ]
    failed = {
        "media_type": "application/pdf",
        "bytes": 5210,
        "pages": 0,
        "documents": 0,
        "characters": 0,
        "reader": "pdf",
    }
    rows.append(
        {
            "path": "library/locked.pdf",
            **failed,
            "status": "failed",
            "reason": "needs a password",
            "seconds": 0.2,
        }
    )
    rows.append(
        {
            "path": "library/<img src=x>.pdf",
            **failed,
            "status": "failed",
            "reason": "not a PDF: <html>",
            "seconds": 0,
        }
    )
    skipped = {
        "media_type": "video/mp4",
        "bytes": 8_100_000,
        "status": "skipped",
        "reason": "no reader for video/mp4",
    }
    rows.append({"path": "library/talk.mp4", **skipped})
    return rows


def write_run(root: Path, entries: list[dict]) -> None:
    evaluated = [e for e in entries if e["val_loss"] is not None]
    best = min(evaluated, key=lambda e: e["val_loss"])
    baselines = {"uniform": 8.3178, "unigram": 6.41, "bigram": 4.72, "5-gram": 3.86}
    run = {
        "version": 1,
        "created": "2026-11-21T09:00:00Z",
        "command": "groundup train library --minutes 30 --size small",
        "status": "finished",
        "stop_reason": "all 6,000 steps are done",
        "versions": {"groundup": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "tokenizers": "0.23.1"},
        "machine": {
            "processor": "Intel Xeon @ 2.1 GHz",
            "cores": 2,
            "memory_bytes": 8_300_000_000,
            "threads": 2,
            "device": "cpu",
            "precision": "bfloat16",
            "compile": True,
        },
        "request": {"paths": ["library"], "minutes": 30},
        "corpus": {
            "fingerprint": "9f2c81d07a55e1b3",
            "files": 203,
            "documents": 197,
            "duplicates": 3,
            "train_tokens": 16_390_144,
            "validation_tokens": 1_804_212,
            "train_bytes": 63_900_000,
            "validation_bytes": 7_030_000,
            "vocab_size": 4096,
            "bytes_per_token": 3.9,
            "notes": ["3 duplicate documents were left out"],
        },
        "plan": {
            "parameters": 5_243_136,
            "steps": 6000,
            "tokens": 49_152_000,
            "epochs": 3.0,
            "minutes": 26.5,
            "memory_bytes": 1_450_000_000,
            "decisions": [
                {"key": "model.layers", "value": 6, "reason": "--size small"},
                {"key": "model.width", "value": 256, "reason": "--size small"},
                {
                    "key": "data.vocab_size",
                    "value": 4096,
                    "reason": "64 MB of text: 4,096 entries are each seen often enough",
                },
                {"key": "optimizer.learning_rate", "value": 0.02, "reason": "muon at width 256"},
                {"key": "training.steps", "value": 6000, "reason": "26.5 of 30 minutes at 31,000 tokens/s"},
            ],
        },
        "actual": {
            "steps": 6000,
            "tokens": 49_152_000,
            "epochs": 3.0,
            "minutes": 28.1,
            "memory_bytes": 1_391_000_000,
            "tokens_per_second": 30_412.0,
            "reading_seconds": 41.7,
            "training_seconds": 1616.0,
        },
        "baselines": {n: {"loss": v, "bits_per_byte": v / 3.9 / LN2} for n, v in baselines.items()}
        | {"gzip": {"bits_per_byte": 2.31}},
        "initial": {"train_loss": entries[0]["train_loss"], "val_loss": entries[0]["val_loss"]},
        "final": {
            "train_loss": entries[-1]["train_loss"],
            "validation": scores(best["val_loss"]) | {"tokens": 1_804_212, "bytes": 7_030_000},
        },
        "best": {"step": best["step"], "val_loss": best["val_loss"], "checkpoint": f"step-{best['step']:08}"},
        "verdict": {
            "reading": "healthy",
            "evidence": "training loss fell from 8.32 to 2.55",
            "advice": "nothing to repair",
        },
    }
    (root / "run.json").write_text(json.dumps(run, indent=1), encoding="utf-8")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished run; tests only read it."""
    return fabricate(tmp_path_factory.mktemp("run") / "checkpoints")


@pytest.fixture
def entries() -> list[dict]:
    """The entries of metrics.jsonl of that run."""
    return fabricate_entries()


@pytest.fixture
def own_run(tmp_path) -> Path:
    """A finished run that a test may damage."""
    return fabricate(tmp_path / "checkpoints")
