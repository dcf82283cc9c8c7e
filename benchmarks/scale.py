"""Rates from which the cost of a preparation on many machines follows: `python benchmarks/scale.py [--megabytes 50]`.

Every stage runs alone, each in a process of its own with one thread. The stages that work on parts are timed on prose:
sentences of the sample library in random order, in which one word in eight is replaced by another of its words, so that
no paragraph is like another. The stages that see every document at once are timed on made-up facts of many documents,
twice, and what doubling them adds is given: seconds and bytes of memory for one document and for one paragraph."""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from groundup.config import load_config
from groundup.corpus.copies.minhash import BANDS
from groundup.corpus.preparation import spread, stages
from groundup.corpus.preparation.store import PartWriter
from groundup.corpus.preparation.work import Work
from groundup.corpus.tokenizer import Tokenizer

LIBRARY = Path(__file__).parents[1] / "examples" / "library"
DOCUMENT = 4400  # bytes: FineWeb-Edu's mean, about 1,000 tokens
PARAGRAPH = 440
QUALITY = {"words": 700, "mean_word": 4.7, "stop_words": 12, "symbols": 0.01, "bullets": 0.0, "ellipses": 0.0}


def write_prose(path: Path, megabytes: float) -> None:
    text = " ".join(file.read_text() for file in sorted(LIBRARY.glob("*.*")) if file.suffix in (".md", ".txt"))
    sentences = [s.split() for s in re.split(r"(?<=[.!?])\s+", text) if 6 <= len(s.split()) <= 40]
    words = [word for sentence in sentences for word in sentence]
    draw, written = random.Random(1), 0
    with path.open("w", encoding="utf-8") as file:
        while written < megabytes * 1e6:
            paragraphs, paragraph = [], ""
            while sum(map(len, paragraphs)) < DOCUMENT:
                sentence = [draw.choice(words) if draw.random() < 0.125 else w for w in draw.choice(sentences)]
                paragraph += " ".join(sentence) + " "
                if len(paragraph) > PARAGRAPH:
                    paragraphs.append(paragraph)
                    paragraph = ""
            written += file.write(json.dumps({"text": "\n\n".join(paragraphs)}) + "\n")


