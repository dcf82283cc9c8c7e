"""Documents to a corpus directory, in two passes over a spool file, so that memory does not grow with the texts.

Pass 1 reads every file once, drops exact duplicates and spools the texts. Then the split is decided, the tokenizer is
trained on a sample of the training side, and pass 2 tokenizes the spool into shards. `manifest.json` is written last.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from groundup.config import Config
from groundup.corpus.corpus import CORPUS_VERSION, Corpus
from groundup.corpus.settings import reading_options
from groundup.corpus.shards import ShardWriter
from groundup.corpus.split import Unit, cut, cutting_size, digest, hold_out
from groundup.corpus.tokenizer import SAMPLE_BYTES, Tokenizer, vocabulary_rule
from groundup.documents import Document, find_files, read_documents
from groundup.errors import UserError
from groundup.events import Listener, Notice, Phase, Progress, nobody
from groundup.runs import fsync_directory, read_journal, write_atomic

SMALLEST_BPE = 512
ENOUGH_HELD_OUT = 1_000_000  # bytes: the loss on them is known to about 0.5%, and scoring them takes seconds
SAMPLE_PIECE = 20_000  # characters; small beside SAMPLE_BYTES, so that the sample has nearly the size asked for
ENCODE_AT_ONCE = 2_000_000  # characters handed to the tokenizer in one call: keeps all cores busy, costs little memory


def prepare_corpus(
    paths: Sequence[Path],
    out: Path,
    config: Config,
    *,
    listen: Listener = nobody,
    poll: Callable[[], None] = lambda: None,
) -> Corpus:
    """Read `paths` and write the corpus directory `out`, which must not exist; an earlier try's work is replaced.

    Decides `data.tokenizer` and `data.vocab_size` in `config` where the user has not. `poll` is called often and may
    raise. Raises UserError when nothing can be read.
    """
    work = out.with_name(f".{out.name}.preparing")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        spool = _Spool(work / "spool.jsonl")
        records = _read(paths, spool, work / "ledger.jsonl", config, listen, poll)
        units, notes = _split(spool, config)
        tokenizer = _tokenizer(spool, units, config, listen, poll)
        listen(Phase("tokenizing", sum(unit.size for unit in units), "bytes"))
        counts = _write_shards(spool, units, tokenizer, work, listen, poll)
        spool.close()
        write_atomic(work / "tokenizer.json", tokenizer.to_json())
        shards = {
            path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(work.glob("*.ds"))
        }
        manifest = {
            "version": CORPUS_VERSION,
            "fingerprint": _fingerprint(units, tokenizer),
            **records,
            "documents": len(spool),
            "duplicates": spool.duplicates,
            **counts,
            "vocab_size": tokenizer.vocab_size,
            "settings": {f"data.{field.name}": getattr(config.data, field.name) for field in fields(config.data)},
            "notes": notes,
            "shards": shards,
        }
        write_atomic(work / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        for path in [*work.iterdir(), work]:
            _fsync(path)
        work.rename(out)
        fsync_directory(out.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    for note in notes:
        listen(Notice(note))
    return Corpus(out)


class _Spool:
    """The texts of the corpus in one file, in order; of each only its size and name are kept in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w+b")
        self._seen: set[bytes] = set()
        self.digests: list[bytes] = []
        self.sizes: list[int] = []
        self.duplicates = 0

    def __len__(self) -> int:
        return len(self.sizes)

    def add(self, document: Document) -> bool:
        """Keep a document, unless its text is here already; whether it was kept."""
        name = digest(document.text)
        if name in self._seen:
            self.duplicates += 1
            return False
        self._seen.add(name)
        self.digests.append(name)
        self.sizes.append(len(document.text.encode()))
        self._file.write(json.dumps(asdict(document), ensure_ascii=False).encode() + b"\n")
        return True

    def __iter__(self) -> Iterator[Document]:
        self._file.seek(0)
        for line in self._file:
            row = json.loads(line)
            yield Document(**{**row, "pages": tuple(row["pages"])})

    def close(self) -> None:
        self._file.close()
        self.path.unlink()


