"""The files of a run directory as the report reads them: whatever is missing or damaged is simply not there.

A run may be unfinished, stopped in the middle of a line, or copied in part; a report of it is still wanted.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from groundup.insight import Record, Verdict, by_severity, examine, judge
from groundup.reporting.wording import finite


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of every file: totals over the ledger, and the first of the files that were not read."""

    by_type: dict[str, Counter[str]]
    """Media type -> status (read, skipped, failed) -> number of files."""
    bytes: int
    documents: int
    characters: int
    unread: list[dict[str, Any]]
    """Records of failed and skipped files, failed ones first; at most `MOST_UNREAD`."""
    unread_in_all: int


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The readable content of a run directory (docs: "A run is a directory")."""

    root: Path
    run: dict[str, Any]
    entries: list[dict[str, Any]]
    samples: list[dict[str, Any]] = field(default_factory=list)
    probes: list[dict[str, Any]] = field(default_factory=list)
    ledger: Ledger | None = None

    def section(self, name: str) -> dict[str, Any]:
        """A section of run.json, `{}` where it is missing or not an object."""
        value = self.run.get(name)
        return value if isinstance(value, dict) else {}

    def metrics(self) -> dict[str, list[Any]]:
        """The five parallel arrays of training_metrics.json, from the entries."""
        names = {"train_loss": "train_loss", "val_loss": "val_loss", "learning_rate": "learning_rate"}
        names |= {"epochs": "epoch", "steps": "step"}
        return {array: [entry.get(key) for entry in self.entries] for array, key in names.items()}

    def losses(self, key: str) -> dict[str, Any]:
        """Initial, final and best value of `train_loss` or `val_loss` , with the best's step."""
        points = [(e.get("step"), e[key]) for e in self.entries if finite(e.get(key))]
        if not points:
            return {}
        step, best = min(points, key=lambda point: point[1])
        return {"initial": points[0][1], "final": points[-1][1], "best": best, "best_step": step}

    def validation_sample(self) -> tuple[int, int] | None:
        """(held-out tokens that were scored while training, about; all of them), where it was not all of them."""
        try:
            settings = tomllib.loads((self.root / "config.toml").read_text(encoding="utf-8", errors="replace"))
            scored = settings["evaluation"]["tokens"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        held_out = self.section("corpus").get("validation_tokens")
        if not isinstance(scored, int) or not isinstance(held_out, int):
            return None
        return (scored, held_out) if 0 < scored < held_out else None

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Name -> loss (nats per token) and bits_per_byte, weakest first, the model itself last."""
        rows = [(name, row) for name, row in self.section("baselines").items() if isinstance(row, dict)]
        rows.sort(key=lambda item: -item[1]["bits_per_byte"] if finite(item[1].get("bits_per_byte")) else 0.0)
        table = dict(rows)
        final = self.section("final").get("validation")
        if isinstance(final, dict):
            table["this model"] = final
        elif scored := [e for e in self.entries if finite(e.get("val_bits_per_byte"))]:
            last = scored[-1]
            table["this model"] = {"loss": last.get("val_loss"), "bits_per_byte": last["val_bits_per_byte"]}
        return table

    def chart_baselines(self) -> dict[str, float]:
        """The baselines worth a line in the training curve, in nats per token."""
        table = self.section("baselines")
        rows = {name: table.get(name) for name in ("uniform", "bigram", "5-gram")}
        return {name: row["loss"] for name, row in rows.items() if isinstance(row, dict) and finite(row.get("loss"))}

    def verdict(self) -> Verdict | None:
        """The verdict in run.json, or a fresh one from the entries; None without entries."""
        stored = self.section("verdict")
        if stored.get("reading"):
            return Verdict(*(str(stored.get(key) or "") for key in ("reading", "evidence", "advice")))
        record = self._record()
        return judge(record, examine(record)) if record else None

    def findings(self) -> list[dict[str, Any]]:
        """The findings of the diagnosis in run.json, or fresh ones from the entries: `rule`, `severity`, `evidence`,
        `remedy`; the severe ones first."""
        stored = self.run.get("findings")
        if isinstance(stored, list):
            return [finding for finding in stored if isinstance(finding, dict) and finding.get("rule")]
        record = self._record()
        return [asdict(finding) for finding in by_severity(examine(record))] if record else []

    def _record(self) -> Record | None:
        if not self.entries:
            return None
        record = Record.of(self.entries)
        record.facts = self.run
        return record

    def before_after(self) -> list[tuple[str, list[tuple[str, float]], list[tuple[str, float]]]]:
        """(prompt, its top tokens in the first probe, and in the last) for the prompts of the first."""
        if len(self.probes) < 2:
            return []
        first, last = (dict(_tops(line)) for line in (self.probes[0], self.probes[-1]))
        return [(prompt, tops, last[prompt]) for prompt, tops in first.items() if prompt in last]


MOST_UNREAD = 200


def read_run(root: Path) -> RunFiles:
    """Read what can be read of the run directory `root`."""
    return RunFiles(
        root=root,
        run=_object(root / "run.json"),
        entries=[e for e in _lines(root / "metrics.jsonl") if "event" not in e and finite(e.get("step"))],
        samples=list(_lines(root / "samples.jsonl")),
        probes=list(_lines(root / "probes.jsonl")),
        ledger=_ledger(root / "corpus" / "ledger.jsonl"),
    )


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(value, dict):
                    yield value
    except OSError:
        return


def _tops(line: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    probes = line.get("probes")
    for probe in probes if isinstance(probes, list) else []:
        if isinstance(probe, dict) and isinstance(probe.get("top"), list):
            tops = [t for t in probe["top"] if isinstance(t, dict) and finite(t.get("probability"))]
            yield str(probe.get("prompt")), [(str(t.get("token")), float(t["probability"])) for t in tops]


def _ledger(file: Path) -> Ledger | None:
    by_type: dict[str, Counter[str]] = {}
    totals: Counter[str] = Counter()
    failed: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for record in _lines(file):
        status = str(record.get("status"))
        by_type.setdefault(str(record.get("media_type") or "unknown"), Counter())[status] += 1
        for key in ("bytes", "documents", "characters"):
            totals[key] += record[key] if finite(record.get(key)) else 0
        if status != "read":
            totals["unread"] += 1
            kept = failed if status == "failed" else skipped
            if len(kept) < MOST_UNREAD:
                kept.append(record)
    if not by_type:
        return None
    by_type = dict(sorted(by_type.items(), key=lambda item: (-item[1].total(), item[0])))
    unread = (failed + skipped)[:MOST_UNREAD]
    return Ledger(by_type, totals["bytes"], totals["documents"], totals["characters"], unread, totals["unread"])
