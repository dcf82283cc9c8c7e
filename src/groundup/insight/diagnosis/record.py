"""What the rules read of a run: the files of its directory, and what is counted once in its corpus.

Whatever is missing or damaged is simply not there: a rule that needs it says nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.config import load_config
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.insight.diagnosis.points import Points, is_number, points
from groundup.insight.diagnosis.texts import Census, Noise, Overlap, census, noise_of, overlap
from groundup.insight.diagnosis.weights import Movement, movement
from groundup.runs import Run, published, read_journal


@dataclass
class Record:
    """One run, as far as it has come."""

    rows: list[Mapping[str, Any]]
    """The entries of metrics.jsonl, by step, also those whose loss is not a number."""
    happened: list[Mapping[str, Any]] = field(default_factory=list)
    """Its other lines: spikes, updates that were skipped, rewinds."""
    events: list[Mapping[str, Any]] = field(default_factory=list)
    """The lines of events.jsonl."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """run.json."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The resolved configuration: dotted key -> value."""
    path: Path | None = None
    """The run directory."""
    corpus: Corpus | None = None
    vocabulary: int | None = None
    """V, the number of logits: the tokenizer's vocabulary, padded."""

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]], bigram: float | None = None) -> "Record":
        """Of lines of metrics.jsonl alone; `bigram` is the loss of a bigram model on the same validation text."""
        lines = list(lines)
        rows = [line for line in lines if "event" not in line and is_number(line.get("step"))]
        rows.sort(key=lambda row: row["step"])
        facts = {} if bigram is None else {"baselines": {"bigram": {"loss": bigram}}}
        happened = [line for line in lines if "event" in line and is_number(line.get("step"))]
        return cls(rows, happened, facts=facts)

    @classmethod
    def open(cls, path: Path) -> "Record":
        """Of the run directory `path`. Raises UserError where there is none."""
        run = Run.open(path)
        record = cls.of(read_journal(path / "metrics.jsonl"))
        changes = [row["step"] for row in run.info.get("changes", []) if row.get("key") == "corpus" and "step" in row]
        if changed := list(filter(is_number, changes)):
            # losses of other texts cannot be compared with those before
            record.rows = [row for row in record.rows if row["step"] > max(changed)]
        record.path, record.facts = path, run.info
        record.events = list(read_journal(path / "events.jsonl"))
        try:
            record.settings = run.config().values() if (path / "config.toml").is_file() else {}
        except UserError:
            record.settings = load_config(None).values()
        try:
            corpus, trained_on = Corpus(run.corpus), run.info.get("corpus")
            known = trained_on is None or trained_on["fingerprint"] == corpus.manifest["fingerprint"]
            record.corpus = corpus if known else None
        except (UserError, OSError):
            record.corpus = None
        record.vocabulary = _vocabulary(path)
        return record

    @cached_property
    def train(self) -> Points:
        """Training loss, nats per token, over steps."""
        return points(self.rows, "train_loss")

    @cached_property
    def validation(self) -> Points:
        """Validation loss, nats per token, over steps."""
        return points(self.rows, "val_loss")

    @cached_property
    def from_start(self) -> bool:
        """Whether the curve begins where training did: not where its first lines are lost, or its corpus is another."""
        return bool(self.train) and self.train[0][0] <= 0.1 * self.train[-1][0]

    @property
    def goes_on(self) -> bool:
        """Whether the run has steps to come: it trains, or was stopped."""
        return self.facts.get("status", "finished") != "finished"

    @cached_property
    def has_begun(self) -> bool:
        """Whether enough was done to say that a loss does not fall: all of it, or, while there are steps to come, its
        warmup twice, a fifth of the steps, and 50."""
        if not self.goes_on:
            return True
        warmup, total = self.number("schedule.warmup") or 0, self.fact("plan", "steps") or 0
        return bool(self.train) and self.train[-1][0] >= max(50, 0.2 * total, 2 * warmup)

    @cached_property
    def peak_rate(self) -> float | None:
        """The highest learning rate so far."""
        return max((rate for _, rate in points(self.rows, "learning_rate")), default=None)

    @cached_property
    def movement(self) -> Movement | None:
        """How far training moved the weights."""
        try:
            return movement(self.path) if self.path else None
        except OSError:
            return None

    def baseline(self, name: str, figure: str = "loss") -> float | None:
        """A figure of a reference model on the same validation text: "uniform", "unigram", "bigram", "5-gram", "gzip";
        `figure` is "loss" (nats per token) or "bits_per_byte"."""
        table = self.facts.get("baselines")
        row = table.get(name) if isinstance(table, Mapping) else None
        value = row.get(figure) if isinstance(row, Mapping) else None
        return value if is_number(value) else None

    def fact(self, section: str, name: str) -> float | None:
        """A number in a section of run.json, such as ("plan", "parameters")."""
        part = self.facts.get(section)
        value = part.get(name) if isinstance(part, Mapping) else None
        return value if is_number(value) else None

    def number(self, key: str) -> float | None:
        """A setting that is a number."""
        value = self.settings.get(key)
        return value if is_number(value) else None

    @cached_property
    def census(self) -> Census | None:
        """How often each piece of the vocabulary stands in the training text."""
        return self._counted(census)

    @cached_property
    def overlap(self) -> Overlap | None:
        """How much of the held-out text stands verbatim in the training text."""
        return self._counted(overlap)

    @cached_property
    def noise(self) -> Noise | None:
        """How much of the training prose is garbled."""
        return self._counted(noise_of)

    def _counted(self, count: Any) -> Any:
        try:
            return count(self.corpus) if self.corpus is not None else None
        except (UserError, OSError, ValueError, KeyError, TypeError):
            return None


def _vocabulary(path: Path) -> int | None:
    for checkpoint in published(path).values():
        try:
            size = json.loads((checkpoint / "config.json").read_text(encoding="utf-8")).get("vocab_size")
        except (OSError, ValueError, AttributeError):
            continue
        if type(size) is int and size > 1:
            return size
    return None