def _read(
    paths: Sequence[Path],
    spool: _Spool,
    ledger: Path,
    config: Config,
    listen: Listener,
    poll: Callable[[], None],
) -> dict[str, Any]:
    total = sum(1 for _ in find_files(paths))
    listen(Phase("reading", total, "files"))
    totals = {"read": 0, "skipped": 0, "failed": 0}
    done = repeated = 0
    # closed at once when `poll` raises: an exception that is kept would keep the reader processes, too
    with (
        ledger.open("w", encoding="utf-8") as file,
        closing(read_documents(paths, options=reading_options(config))) as items,
    ):
        for item in items:
            poll()
            if isinstance(item, Document):
                repeated += not spool.add(item)
                continue
            if repeated:  # the documents of a file come before its record
                again = f"{repeated} of {item.documents} documents repeat earlier ones and were left out"
                item = replace(item, reason="; ".join(filter(None, [item.reason, again])))
                repeated = 0
            _write_row(file, asdict(item))
            totals[item.status] += 1
            done += "!/" not in item.path  # members of archives are no files of their own
            listen(Progress(done, item.path))
            if item.status == "failed":
                listen(Notice(f"{item.path}: {item.reason}", "warning"))
    if not len(spool):
        where = ", ".join(str(path) for path in paths)
        raise UserError(
            f"no text could be read: {totals['skipped']} files skipped, {totals['failed']} failed"
            + _first_reasons(ledger),
            where=where,
            fix="give a folder or files with text in them; `groundup read FILE` shows what is read of a file",
        )
    return {"files": totals}


def _first_reasons(ledger: Path) -> str:
    rows = islice(read_journal(ledger), 3)
    return "".join(f"\n  {row['path']}: {row['reason']}" for row in rows)


