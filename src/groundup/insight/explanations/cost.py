"""Where the parameters, operations, bytes and seconds of a run went."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groundup.insight.subject import Subject
from groundup.model import ModelShape, load_shape
from groundup.runs import read_journal


def explain_cost(subject: Subject | None) -> dict[str, Any]:
    """What the run took, each list of parts with the sum that it must have.

    `parts` of the model have `parameters` and `operations`, floating-point operations to train on one token at the
    run's context: 6 for each weight of a matrix (2 forward, 4 backward), 12 L H D T for attention scores and values
    (ModelShape.flops_per_token, which names the source); `parameters` and `operations` are the sums. `memory` are bytes
    while training, `disk` those of the run directory now, by kind. `seconds` are phases, of which training is split
    into updates, evaluations and waiting for saves; `total_seconds` is the whole command's time, None for a run that is
    not finished. `work` has tokens, operations and the rate of operations while updating.
    """
    assert subject
    shape = load_shape(subject.checkpoint)
    parts = _parts(shape)
    optimizer = subject.config.optimizer.name
    actual = subject.run.info.get("actual", {})
    tokens, seconds = subject.metrics[-1]["tokens"], _seconds(subject)
    updating = next((row["seconds"] for row in seconds if row["part"] == "updates"), None)
    operations = shape.flops_per_token() * tokens
    weights = 4 * shape.parameters()
    matrices = 4 * shape.block_matrix_parameters() if optimizer == "muon" else 0
    return {
        "checkpoint": str(subject.checkpoint),
        "shape": {name: getattr(shape, name) for name in shape.__slots__},
        "optimizer": optimizer,
        "parts": parts,
        "parameters": shape.parameters(),
        "operations": shape.flops_per_token(),
        "counted": sum(parameter.numel() for parameter in subject.model.parameters()),
        "memory": [
            {"part": "weights", "bytes": weights},
            {"part": "gradients", "bytes": weights},
            {"part": "momentum (Muon)", "bytes": matrices},
            {"part": "two moments (AdamW)", "bytes": 2 * (weights - matrices)},
        ],
        "peak_memory": actual.get("memory_bytes"),
        "cache_bytes_per_token": shape.kv_cache_bytes(tokens=1),
        "disk": _disk(subject),
        "seconds": seconds,
        "total_seconds": _number(actual.get("minutes"), 60),
        "work": {
            "tokens": tokens,
            "updates": subject.metrics[-1]["step"],
            "operations": operations,
            "operations_per_second": operations / updating if updating else None,
            "tokens_per_second": tokens / updating if updating else None,
        },
    }


def _parts(shape: ModelShape) -> list[dict[str, Any]]:
    table = shape.vocab_size * shape.width
    feed_forward = shape.layers * 3 * shape.width * shape.ffn_width
    attention = shape.block_matrix_parameters() - feed_forward
    norms = shape.parameters() - shape.block_matrix_parameters() - table * (1 if shape.tied else 2)
    rows = [
        ("embedding", table, 0),
        ("attention: matrices", attention, 6 * attention),
        ("attention: scores", 0, 12 * shape.layers * shape.heads * shape.head_dim * shape.context),
        ("feed-forward", feed_forward, 6 * feed_forward),
        ("norms", norms, 0),
        ("output head", 0 if shape.tied else table, 6 * table),
    ]
    return [{"part": name, "parameters": count, "operations": operations} for name, count, operations in rows]


def _disk(subject: Subject) -> list[dict[str, Any]]:
    """Bytes of the run directory by kind; what `best` links to counts once."""
    kinds = dict.fromkeys(("weights", "optimizer states", "corpus", "figures, report and the rest"), 0)
    for path, size in _files(subject.run.path):
        if path.name == "model.safetensors":
            kinds["weights"] += size
        elif path.name == "optimizer.safetensors":
            kinds["optimizer states"] += size
        elif path.parts[0] == "corpus":
            kinds["corpus"] += size
        else:
            kinds["figures, report and the rest"] += size
    return [{"part": kind, "bytes": size} for kind, size in kinds.items()]


def _files(root: Path) -> Iterable[tuple[Path, int]]:
    for path in sorted(root.rglob("*")):  # follows no links
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(root), path.stat().st_size


def _seconds(subject: Subject) -> list[dict[str, Any]]:
    """The run's phases in order; of one from before phases were recorded, reading and training."""
    info = subject.run.info
    phases: dict[str, float] = info.get("phase_seconds") or {
        name: info[key]
        for name, key in (("reading", "reading_seconds"), ("training", "training_seconds"))
        if key in info
    }
    events = list(read_journal(subject.run.path / "events.jsonl"))
    inside = {}
    for part, event, key in (
        ("evaluations and samples", "evaluated", "seconds"),
        ("waiting for saves", "saved", "stall_seconds"),
    ):
        if spent := [row[key] for row in events if row.get("event") == event and _number(row.get(key)) is not None]:
            inside[part] = sum(spent)
    rows = []
    for name, seconds in phases.items():
        # what a killed process spent stands among the events, and not in the phases
        if name == "training" and inside and sum(inside.values()) <= seconds:
            split = {"updates": seconds - sum(inside.values()), **inside}
            rows += [{"phase": name, "part": part, "seconds": spent} for part, spent in split.items()]
        else:
            rows.append({"phase": name, "part": "updates" if name == "training" else name, "seconds": seconds})
    return rows


def _number(value: Any, factor: float = 1) -> float | None:
    is_number = type(value) in (int, float) and math.isfinite(value)
    return value * factor if is_number else None
