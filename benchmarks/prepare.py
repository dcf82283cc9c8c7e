"""Measures how fast plain-text files become token shards, and in how much memory, beside the bare encoders.

`python benchmarks/prepare.py` prints a table; `--out FILE` also writes it as JSON with the machine and the versions.
The text is new for each size: random sentences of the standard library's words, as frequent as Zipf's law has them, in
files of 20 kB; one in fifty is a near copy and one in a hundred an exact one. The bare encoders do nothing but encode
the same bytes, from memory, with the vocabulary that the smallest corpus gave (benchmarks/tokenizer.py checks that all
give the same ids). Every way takes its turn in every round, in a process of its own.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from groundup.parallel import describe_machine

FILE_BYTES = 20_000
WAYS = ("exact", "near", "tiktoken", "tokenizers")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100], help="sizes (default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: %(default)s)")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS, help="(default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each way takes (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    given = parser.parse_args()
    rows = []
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="groundup-prepare-") as folder:
        for megabytes in given.megabytes:
            documents = write_documents(Path(folder) / f"{megabytes}", megabytes * 1_000_000)
            for threads in given.threads:
                rows += measure(documents, Path(folder), megabytes, threads, given.ways, given.rounds)
                print(table(rows[-len(given.ways) :]), flush=True)
    result = {
        "benchmark": "prepare",
        "command": "python benchmarks/prepare.py " + " ".join(sys.argv[1:]),
        "rows": rows,
        "machine": describe_machine(),
        "load_before": load,
        "load_after": os.getloadavg(),
    }
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def write_documents(folder: Path, size: int) -> Path:
    """`size` bytes of prose in files of FILE_BYTES, a hundred to a folder."""
    draw, words = random.Random(size), standard_words()
    zipf = list(accumulate(1 / (rank + 10) for rank in range(len(words))))  # as in any language
    texts: list[str] = []
    total = 0
    while total < size:
        kind = draw.random()
        if texts and kind < 0.01:
            text = draw.choice(texts)
        elif texts and kind < 0.03:
            changed = draw.choice(texts).split(" ")
            for _ in range(len(changed) // 200):
                changed[draw.randrange(len(changed))] = draw.choice(words)
            text = " ".join(changed)
        else:
            paragraphs = []
            while sum(map(len, paragraphs)) < FILE_BYTES:
                chosen = draw.choices(words, cum_weights=zipf, k=draw.randint(20, 150))
                sentences = [" ".join(chosen[at : at + 12]).capitalize() + "." for at in range(0, len(chosen), 12)]
                paragraphs.append(" ".join(sentences))
            text = "\n\n".join(paragraphs) + "\n"
        texts = [*texts[-200:], text]
        path = folder / f"{total // (100 * FILE_BYTES):04d}" / f"{total:010d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        total += len(text.encode())
    return folder


def standard_words() -> list[str]:
    """The words of the standard library's sources, the most frequent first."""
    counts: dict[str, int] = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for word in re.findall(r"[a-z]{2,14}", path.read_text(encoding="utf-8", errors="ignore").lower()):
            counts[word] = counts.get(word, 0) + 1
    return sorted(counts, key=lambda word: (-counts[word], word))[:20_000]


def measure(
    documents: Path, folder: Path, megabytes: int, threads: int, ways: Sequence[str], rounds: int
) -> list[dict[str, Any]]:
    """Medians over `rounds` of each of `ways`."""
    size = sum(path.stat().st_size for path in documents.rglob("*.txt"))
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways if turn % 2 else reversed(ways):
            out = folder / "corpus"
            if way in ("exact", "near"):
                subprocess.run(["rm", "-rf", str(out)], check=True)
                command = ["prepare", str(documents), str(out), "exact" if way == "exact" else "paragraphs"]
            else:
                tokenizer = folder / "tokenizer.json"
                if not tokenizer.exists():
                    ready(documents, folder)
                command = [way, str(documents), str(tokenizer)]
            runs[way].append(run(command, threads))
    rows = []
    for way in ways:
        seconds, cpu = (median(one[key] for one in runs[way]) for key in ("seconds", "cpu_seconds"))
        rows.append(
            {
                "megabytes": megabytes,
                "threads": threads,
                "way": way,
                "bytes": size,
                "seconds": seconds,
                "cpu_seconds": cpu,
                "megabytes_per_second": size / 1e6 / seconds,
                "megabytes_per_second_and_core": size / 1e6 / seconds / threads,
                "megabytes_per_cpu_second": size / 1e6 / cpu,
                "peak_memory_megabytes": median(one["memory"] for one in runs[way]),
                "all": runs[way],
            }
        )
    return rows


