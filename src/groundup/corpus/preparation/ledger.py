"""What became of everything: the ledger of the files, the rows of the documents, and what repeats what."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from groundup.corpus.preparation.decide import EXACT, KINDS, NEAR
from groundup.corpus.preparation.store import read_headers
from groundup.corpus.preparation.work import Work


@dataclass
class Totals:
    """Sums over the ledger, as the manifest gives them."""

    files: Counter[str] = field(default_factory=lambda: Counter({"read": 0, "skipped": 0, "failed": 0}))
    documents: Counter[str] = field(default_factory=Counter)
    """By what became of them: kept, duplicates, near_duplicates, filtered, blank; and all that were read."""
    cleaned: dict[str, Counter[str]] = field(default_factory=dict)
    """For each filter, the documents it changed and by how many characters."""
    failed_rules: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    """Bytes of kept text in each language."""
    tokens: Counter[str] = field(default_factory=Counter)
    """train_tokens, validation_tokens, train_bytes, validation_bytes."""


def write_ledger(work: Work, parts: int, out: Path) -> Totals:
    """Write ledger.jsonl, documents.jsonl and duplicates.jsonl into `out`."""
    totals = Totals()
    pairs = np.concatenate([work.load("pairs", 0)["pairs"], work.load("pairs", 1)["pairs"]])
    named: dict[int, str] = dict.fromkeys(np.unique(pairs[:, [1, 4]]).tolist(), "")
    gone = dict(pairs[pairs[:, 0] <= NEAR][:, [1, 0]].tolist())
    _, document, start, end, *_ = pairs[pairs[:, 0] > NEAR].T
    which, at = np.unique(document, return_inverse=True)
    shortened = dict(zip(which.tolist(), np.bincount(at, end - start).astype(int).tolist(), strict=True))
    base = 0
    file = _File()
    with (
        (out / "ledger.jsonl").open("w", encoding="utf-8") as ledger,
        (out / "documents.jsonl").open("w", encoding="utf-8") as documents,
    ):
        for part in range(parts):
            units = _by_document(work.folder("tokens") / f"{part:05d}.jsonl")
            number = 0
            for header, _ in read_headers(work.clean(part)):
                if record := header.get("record"):
                    totals.files[record["status"]] += 1
                    ledger.write(json.dumps(file.row(record), ensure_ascii=False) + "\n")
                    file = _File()
                    continue
                _count(totals, header)
                if reason := header["dropped"]:
                    totals.documents[reason] += 1
                    file.add(header, reason, [], 0)
                    continue
                document = base + number
                if document in named:
                    named[document] = header["source"]
                rows = units.get(number, [])
                became = {EXACT: "duplicates", NEAR: "near_duplicates"}.get(gone.get(document, -1), "kept")
                if became == "kept" and not rows:
                    became = "repeated"
                totals.documents[became] += 1
                file.add(header, became, rows, shortened.get(document, 0))
                for row in rows:
                    documents.write(json.dumps(row, ensure_ascii=False) + "\n")
                    totals.tokens[f"{row['split']}_tokens"] += row["tokens"]
                    totals.tokens[f"{row['split']}_bytes"] += row["bytes"]
                    totals.languages[row["language"] or "unknown"] += row["bytes"]
                number += 1
            base += number
    with (out / "duplicates.jsonl").open("w", encoding="utf-8") as lines:
        for pair in pairs:
            kind, removed, start, end, kept, kept_start, kept_end = pair.tolist()
            row: dict[str, Any] = {"kind": KINDS[kind], "removed": named[removed], "kept": named[kept]}
            if kind > NEAR:
                row |= {"removed_at": [start, end], "kept_at": [kept_start, kept_end]}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return totals


class _File:
    """The sums of one file's documents, until its row comes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.quality: list[tuple[float, int]] = []
        self.rules: Counter[str] = Counter()

    def add(self, header: Mapping[str, Any], became: str, units: list[dict[str, Any]], shortened: int) -> None:
        self.counts[became] += 1
        self.counts["removed_characters"] += shortened
        self.counts["tokens"] += sum(unit["tokens"] for unit in units)
        self.counts["cleaned_characters"] += sum(header.get("changed", {}).values())
        self.languages[header["language"]] += header["bytes"]
        self.quality.append((header["quality"], header["bytes"]))
        self.rules.update(header["failed"])

    def row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        row = dict(record)
        if not self.quality:
            return row
        notes = [row["reason"]]
        again = self.counts["duplicates"]
        if again:
            notes.append(f"{again} of {row['documents']} documents repeat earlier ones and were left out")
        for became, why in (
            ("near_duplicates", "are nearly the same as earlier ones"),
            ("repeated", "hold nothing but paragraphs that others have"),
            ("filtered", "break the rules of data.filter"),
        ):
            if count := self.counts[became]:
                notes.append(f"{count} of {row['documents']} documents {why} and were left out")
        row["reason"] = "; ".join(filter(None, notes))
        weight = sum(size for _, size in self.quality)
        return row | {
            "tokens": self.counts["tokens"],
            "language": self.languages.most_common(1)[0][0],
            "quality": round(sum(value * size for value, size in self.quality) / max(weight, 1), 3),
            "failed_rules": dict(self.rules.most_common(5)),
            "duplicates": again,
            "near_duplicates": self.counts["near_duplicates"],
            "filtered": self.counts["filtered"],
            "cleaned_characters": self.counts["cleaned_characters"],
            "repeated_characters": self.counts["removed_characters"],
        }


def _count(totals: Totals, header: Mapping[str, Any]) -> None:
    totals.documents["read"] += 1
    for name, characters in header.get("changed", {}).items():
        count = totals.cleaned.setdefault(name, Counter())
        count["documents"] += 1
        count["characters"] += characters
    totals.failed_rules.update(header["failed"])


def _by_document(path: Path) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            found.setdefault(row.pop("document"), []).append(row)
    return found
