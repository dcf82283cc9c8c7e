"""Measures how fast groundup trains a tokenizer and encodes with it, beside the libraries it is built on.

`python benchmarks/tokenizer.py` prints a table; `--out FILE` also writes it as JSON with the machine and the versions.
The text is the Python standard library's own sources, as whole files and as paragraphs. The three ways of encoding
have the same vocabulary, must give the same ids, and take turns, so that whatever else the machine does hits all.
"""

import argparse
import hashlib
import json
import os
import sysconfig
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tiktoken
from tokenizers import Tokenizer as Backend

from groundup.cores import usable_cores
from groundup.corpus import END_OF_TEXT, Tokenizer
from groundup.corpus.tokenizer import QWEN2_SPLIT
from groundup.parallel import describe_machine

Encode = Callable[[list[str]], Sequence[Sequence[int] | np.ndarray]]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=10, help="how much text (default: %(default)s)")
    parser.add_argument("--vocab-size", type=int, default=8192, help="entries (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=11, help="turns that each way takes (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    given = parser.parse_args()
    result = measure(int(given.megabytes * 1e6), given.vocab_size, given.rounds)
    print(table(result))
    if given.out:
        given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def measure(size: int, vocab_size: int, rounds: int) -> dict[str, Any]:
    """Every figure, with what it depends on; speeds in MB (10^6 bytes of UTF-8) a second."""
    files = sources(size)
    paragraphs = [part for text in files for part in text.split("\n\n") if part]
    load = os.getloadavg()
    training, tokenizer = train(files, vocab_size, max(3, rounds // 3))
    encoding = {
        name: race(contenders(tokenizer), texts, rounds)
        for name, texts in (("whole files", files), ("paragraphs", paragraphs))
    }
    machine = describe_machine()
    machine["versions"] |= {"tiktoken": version("tiktoken")}
    return {
        "benchmark": "tokenizer",
        "command": f"python benchmarks/tokenizer.py --megabytes {size / 1e6:g} --vocab-size {vocab_size}"
        f" --rounds {rounds}",
        "text": {
            "of": "the .py files of the Python standard library",
            "bytes": sum(len(text.encode()) for text in files),
            "sha256": hashlib.sha256("\0".join(files).encode()).hexdigest(),
        },
        "vocab_size": tokenizer.vocab_size,
        "training": training,
        "encoding": encoding,
        "machine": machine,
        "load_before": load,
        "load_after": os.getloadavg(),
    }


def sources(size: int) -> list[str]:
    """Files of the standard library in the order of their names, `size` bytes in all or a little more."""
    texts, total = [], 0
    home = Path(sysconfig.get_path("stdlib"))
    for path in sorted(home.rglob("*.py")):
        if "site-packages" in path.relative_to(home).parts or total >= size:
            continue
        try:
            texts.append(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # a few test other encodings
        total += len(texts[-1].encode())
    return texts


def train(texts: list[str], vocab_size: int, rounds: int) -> tuple[dict[str, Any], Tokenizer]:
    """The speed of `Tokenizer.train`, and what it made."""
    size, speeds, tokenizer = sum(len(text.encode()) for text in texts), [], None
    for _ in range(rounds):
        began = time.perf_counter()
        tokenizer = Tokenizer.train(texts, vocab_size)
        speeds.append(size / 1e6 / (time.perf_counter() - began))
    assert tokenizer is not None
    return {"bytes": size, "megabytes_per_second": median(speeds), "all": speeds}, tokenizer


def contenders(tokenizer: Tokenizer) -> dict[str, Encode]:
    """The same vocabulary three ways, each library used as its own documentation does for many texts."""
    backend = Backend.from_str(tokenizer.to_json())
    backend.encode_special_tokens = True
    entries = {tokenizer.decode_bytes([index]): index for index in range(tokenizer.vocab_size)}
    ranks = {entry: index for entry, index in entries.items() if entry}
    special = {END_OF_TEXT: tokenizer.eos_id}
    encoding = tiktoken.Encoding("bare", pat_str=QWEN2_SPLIT, mergeable_ranks=ranks, special_tokens=special)
    cores = usable_cores()
    return {
        "groundup": tokenizer.encode_batch,
        "tiktoken": lambda texts: encoding.encode_ordinary_batch(texts, num_threads=cores),
        "tokenizers": lambda texts: [found.ids for found in backend.encode_batch_fast(texts, add_special_tokens=False)],
    }


def race(ways: dict[str, Encode], texts: list[str], rounds: int) -> dict[str, Any]:
    """Speeds of all `ways`, and groundup's as a multiple of each; raises where the ids of one differ."""
    size = sum(len(text.encode()) for text in texts)
    expected = [list(ids) for ids in ways["tokenizers"](texts)]
    for name, encode in ways.items():
        if [np.asarray(ids).tolist() for ids in encode(texts)] != expected:
            raise SystemExit(f"{name} gives other ids")
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            ways[name](texts)
            speeds[name].append(size / 1e6 / (time.perf_counter() - began))
    rows = {}
    for name, all_of_it in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["groundup"], all_of_it, strict=True)]
        rows[name] = {
            "megabytes_per_second": median(all_of_it),
            "groundup_is_faster_by": median(ratios),
            "from": min(ratios),
            "to": max(ratios),
            "all": all_of_it,
        }
    return {"texts": len(texts), "bytes": size, "tokens": sum(map(len, expected)), "same_ids": True, "ways": rows}


def table(result: dict[str, Any]) -> str:
    """The result as a person reads it."""
    machine, text = result["machine"], result["text"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; {text['bytes'] / 1e6:.1f} MB of {text['of']};"
        f" {result['vocab_size']:,} entries",
        ", ".join(f"{name} {number}" for name, number in machine["versions"].items()),
        f"load before {result['load_before'][0]:.1f}, after {result['load_after'][0]:.1f}",
        "",
        f"training: {result['training']['megabytes_per_second']:.1f} MB/s",
        "",
        f"{'encoding':13}{'way':13}{'MB/s':>8}  groundup is faster by (least to most)",
    ]
    for texts, found in result["encoding"].items():
        for name, row in found["ways"].items():
            ratio = f"{row['groundup_is_faster_by']:.2f} ({row['from']:.2f} to {row['to']:.2f})"
            lines.append(f"{texts:13}{name:13}{row['megabytes_per_second']:8.1f}  {ratio}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