def ready(documents: Path, folder: Path) -> None:
    """A tokenizer for the bare encoders: that of the smallest corpus."""
    out = folder / "first"
    run(["prepare", str(documents), str(out), "exact"], 2)
    (out / "tokenizer.json").rename(folder / "tokenizer.json")


def run(command: list[str], threads: int) -> dict[str, float]:
    """Run this file as a child on one of the ways: its wall clock, its processor time and the peak of the resident
    memory of all its processes together, sampled 20 times a second."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, __file__, "--child", *command], env=environment, stdout=subprocess.PIPE, text=True
    )
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            total = 0
            try:
                family = psutil.Process(child.pid)
                for process in [family, *family.children(recursive=True)]:
                    total += process.memory_full_info().uss if sys.platform == "linux" else process.memory_info().rss
            except psutil.Error:
                continue
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = child.communicate()
    done.set()
    watcher.join()
    if child.returncode:
        raise SystemExit(f"{command} failed")
    inner = json.loads(output)
    seconds = inner.get("seconds", time.perf_counter() - began)
    return {"seconds": seconds, "cpu_seconds": inner["cpu_seconds"], "memory": peak / 1e6}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for a terminal."""
    lines = [f"{'MB':>6} {'threads':>7} {'way':<12} {'s':>7} {'MB/s':>7} {'/core':>6} {'/cpu s':>6} {'peak MB':>8}"]
    for row in rows:
        lines.append(
            f"{row['megabytes']:>6} {row['threads']:>7} {row['way']:<12} {row['seconds']:>7.1f}"
            f" {row['megabytes_per_second']:>7.2f} {row['megabytes_per_second_and_core']:>6.2f}"
            f" {row['megabytes_per_cpu_second']:>6.2f} {row['peak_memory_megabytes']:>8.0f}"
        )
    return "\n".join(lines)


def child(way: str, documents: str, *others: str) -> None:
    """One way, in a process of its own; prints its seconds as JSON."""
    began, spent = time.perf_counter(), cpu_seconds()
    if way == "prepare":
        from groundup.config import load_config
        from groundup.corpus import prepare_corpus

        out, dedup = others
        prepare_corpus([Path(documents)], Path(out), load_config(None, {"data.dedup": dedup}), keep_texts=True)
    else:
        texts = [path.read_text(encoding="utf-8") for path in sorted(Path(documents).rglob("*.txt"))]
        encode = bare(way, Path(others[0]))
        began, spent = time.perf_counter(), cpu_seconds()  # reading, and building the encoder, do not count
        for first in range(0, len(texts), 100):
            encode(texts[first : first + 100])
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu_seconds": cpu_seconds() - spent}))


def bare(way: str, path: Path) -> Any:
    """The encoder of a library without anything of groundup around it."""
    if way == "tokenizers":
        from tokenizers import Tokenizer as Backend

        backend = Backend.from_str(path.read_text(encoding="utf-8"))
        return lambda texts: backend.encode_batch_fast(texts, add_special_tokens=False)
    import tiktoken

    from groundup.corpus import Tokenizer
    from groundup.corpus.tokenizer import QWEN2_SPLIT

    ours = Tokenizer.load(path)
    ranks = {ours.decode_bytes([index]): index for index in range(ours.vocab_size) if index != ours.eos_id}
    encoding = tiktoken.Encoding("bare", pat_str=QWEN2_SPLIT, mergeable_ranks=ranks, special_tokens={})
    threads = int(os.environ["OMP_NUM_THREADS"])
    return lambda texts: encoding.encode_ordinary_batch(texts, num_threads=threads)


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