def write_facts(work: Work, documents: int, near: bool) -> None:
    """What the stages before have left of `documents` documents, in parts of 20,000, without their texts."""
    draw, parts = np.random.default_rng(0), -(-documents // 20_000)
    each, paragraphs = documents // parts, DOCUMENT // PARAGRAPH
    work.note("parts", parts)
    work.note("out", str(work.path.parent / f"out-{documents}"))
    for part in range(parts):
        keys = lambda rows: draw.integers(1, 1 << 63, (rows, BANDS), np.uint64) * np.uint64(near)  # noqa: E731
        owners = np.repeat(np.arange(each), paragraphs)
        starts = np.tile(np.arange(paragraphs) * PARAGRAPH, each).astype(np.int32)
        names = draw.integers(1, 1 << 63, each * paragraphs, np.uint64)
        names[::20] = names[0]  # one paragraph in twenty repeats
        work.save(
            "facts",
            part,
            digests=draw.integers(1, 1 << 63, (each, 2), np.uint64),
            sizes=np.full(each, DOCUMENT),
            documents=keys(each),
            owners=owners,
            starts=starts,
            ends=starts + PARAGRAPH - 2,
            names=names,
            paragraphs=keys(each * paragraphs),
        )
        header = {"source": f"data/rows-{part:05d}.jsonl#@1234567890", "media_type": "application/jsonl", "bytes": 0}
        header |= {"language": "en", "signals": QUALITY, "failed": [], "quality": 0.9, "dropped": False}
        writer = PartWriter(work.path / "clean", 0, first=part)
        (work.folder("tokens")).mkdir(exist_ok=True)
        with (work.folder("tokens") / f"{part:05d}.jsonl").open("w") as rows:
            for number in range(each):
                writer.write(header)
                row = {"document": number, "source": header["source"], "media_type": header["media_type"]}
                row |= {"split": "train", "tokens": 1000, "bytes": DOCUMENT, "language": "en", "quality": 0.9}
                rows.write(json.dumps({**row, "signals": QUALITY}) + "\n")
        writer.close()
        for split, count in (("train", each), ("validation", 0)):
            np.zeros(count * 1000, np.uint16).tofile(work.folder("tokens") / f"{part:05d}-{split}-00000.ds")
            np.arange(1, count + 1).astype("<u8").__mul__(1000).tofile(
                work.folder("tokens") / f"{part:05d}-{split}-00000.index"
            )
    work.note("decisions", {"data.tokenizer": ["bytes", ""], "data.vocab_size": [257, ""]})
    (work.path / "tokenizer.json").write_text(Tokenizer.of_bytes().to_json())


def measure(work: Work, stage: str, part: int = 0) -> tuple[float, float, int]:
    """Seconds of wall clock and of processors, and bytes of memory at most, of a stage in a process of its own."""
    code = (
        "import resource, sys, time; from pathlib import Path;"
        "from groundup.corpus.preparation.spread import ALL_STAGES as S;"
        "from groundup.corpus.preparation.work import Work;"
        "base = resource.getrusage(resource.RUSAGE_SELF); began = time.monotonic();"
        "S[sys.argv[2]](Work(Path(sys.argv[1])), int(sys.argv[3])); wall = time.monotonic() - began;"
        "mine, read = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN));"
        "cpu = sum(u.ru_utime + u.ru_stime for u in (mine, read)) - base.ru_utime - base.ru_stime;"
        "print(wall, cpu, max(mine.ru_maxrss, read.ru_maxrss) << 10, mine.ru_maxrss << 10)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-P", "-c", code, str(work.path), stage, str(part)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wall, cpu, memory, _ = answer.stdout.split()[-4:]
    return float(wall), float(cpu), int(memory)


def measure_parts(folder: Path, megabytes: float) -> None:
    (folder / "docs").mkdir()
    write_prose(folder / "docs" / "rows.jsonl", megabytes)
    work = folder / "parts"
    work.mkdir()
    made = Work.begin(work, load_config(None, {"data.vocab_size": 32768}))
    for name, value in (("parts", 1), ("out", str(folder / "corpus")), ("directory", str(folder))):
        made.note(name, value)
    spread.divide_inputs(made, spread.list_inputs([folder / "docs"]), 1)
    size = (folder / "docs" / "rows.jsonl").stat().st_size / 1e6
    print(f"{'stage of a part':24}{'s/GB wall':>12}{'s/GB cores':>12}{'memory, MB':>12}")

    def show(name: str, figures: tuple[float, float, int]) -> None:
        wall, cpu, memory = figures
        print(f"{name:24}{wall / size * 1000:12,.0f}{cpu / size * 1000:12,.0f}{memory / 1e6:12,.0f}", flush=True)

    show("read (with examine)", measure(made, spread.read.__name__))
    for part in range(2 * spread.BUCKETS):
        spread.match(made, part)
    for part in (0, 1):
        spread.join_matches(made, part)
    spread.decide_documents(made, 0)
    spread.decide_split(made, 0)
    show("sample", measure(made, stages.sample.__name__))
    wall, _, _ = measure(made, spread.decide_vocabulary.__name__)
    print(f"{'vocabulary (once)':24}{wall:.0f} s for {size:.0f} MB", flush=True)
    show("encode", measure(made, stages.encode.__name__))


def measure_all(folder: Path, documents: int, near: bool) -> None:
    """What every document and paragraph adds to the stages that see all of them."""
    print(
        f"\n{'all at once, dedup=' + ('paragraphs' if near else 'exact'):36}"
        f"{'us a document':>14}{'bytes a document':>18}"
    )
    found: dict[str, list[tuple[float, float, int]]] = {}
    for count in (documents, 2 * documents):
        path = folder / f"all-{near}-{count}"
        path.mkdir()
        work = Work.begin(path, load_config(None, {"data.dedup": "paragraphs" if near else "exact"}))
        write_facts(work, count, near)
        names = ["decide_documents", "decide_split", "put_together"]
        if near:
            for kind in ("documents", "paragraphs"):
                (path / f"{kind}-matches").mkdir()
            for part in range(work.noted("parts")):
                spread._write_keys(work, part)
            names[:0] = [f"match:{spread.BUCKETS}", "join_matches:0", "join_matches:1"]
        for name in names:
            stage, _, part = name.partition(":")
            found.setdefault(name, []).append(measure(work, stage, int(part or 0)))
        shutil.rmtree(path)
        shutil.rmtree(folder / f"out-{count}")
    for name, (one, two) in found.items():
        print(f"{name:36}{(two[0] - one[0]) / documents * 1e6:14.1f}{(two[2] - one[2]) / documents:18,.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--documents", type=int, default=100_000)
    given = parser.parse_args()
    import datatrove.utils.logging  # noqa: F401 (it switches the log on)
    from loguru import logger

    logger.remove()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        measure_parts(Path(name), given.megabytes)
        for near in (False, True):
            measure_all(Path(name), given.documents, near)
    print(f"\n{time.monotonic() - began:.0f} s in all, beside a load of {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
