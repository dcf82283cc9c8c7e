"""The figures of a run on disk: journals that only grow, and training_metrics.json made from them."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.runs import Journal, read_entries, write_atomic

REWRITE_SECONDS = 1.0  # training_metrics.json is rewritten whole: not more often than this between evaluations


class Metrics:
    """metrics.jsonl, probes.jsonl, samples.jsonl (deterministic), events.jsonl (not), and training_metrics.json."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._figures = {name: Journal(run / f"{name}.jsonl") for name in ("metrics", "probes", "samples")}
        self._events = Journal(run / "events.jsonl")
        self._entries: list[dict[str, Any]] = []
        self._written = 0.0

    def resume(self, step: int) -> list[str]:
        """Go back to what stood when the checkpoint of `step` was published: all that follows is made again.

        Returns the names of the files of which damaged lines were left out."""
        damaged = [journal.path.name for journal in self._figures.values() if journal.cut(step)]
        self._entries = read_entries(self._run)
        return damaged

    @property
    def entries(self) -> int:
        """How many entries metrics.jsonl has."""
        return len(self._entries)

    def entry(self, entry: Mapping[str, Any]) -> None:
        """Add an entry to metrics.jsonl and training_metrics.json."""
        self._figures["metrics"].append(entry)
        self._entries.append(dict(entry))
        if entry["val_loss"] is not None or time.monotonic() - self._written > REWRITE_SECONDS:
            self.write_training_metrics(durable=False)

    def happened(self, event: Mapping[str, Any]) -> None:
        """Add something that happened at a step, such as a bad batch, to metrics.jsonl."""
        self._figures["metrics"].append(event)

    def probes(self, step: int, probes: list[dict[str, Any]]) -> None:
        """Record the predictions on the probe set."""
        self._figures["probes"].append({"step": step, "probes": probes})

    def sample(self, step: int, prompt: str, text: str) -> None:
        """Record a text drawn in training."""
        self._figures["samples"].append({"step": step, "prompt": prompt, "text": text})

    def event(self, name: str, **facts: Any) -> None:
        """Record what depends on the clock or the process: starts, stops, saves, warnings."""
        self._events.append({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, **facts})

    def sync(self) -> None:
        """Put every row on the disk; a checkpoint is only published after the figures before it."""
        for journal in (*self._figures.values(), self._events):
            journal.sync()

    def write_training_metrics(self, *, durable: bool = True) -> None:
        """Rewrite training_metrics.json: exactly five parallel arrays, whole at every moment; with `durable`, on the
        disk before this returns."""
        write_atomic(self._run / "training_metrics.json", training_metrics(self._entries), durable=durable)
        self._written = time.monotonic()

    def close(self) -> None:
        """Close every file."""
        for journal in (*self._figures.values(), self._events):
            journal.close()


def training_metrics(entries: list[dict[str, Any]]) -> str:
    """The content of training_metrics.json for the entries of metrics.jsonl."""
    columns = {
        "train_loss": "train_loss",
        "val_loss": "val_loss",
        "learning_rate": "learning_rate",
        "epochs": "epoch",
        "steps": "step",
    }
    return json.dumps({name: [entry[key] for entry in entries] for name, key in columns.items()}) + "\n"
