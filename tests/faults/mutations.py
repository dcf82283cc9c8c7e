"""Seeded damage to files: bits and bytes, and the structure of JSON, TOML and safetensors."""

import copy
import json
import math
import random
import struct
from collections.abc import Callable
from typing import Any

_DEEP = "@@deep@@"
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 7, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e-320, 1e308,
    math.nan, math.inf, -math.inf, "", "x", "0", "NaN", "../../../tmp/outside", "/etc/passwd", "C:\\", "a\0b", "\ud800",
    "é" * 3, "x" * 100_000, [], {}, [[]], [0] * 10_000, {"": ""}, {"type": "Regex", "Regex": "(a+)+$"}, _DEEP,
    ["../x"], {"bytes": 2**62, "sha256": ""}, "__class__", "float64", "I64", [2**62, 2**62],
]  # fmt: skip
_NUMBERS = [0, 1, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
_TOML = [
    "0", "-1", "1", "999999999999999999999999", "1e400", "nan", "inf", "-inf", '""', '"x"', "true", "false", "[]",
    "[[[]]]", "{}", "{ a = 1 }", "1979-05-27", "[1, 'a']", "'''x'''", '"\\ud800"', "1_0", "0x7f", "[" * 900 + "]" * 900,
    '"' + "y" * 70_000 + '"', "1048576", "131072", "65536", "1000000", '"/etc"', "1e-300", "1e300",
]  # fmt: skip


def mutate(draw: random.Random, name: str, data: bytes) -> bytes:
    """`data`, the content of a file called `name`, with something wrong; what, `draw` decides."""
    structural: dict[str, Callable[[random.Random, bytes], bytes]] = {
        "json": _json,
        "jsonl": _lines,
        "toml": _toml,
        "safetensors": _safetensors,
    }
    change = structural.get(name.rpartition(".")[2], _bytes)
    changed = (change if draw.random() < 0.75 else _bytes)(draw, data)
    return _bytes(draw, changed) if draw.random() < 0.1 else changed


def _bytes(draw: random.Random, data: bytes) -> bytes:
    content = bytearray(data)
    at, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    kind = draw.randrange(9)
    if kind <= 2 and content:
        for _ in range(draw.choice([1, 1, 1, 2, 8, 64])):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif kind == 3:
        del content[at : min(end, at + 64)]
    elif kind == 4:
        del content[at:]
    elif kind == 5:
        content[at:at] = draw.randbytes(draw.choice([1, 8, 64, 4096]))
    elif kind == 6:
        content[at:at] = content[at : min(end, at + 4096)]
    elif kind == 7:
        content[at:end] = bytes([draw.choice([0, 0xFF, 0x20, 0x5B])]) * (end - at)
    else:
        at = draw.choice([0, at, at - at % 8])
        content[at : at + 8] = struct.pack("<Q", draw.choice(_NUMBERS))
    return bytes(content)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value inside."""
    found, todo = [], [value]
    while todo:
        here = todo.pop()
        for key in list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ():
            found.append((here, key))
            todo.append(here[key])
    return found


def change(draw: random.Random, value: Any) -> Any:
    """A JSON value with one to three of its parts replaced, removed, moved or added."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        places = _places(value)
        if not places or draw.random() < 0.02:
            return draw.choice(_VALUES)
        # shallow parts, which mean the most, as often as all those below them
        container, key = draw.choice(places[: 1 + len(places) // draw.choice([1, 4, 16, 64])])
        other, where = draw.choice(places)
        kind = draw.randrange(8)
        if kind <= 3:
            container[key] = draw.choice(_VALUES)
        elif kind == 4:
            del container[key]
        elif kind == 5:
            container[key] = copy.deepcopy(other[where])
        elif kind == 6 and isinstance(container, dict):
            container[str(draw.choice(_VALUES))[:200]] = container.pop(key)
        elif type(container[key]) in (int, float):
            container[key] = container[key] * draw.choice([-1, 2, 0.5, 1000, 0]) + draw.choice([0, 1, -1])
        elif isinstance(container, list):
            container.insert(key, draw.choice(_VALUES))
        else:
            container[draw.choice(["x", "version", "", "path"])] = draw.choice(_VALUES)
    return value


def _dump(draw: random.Random, value: Any) -> bytes:
    try:
        text = json.dumps(value, indent=draw.choice([None, 1]))
    except (ValueError, RecursionError):  # a number of 400 digits is none of these, but a float of it is
        text = "{}"
    depth = draw.choice([20, 500, 100_000])
    return text.replace(f'"{_DEEP}"', "[" * depth + "]" * depth).encode()


def _json(draw: random.Random, data: bytes) -> bytes:
    return _dump(draw, change(draw, json.loads(data)))


def _lines(draw: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return _bytes(draw, data)
    at = draw.randrange(len(lines))
    lines[at] = _dump(draw, change(draw, json.loads(lines[at]))).replace(b"\n", b" ") + b"\n"
    return b"".join(lines)


def _toml(draw: random.Random, data: bytes) -> bytes:
    lines = data.decode().split("\n")
    for _ in range(draw.choice([1, 1, 2, 4])):
        at = draw.randrange(len(lines))
        name, equals, _ = lines[at].partition("=")
        kind = draw.randrange(7)
        if kind <= 3 and equals:
            lines[at] = f"{name}= {draw.choice(_TOML)}"
        elif kind == 4:
            del lines[at]
        elif kind == 5:
            lines.insert(at, draw.choice(lines))
        else:
            key = draw.choice(["a." * 20_000 + "a", "model", '"\\u0000"', "[[model]]", "[data.x]", "origins", "é"])
            lines.insert(at, f"{key} = {draw.choice(_TOML)}" if not key.startswith("[") else key)
        lines = lines or [""]
    return "\n".join(lines).encode()


def _safetensors(draw: random.Random, data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], data[8 + length :]
    kind = draw.randrange(8)
    if kind <= 4:
        header = _dump(draw, change(draw, json.loads(header)))
        length = len(header)
    elif kind == 5:
        length = draw.choice([*_NUMBERS, length + 1, length - 1, len(data), len(data) - 8])
    else:
        numbers = bytearray(body)
        for _ in range(draw.choice([1, 1, 100])):
            at = 4 * draw.randrange(len(body) // 4)
            number = draw.choice([math.nan, math.inf, -math.inf, 1e38, -1e38, 1e-45, 0.0, -1.0])
            numbers[at : at + 4] = struct.pack("<f", number)
        body = bytes(numbers)
    return struct.pack("<Q", length) + header + body
