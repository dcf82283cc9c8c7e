"""A prepared corpus as text for a terminal: what became of the files, which stand out, what repeats what."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Any

from rich.table import Table

from groundup.corpus import Corpus, Origin, Pair
from groundup.reporting.tables import render
from groundup.reporting.wording import clean, number, percent, shorten, size, whole

_SHOWN = 5  # offenders of each kind
_NAME = 60  # characters of a path

Row = Mapping[str, Any]


def describe_corpus(manifest: Mapping[str, Any]) -> str:
    """What `groundup prepare` made, in a few lines."""
    files = manifest["files"]
    removed = manifest["repeated_paragraphs"]["paragraphs"] + manifest["paragraphs_across_the_split"]["paragraphs"]
    return "\n".join(
        [
            f"{whole(files['read'])} files read, {whole(files['skipped'])} skipped, {whole(files['failed'])} failed",
            f"{whole(manifest['documents'])} documents; left out: {whole(manifest['duplicates'])} duplicates,"
            f" {whole(manifest['near_duplicates'])} near copies, {whole(manifest['filtered'])} by quality,"
            f" {whole(removed)} repeated paragraphs",
            f"{whole(manifest['train_tokens'])} training tokens, {whole(manifest['validation_tokens'])} held out",
            f"vocabulary: {whole(manifest['vocab_size'])}",
        ]
    )


def describe_ledger(corpus: Corpus) -> str:
    """Totals by type and language, what was cleaned and removed, and the files that stand out."""
    manifest = corpus.manifest
    types: defaultdict[str, Counter[str]] = defaultdict(Counter)
    worst = _Worst()
    for row in corpus.ledger():
        # source code by its language; other types by what read them, which is shorter to say
        kind = row["media_type"] if row["reader"] == "code" else row["reader"]
        count = types[kind or row["media_type"] or "not opened"]
        count[row["status"]] += 1
        for key in ("bytes", "pages", "documents", "characters", "tokens", "seconds"):
            count[key] += row.get(key, 0)
        worst.see(row)
    table = _table(
        "type", "read", "skipped", "failed", "bytes", "pages", "documents", "characters", "tokens", "seconds"
    )
    for kind, count in sorted(types.items(), key=lambda item: (-item[1]["tokens"], item[0])):
        cells = [whole(count[key]) for key in ("read", "skipped", "failed")]
        amounts = [whole(count[key]) for key in ("pages", "documents", "characters", "tokens")]
        table.add_row(shorten(clean(kind), 40), *cells, size(count["bytes"]), *amounts, number(count["seconds"], 1))
    parts = [describe_corpus(manifest), "", render(table), *_sums(manifest)]
    for title, rows in worst.tables():
        parts += ["", title, render(rows)]
    return "\n".join(parts)


def describe_pairs(pairs: Sequence[Pair]) -> str:
    """Texts that were left out, beside those that stayed."""
    if not pairs:
        return "nothing was left out as a copy"
    blocks = []
    for pair in pairs:
        alike = "" if pair.similarity is None else f", Jaccard similarity {pair.similarity:.2f}"
        lines = [f"{pair.kind}{alike}", f"  left out  {clean(pair.removed)}"]
        lines += _quote(pair.removed_text)
        lines.append(f"  kept      {clean(pair.kept)}")
        if pair.kind not in ("exact",):
            lines += _quote(pair.kept_text)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def describe_origin(origin: Origin) -> str:
    """The document and page of a token, in its surroundings."""
    page = "" if origin.page is None else f", page {origin.page}"
    return (
        f"{clean(origin.source)}{page}, character {whole(origin.character)} ({clean(origin.media_type)})\n"
        f"  …{clean(origin.before)}[{clean(origin.token)}]{clean(origin.after)}…"
    )


def _quote(text: str) -> list[str]:
    return [f"    | {clean(line)}" for line in text.strip().splitlines()[:6]]


def _sums(manifest: Mapping[str, Any]) -> Iterable[str]:
    languages = Counter(manifest["languages"])
    total = sum(languages.values())
    if total:
        shares = (f"{clean(name)} {percent(count / total)}" for name, count in languages.most_common(8))
        yield f"languages    {', '.join(shares)} (of the bytes)"
    cleaned = (
        f"{name} {whole(count['characters'])} characters in {whole(count['documents'])}"
        for name, count in manifest["cleaned"].items()
    )
    if text := "; ".join(cleaned):
        yield f"cleaned      {text} documents"
    for name, key in (("repeats", "repeated_paragraphs"), ("across split", "paragraphs_across_the_split")):
        if manifest[key]["paragraphs"]:
            paragraphs, characters = whole(manifest[key]["paragraphs"]), whole(manifest[key]["characters"])
            yield f"{name:<12} {paragraphs} paragraphs, {characters} characters left out"
    rules = Counter(manifest["failed_rules"]).most_common(5)
    if rules:
        yield (
            "web rules    "
            + ", ".join(f"{name} {whole(count)}" for name, count in rules)
            + " (documents that break them)"
        )


class _Worst:
    """The files that stand out, found in one pass."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = defaultdict(list)

    def see(self, row: Row) -> None:
        for title, key in _OFFENDERS.items():
            if (value := key(row)) and value > 0:
                kept = self.rows[title]
                kept.append(row)
                if len(kept) > 20 * _SHOWN:
                    self.rows[title] = nlargest(_SHOWN, kept, key=key)

    def tables(self) -> Iterable[tuple[str, Table]]:
        for title, key in _OFFENDERS.items():
            if rows := nlargest(_SHOWN, self.rows[title], key=key):
                table = _table("file", "", "why")
                for row in rows:
                    table.add_row(shorten(clean(row["path"]), _NAME), number(key(row), 1), clean(row["reason"])[:80])
                yield title, table


_OFFENDERS: dict[str, Callable[[Row], float]] = {
    "not read, by size in kB": lambda row: row["bytes"] / 1e3 if row["status"] != "read" else 0,
    "slowest, in seconds": lambda row: row["seconds"] if row["seconds"] > 1 else 0,
    "most copies, in documents": lambda row: row.get("duplicates", 0) + row.get("near_duplicates", 0),
    "most repeated text, in thousands of characters": lambda row: row.get("repeated_characters", 0) / 1e3,
    "lowest quality, in % of the web rules broken": lambda row: (
        100 * (1 - row["quality"]) if row.get("tokens", 0) > 100 and row.get("quality", 1) < 0.8 else 0
    ),
}


def _table(*names: str) -> Table:
    table = Table(*names, box=None, pad_edge=False, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "left" if column.header == "why" else "right"
    return table