def _split(spool: _Spool, config: Config) -> tuple[list[Unit], list[str]]:
    """Cut where documents are too few, drop blocks that repeat, and choose what is held out."""
    notes: list[str] = []
    share = min(0.1, ENOUGH_HELD_OUT / max(sum(spool.sizes), 1))
    share = config.decide(
        "data.validation", share, f"a tenth, and at most {ENOUGH_HELD_OUT:,} bytes: enough to measure by"
    )
    size = cutting_size(spool.sizes, share)
    units: list[Unit] = []
    if size is None:
        units = [
            Unit(n, 0, -1, size, name) for n, (size, name) in enumerate(zip(spool.sizes, spool.digests, strict=True))
        ]
    else:
        seen, cut_documents, cut_blocks, repeated = set(), 0, 0, 0
        for number, document in enumerate(spool):
            # the size is in bytes, and `cut` counts characters: three bytes each in many scripts
            blocks = cut(document.text, max(1, size * len(document.text) // max(1, spool.sizes[number])))
            cut_documents += len(blocks) > 1
            cut_blocks += len(blocks) if len(blocks) > 1 else 0
            for start, end in blocks:
                text = document.text[start:end]
                name = digest(text)
                if not text.strip():
                    continue
                if name in seen:
                    repeated += end - start
                else:
                    seen.add(name)
                    units.append(Unit(number, start, end, len(text.encode()), name))
        notes.append(
            f"few or uneven documents: {cut_documents} of {len(spool)} were cut into {cut_blocks} blocks of about"
            f" {size:,} bytes at paragraph ends, and whole blocks are held out for validation"
        )
        if repeated:
            notes.append(f"blocks that repeat others word for word were left out: {repeated:,} characters")
    hold_out(units, share, config.training.seed)
    if share and not any(unit.held_out for unit in units):
        notes.append("the text is too short to hold any of it out: there is no validation")
    return units, notes


def _texts(spool: _Spool, units: Iterable[Unit]) -> Iterator[tuple[Unit, Document, str]]:
    """Each unit with its document and its text; units are in the order of their documents."""
    documents = enumerate(spool)
    number, document = -1, None
    for unit in units:
        while number < unit.document:
            number, document = next(documents)
        assert document is not None
        yield unit, document, document.text if unit.end < 0 else document.text[unit.start : unit.end]


def _tokenizer(
    spool: _Spool, units: list[Unit], config: Config, listen: Listener, poll: Callable[[], None]
) -> Tokenizer:
    training = [unit for unit in units if not unit.held_out]
    total = sum(unit.size for unit in training)
    kind, size, reason = vocabulary_rule(total, config.training.minutes)
    if kind == "bytes" and (config.data.tokenizer == "bpe" or (config.data.vocab_size or 257) > 257):
        kind, size, reason = "bpe", SMALLEST_BPE, "asked for, on a text that is small for it"
    kind = config.decide("data.tokenizer", kind, reason)
    if kind == "bytes":
        if config.decide("data.vocab_size", 257, "256 bytes and the end-of-text token") != 257:
            raise UserError(
                f"data.vocab_size = {config.data.vocab_size}, but data.tokenizer = 'bytes' has 257 entries",
                fix="leave data.vocab_size out, or use data.tokenizer=bpe",
            )
        return Tokenizer.of_bytes()
    vocab_size = config.decide("data.vocab_size", size, reason)
    listen(Phase("learning the tokenizer", min(total, SAMPLE_BYTES), "bytes"))

    def sample() -> Iterator[str]:
        done = 0
        share = SAMPLE_BYTES / total
        for unit, _, text in _texts(spool, training):
            poll()
            if share >= 1:
                pieces = [text]
            else:
                # a large corpus is sampled by the names of its pieces: the choice does not depend on the order of the
                # texts, and every text is represented, however few and large they are
                starts = range(0, len(text), SAMPLE_PIECE)
                pieces = [text[at : at + SAMPLE_PIECE] for at in starts if _drawn(unit.digest, at, share)]
            for piece in pieces:
                done += len(piece.encode())
                listen(Progress(min(done, SAMPLE_BYTES)))
                yield piece

    return Tokenizer.train(sample(), vocab_size)


def _drawn(name: bytes, offset: int, share: float) -> bool:
    draw = hashlib.blake2b(name + offset.to_bytes(8, "little"), digest_size=4).digest()
    return int.from_bytes(draw, "little") < share * 2**32


def _write_shards(
    spool: _Spool,
    units: list[Unit],
    tokenizer: Tokenizer,
    work: Path,
    listen: Listener,
    poll: Callable[[], None],
) -> dict[str, int]:
    writers = {split: ShardWriter(work, split, tokenizer.dtype, tokenizer.eos_id) for split in ("train", "validation")}
    totals = {"train_tokens": 0, "validation_tokens": 0, "train_bytes": 0, "validation_bytes": 0}
    done = 0
    with (work / "documents.jsonl").open("w", encoding="utf-8") as rows:
        for group in _groups(_texts(spool, units)):
            poll()
            encoded = tokenizer.encode_batch([text for _, _, text in group])
            for (unit, document, _), tokens in zip(group, encoded, strict=True):
                split = "validation" if unit.held_out else "train"
                row = {
                    "source": document.source,
                    "media_type": document.media_type,
                    "split": split,
                    "tokens": len(tokens),
                }
                if unit.end >= 0:
                    row["characters"] = [unit.start, unit.end]
                if document.pages:
                    row["pages"] = list(document.pages)
                _write_row(rows, row)
                writers[split].add(tokens)
                totals[f"{split}_bytes"] += unit.size
                totals[f"{split}_tokens"] += len(tokens)
                done += unit.size
            listen(Progress(done))
    for writer in writers.values():
        writer.close()
    return totals


def _groups(items: Iterable[tuple[Unit, Document, str]]) -> Iterator[list[tuple[Unit, Document, str]]]:
    group, characters = [], 0
    for item in items:
        group.append(item)
        characters += len(item[2])
        if characters >= ENCODE_AT_ONCE:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _write_row(file: TextIO, row: dict[str, Any]) -> None:
    # file names may hold bytes that are not UTF-8; they must not stop the ledger
    file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace").decode() + "\n")


def _fingerprint(units: list[Unit], tokenizer: Tokenizer) -> str:
    name = hashlib.sha256(tokenizer.to_json().encode())
    for unit in units:
        name.update(unit.digest + bytes([unit.held_out]))
    return name.hexdigest()[:32]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    if path.is_dir():
        fsync_directory(path)
    else:
        with path.open("rb") as file:
            os.fsync(file.fileno())
