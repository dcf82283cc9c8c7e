"""`benchmark`: groundup beside its peers on this machine."""

import json
from pathlib import Path
from typing import Any, Literal

from groundup.benchmarking import compare_training, measure_decoding, measure_learning
from groundup.errors import UserError
from groundup.events import Listener, nobody
from groundup.reporting import draw_decoding, draw_learning, draw_training_benchmark
from groundup.verbs.request import PathLike


def benchmark(
    kind: Literal["train", "learn", "generate"],
    *,
    out: PathLike | None = None,
    plot: PathLike | None = None,
    listen: Listener = nobody,
    **options: Any,
) -> dict[str, Any]:
    """Measure groundup and its peers in turns, each in a process of its own; return everything that was measured.

    `train` is tokens per second of training steps; its `options` are those of `groundup.benchmarking.compare_training`.
    `learn` is time to quality on a text; its `options` are those of `groundup.benchmarking.measure_learning`, and what
    `out` holds already is not measured again.
    `generate` is tokens per second of one text; its `options` are those of `groundup.benchmarking.measure_decoding`.
    `out` is a file for the result as JSON, `plot` one for a picture (PNG). Raises UserError for options that make no
    sense and files that cannot be written.
    """
    if kind not in ("train", "learn", "generate"):
        raise UserError(f"unknown benchmark '{kind}'", fix="use train, learn or generate")
    for path in (out, plot):  # before minutes of measuring, not after
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise UserError("its folder does not exist", where=Path(path), fix="make it, or give another file")
    if kind == "learn":
        result, draw = measure_learning(**options, out=Path(out) if out else None, listen=listen), draw_learning
    elif kind == "generate":
        result, draw = measure_decoding(**options, listen=listen), draw_decoding
    else:
        result, draw = compare_training(**options, listen=listen), draw_training_benchmark
    try:
        if out is not None:
            Path(out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        if plot is not None:
            draw(result, Path(plot))
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", where=error.filename or "") from None
    return result
