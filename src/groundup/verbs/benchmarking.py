"""`benchmark`: groundup beside its peers on this machine."""

import inspect
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

from groundup.benchmarking import Shape, compare_training, measure_cost, measure_decoding, measure_learning
from groundup.errors import UserError
from groundup.events import Listener
from groundup.reporting import draw_cost, draw_decoding, draw_learning, draw_training_benchmark
from groundup.runs import write_atomic
from groundup.verbs.request import PathLike

_KINDS: dict[str, tuple[Callable[..., dict[str, Any]], Callable[[Mapping[str, Any], Path], None]]] = {
    "train": (compare_training, draw_training_benchmark),
    "learn": (measure_learning, draw_learning),
    "generate": (measure_decoding, draw_decoding),
    "cost": (measure_cost, draw_cost),
}


class _Files(TypedDict, total=False):
    out: PathLike | None
    plot: PathLike | None
    listen: Listener


class TrainOptions(_Files, total=False):
    """Options of `groundup.benchmarking.compare_training`, and the files."""

    shapes: Sequence[str] | Mapping[str, Shape]
    threads: Sequence[int]
    contestants: Sequence[str]
    rounds: int
    seconds: float
    python_with: Sequence[str]
    seed: int


class LearnOptions(_Files, total=False):
    """Options of `groundup.benchmarking.measure_learning`, and the files."""

    text: PathLike
    at: Sequence[str]
    seeds: Sequence[int]
    caches: Sequence[str]
    threads: int | None
    reference_steps: int


class GenerateOptions(_Files, total=False):
    """Options of `groundup.benchmarking.measure_decoding`, and the files."""

    shapes: Sequence[str] | Mapping[str, Shape]
    prompts: Sequence[int]
    new_tokens: Sequence[int]
    threads: Sequence[int]
    contestants: Sequence[str]
    rounds: int
    seconds: float
    seed: int


class CostOptions(_Files, total=False):
    """Options of `groundup.benchmarking.measure_cost`, and the files."""

    lines: Mapping[str, Mapping[str, Shape]]
    contestant: str
    threads: int | None
    rounds: int
    seconds: float
    starts: int
    seed: int


@overload
def benchmark(kind: Literal["train"], **options: Unpack[TrainOptions]) -> dict[str, Any]: ...
@overload
def benchmark(kind: Literal["learn"], **options: Unpack[LearnOptions]) -> dict[str, Any]: ...
@overload
def benchmark(kind: Literal["generate"], **options: Unpack[GenerateOptions]) -> dict[str, Any]: ...
@overload
def benchmark(kind: Literal["cost"], **options: Unpack[CostOptions]) -> dict[str, Any]: ...
def benchmark(
    kind: str, *, out: PathLike | None = None, plot: PathLike | None = None, **options: Any
) -> dict[str, Any]:
    """Measure groundup and its peers in turns, each in a process of its own; return everything that was measured.

    `train` is tokens per second of training steps (TrainOptions). `learn` is time to quality on a text (LearnOptions);
    what `out` holds already is not measured again. `generate` is tokens per second of one text (GenerateOptions).
    `cost` is seconds per token against size, context and batch, and start-up times (CostOptions).
    `out` is a file for the result as JSON, `plot` one for a picture (PNG). Raises UserError for unknown kinds and
    options, for options that make no sense, and before measuring for files that cannot be written.
    """
    if kind not in _KINDS:
        raise UserError(f"unknown benchmark '{kind}'", fix=f"use one of {', '.join(_KINDS)}")
    measure, draw = _KINDS[kind]
    known = inspect.signature(measure).parameters
    if unknown := [name for name in options if name not in known]:
        fix = f"it has {', '.join(sorted({*known, 'out', 'plot'}))}"
        raise UserError(f"has no option '{unknown[0]}'", where=f"benchmark {kind}", fix=fix)
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise UserError(f"needs '{name}'", where=f"benchmark {kind}")
    files = [Path(path) if path is not None else None for path in (out, plot)]
    for path in files:
        if path is not None:
            _check_writable(path)  # before minutes of measuring, not after
    result_file, picture = files
    if "out" in known:  # what takes so long that it is kept after each run
        options["out"] = result_file
    result = measure(**options)
    try:
        if result_file is not None and "out" not in known:
            write_atomic(result_file, json.dumps(result, indent=1) + "\n")
        if picture is not None:
            draw(result, picture)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", where=error.filename or "") from None
    return result


def _check_writable(path: Path) -> None:
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError("its folder does not exist", where=path, fix="make it, or give another file")
    if path.exists() and not path.is_file():
        raise UserError("is no file", where=path, fix="give the name of a file")
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError("must not be written", where=path, fix="allow it, or give another file")
    try:
        tempfile.TemporaryFile(dir=folder).close()  # results are written beside the file and then put in its place
    except OSError as error:
        raise UserError(f"its folder cannot be written: {error.strerror}", where=path, fix="give another") from None
