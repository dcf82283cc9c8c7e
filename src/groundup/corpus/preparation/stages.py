"""What is done to one part of a corpus at a time, in any process on any machine: clean, cut, sample, encode.

Each stage is a function of the working directory and a part's number, which reads and writes files there alone.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from groundup.corpus.copies.minhash import sketch
from groundup.corpus.preparation.split import cut as cut_text
from groundup.corpus.preparation.split import digest
from groundup.corpus.preparation.store import Header, PartWriter, document_of, header_of, read_headers, read_items
from groundup.corpus.preparation.work import Stage, Work
from groundup.corpus.shards import ShardWriter
from groundup.corpus.texts.cleaning import clean_document, is_code
from groundup.corpus.texts.language import find_language
from groundup.corpus.texts.quality import failed_rules, measure_quality, score_quality
from groundup.corpus.tokenizer import SAMPLE_BYTES

SAMPLE_PIECE = 20_000  # characters; small beside SAMPLE_BYTES, so that the sample has nearly the size asked for
_AT_ONCE = 2_000_000  # characters handed on in one call: enough for vectors and threads, little memory


def examine(work: Work, part: int) -> None:
    """Texts as they were read -> clean texts with their language and quality, their names and sketches."""
    data = work.settings["data"]
    near = data["dedup"] != "exact"
    target = work.clean(part)
    temporary = PartWriter(target.parent / f"writing-{part:05d}", 0)
    names: list[bytes] = []
    sizes: list[int] = []
    batch: list[tuple[str, bool]] = []
    sketches: list[dict[str, np.ndarray]] = []

    def finish_batch() -> None:
        first = len(sizes) - len(batch)
        made = sketch([text for text, _ in batch], [prose for _, prose in batch], near=near)
        sketches.append(
            {
                "documents": made.documents,
                "owners": made.owners + first,
                "starts": made.starts.astype(np.int32),
                "ends": made.ends.astype(np.int32),
                "names": made.names,
                "paragraphs": made.paragraphs,
            }
        )
        batch.clear()

    held = 0
    for header, text in read_items(work.texts(part)):
        if "record" in header:
            temporary.write(header)
            continue
        document, changed = clean_document(document_of(header, text), data["clean"], data["mask"])
        language = find_language(document.text, document.media_type)
        signals = measure_quality(document.text)
        failed = failed_rules(signals, language)
        raw = document.text.encode()
        facts: Header = {"language": language, "signals": signals, "failed": failed}
        facts["quality"] = round(score_quality(signals, language), 3)
        if changed:
            facts["changed"] = changed
        prose = not is_code(document.media_type)
        if not document.text.strip():
            dropped = "blank"
        else:
            dropped = "filtered" if data["filter"] == "web" and prose and failed else ""
        temporary.write({**header_of(document, raw), **facts, "dropped": dropped}, raw)
        if dropped:
            continue
        names.append(digest(document.text))
        sizes.append(len(raw))
        batch.append((document.text, prose))
        held += len(document.text)
        if held >= _AT_ONCE:
            finish_batch()
            held = 0
    finish_batch()
    temporary.close()
    work.save(
        "facts",
        part,
        digests=np.frombuffer(b"".join(names), "<u8").reshape(-1, 2),
        sizes=np.array(sizes, np.int64),
        **{key: np.concatenate([made[key] for made in sketches]) for key in sketches[0]},
    )
    (temporary.folder / "00000.docs").replace(target)
    temporary.folder.rmdir()


def cut(work: Work, part: int) -> None:
    """Clean documents that are kept -> blocks of about the size that `drop_duplicates` noted."""
    size = work.noted("cutting")["size"]
    kept = work.load("kept", part)["kept"]
    rows: list[tuple[int, int, int, int]] = []
    names: list[bytes] = []
    for number, header, read in _documents(work, part):
        if not kept[number]:
            continue
        text = read()
        # the size is in bytes, and `cut` counts characters: three bytes each in many scripts
        for start, end in cut_text(text, max(1, size * len(text) // max(1, header["bytes"]))):
            if block := text[start:end].strip():
                rows.append((number, start, end, len(text[start:end].encode())))
                names.append(digest(block))
    work.save(
        "blocks",
        part,
        rows=np.array(rows, np.int64).reshape(-1, 4),
        digests=np.frombuffer(b"".join(names), "<u8").reshape(-1, 2),
    )


def sample(work: Work, part: int) -> None:
    """Training text -> the part's share of the tokenizer's sample, a JSON string a line."""
    share = SAMPLE_BYTES / max(work.noted("split")["train_bytes"], 1)
    digests = work.load("facts", part, "digests")["digests"]

    def drawn(document: int, start: int, size: int) -> list[int]:
        """Where the pieces that are drawn start, of a unit of `size` bytes, and so of as many characters or fewer."""
        # A large corpus is sampled by the names of its pieces: the choice does not depend on the order of the texts,
        # and every text is represented, however few and large they are.
        name = digests[document].tobytes() + start.to_bytes(8, "little")
        return [at for at in range(0, size, SAMPLE_PIECE) if share >= 1 or _drawn(name, at, share)]

    with (work.folder("sample") / f"{part:05d}.jsonl").open("w", encoding="utf-8") as file:
        for unit in units_of(work, part, lambda document, start, size: bool(drawn(document, start, size))):
            if unit.held_out:
                continue
            start = unit.span[0] if unit.span else 0
            for at in drawn(unit.document, start, unit.header["bytes"]):
                if piece := unit.text[at : at + SAMPLE_PIECE]:
                    file.write(json.dumps(piece, ensure_ascii=False) + "\n")


def encode(work: Work, part: int) -> None:
    """Training and held-out text -> tokens and one row for each unit."""
    tokenizer = work.tokenizer
    folder = work.folder("tokens")
    writers = {
        split: ShardWriter(folder, f"{part:05d}-{split}", tokenizer.dtype, tokenizer.eos_id, shard_tokens=1 << 62)
        for split in ("train", "validation")
    }
    with (folder / f"{part:05d}.jsonl").open("w", encoding="utf-8") as rows:
        for group in _groups(units_of(work, part)):
            encoded = tokenizer.encode_batch([unit.text for unit in group])
            for unit, tokens in zip(group, encoded, strict=True):
                split = "validation" if unit.held_out else "train"
                header = unit.header
                row: Header = {"document": unit.document, "source": header["source"]}
                row |= {"media_type": header["media_type"], "split": split, "tokens": len(tokens)}
                row |= {"bytes": unit.bytes, "language": header["language"]}
                row |= {"quality": header["quality"], "signals": header["signals"]}
                if unit.span is not None:
                    row["characters"] = unit.span
                if unit.removed:
                    row["removed"] = unit.removed
                if "pages" in header:
                    row["pages"] = header["pages"]
                rows.write(json.dumps(row, ensure_ascii=False) + "\n")
                writers[split].add(tokens)
    for writer in writers.values():
        writer.close()


class UnitText:
    """A document or a block of one as it goes to the tokenizer."""

    def __init__(
        self, document: int, header: Header, text: str, span: list[int] | None, removed: list[list[int]], held_out: bool
    ) -> None:
        self.document, self.header, self.span, self.held_out = document, header, span, held_out
        self.removed: list[tuple[int, int]] = []
        start, end = span or (0, len(text))
        parts = []
        for first, last in removed:
            while last < end and text[last] == "\n":  # what divided it from the next
                last += 1
            parts.append(text[start:first])
            self.removed.append((first, last))
            start = last
        self.text = "".join([*parts, text[start:end]]) if parts else text[start:end]

    @property
    def bytes(self) -> int:
        """Bytes of the text in UTF-8."""
        return self.header["bytes"] if self.span is None and not self.removed else len(self.text.encode())


def units_of(
    work: Work, part: int, wanted: Callable[[int, int, int], bool] = lambda document, start, size: True
) -> Iterator[UnitText]:
    """The units of a part in order, without the paragraphs that were removed; empty ones are left out, and those that
    are not `wanted`, by document, start and the document's bytes, are not read."""
    plan = work.load("units", part)
    units, removed = plan["units"], plan["removed"]
    bounds = np.searchsorted(removed[:, 0], np.arange(len(units) + 1))
    at = 0
    for number, header, read in _documents(work, part):
        text: str | None = None  # read once: a large document has many blocks
        while at < len(units) and units[at, 0] == number:
            _, start, end, held_out = units[at].tolist()
            if wanted(number, start, header["bytes"]):
                lost = removed[bounds[at] : bounds[at + 1], 1:].tolist()
                span = None if end < 0 else [start, end]
                text = read() if text is None else text
                unit = UnitText(number, header, text, span, lost, bool(held_out))
                if unit.text.strip():
                    yield unit
            at += 1


def _documents(work: Work, part: int) -> Iterator[tuple[int, Header, Callable[[], str]]]:
    """Number, header and text of each clean document of a part; the text is read when it is asked for."""
    path = work.clean(part)
    number = 0
    with path.open("rb") as file:

        def read(at: int, size: int) -> str:
            file.seek(at)
            return file.read(size).decode()

        for header, at in read_headers(path):
            if "record" not in header and not header["dropped"]:
                yield number, header, partial(read, at, header["bytes"])
                number += 1


def _groups(units: Iterator[UnitText]) -> Iterator[list[UnitText]]:
    group: list[UnitText] = []
    characters = 0
    for unit in units:
        group.append(unit)
        characters += len(unit.text)
        if characters >= _AT_ONCE:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _drawn(name: bytes, offset: int, share: float) -> bool:
    draw = hashlib.blake2b(name + offset.to_bytes(8, "little"), digest_size=4).digest()
    return int.from_bytes(draw, "little") < share * 2**32


STAGES: dict[str, Stage] = {stage.__name__: stage for stage in (examine, cut, sample, encode)}
