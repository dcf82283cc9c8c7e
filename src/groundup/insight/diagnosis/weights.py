"""How far training moved the weights, from the first and the newest checkpoint."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from groundup.runs import published

MOST_BYTES = 64 << 20
"""Of the matrices that are looked at, in each checkpoint: the first layers of large models."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Of the blocks' matrices that do not start at zero, the median."""

    moved: float
    """|W - W0| / |W0| (Frobenius norms): 0 where nothing was learned, 1.4 where nothing of the start is left."""
    grown: float
    """|W| / |W0|."""
    steps: int
    """Between the two checkpoints."""


def movement(run: Path) -> Movement | None:
    """None where there is no checkpoint of step 0, or no later one. Raises OSError for damaged files."""
    steps = published(run)
    if 0 not in steps or len(steps) < 2:
        return None
    last = max(steps)
    try:
        with (
            safe_open(steps[0] / "model.safetensors", "np") as before,
            safe_open(steps[last] / "model.safetensors", "np") as after,
        ):
            moved, grown, read = [], [], 0
            for name in sorted(before.keys()):
                if not name.startswith("model.layers.") or "norm" in name or read > MOST_BYTES:
                    continue
                old = before.get_tensor(name).astype(np.float64)
                read += old.nbytes // 2
                size = float(np.linalg.norm(old))
                if size > 0:
                    new = after.get_tensor(name).astype(np.float64)
                    moved.append(float(np.linalg.norm(new - old)) / size)
                    grown.append(float(np.linalg.norm(new)) / size)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    return Movement(statistics.median(moved), statistics.median(grown), last) if moved else None
