"""Muon: a matrix before and after it is orthogonalized, and what that does to its singular values."""

from typing import Any

import torch
from torch import Tensor

from groundup.insight.moments import load_moments
from groundup.insight.subject import Subject
from groundup.seeds import derive
from groundup.training.muon import orthogonalize
from groundup.training.optimizers import BLOCKS

TOY_SHAPE = (6, 4)
TOY_FALL = 4.0  # each singular value of the toy is so many times as large as the next
CORNER = 4  # rows and columns that are given as numbers
MOMENTA = {".momentum": "momentum", ".exp_avg": "average gradient (AdamW)"}


def explain_muon(subject: Subject | None, *, seed: int = 0) -> dict[str, Any]:
    """What `training.muon.orthogonalize` makes of a matrix: with a run the momentum of one of its blocks' matrices,
    drawn by `seed`; else a random one whose singular values fall geometrically.

    `before` and `after` hold the `corner` (up to 4 x 4 numbers), the `singular_values` (float64, descending), their
    `ratio` (largest to smallest), the `share_of_largest` in the sum of their squares, the `rms` of the elements, and
    the `rank` that is left: exp of the entropy of the squares' shares (Roy & Vetterli 2007, equation 5). `cosine` is
    the angle's between `after` and U V^T, the exact orthogonal factor. `scale` is what an update is multiplied by
    beside the rate, sqrt(max(1, rows / columns)), and `update_rms` the rms of an element of it at rate 1. With a run,
    training orthogonalizes this momentum blended with the step's gradient (Nesterov).
    """
    matrix, facts = _of_run(subject, seed) if subject else (None, {})
    if matrix is None:
        matrix, facts = toy_matrix(seed), {**facts, "source": "toy"}
    precision = subject.run.info.get("compute", {}).get("precision", "float32") if subject else "float32"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    after = orthogonalize(matrix[None].float(), dtype)[0].double()
    u, _, vt = torch.linalg.svd(matrix.double(), full_matrices=False)
    exact = u @ vt
    scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
    return {
        **facts,
        "shape": list(matrix.shape),
        "precision": str(dtype).removeprefix("torch."),
        "before": _describe(matrix.double()),
        "after": _describe(after),
        "cosine": ((after * exact).sum() / (after.norm() * exact.norm())).item(),
        "scale": scale,
        "update_rms": scale * _rms(after),
    }


def toy_matrix(seed: int) -> Tensor:
    """The matrix (TOY_SHAPE, float64) that is shown without a run."""
    generator = torch.Generator().manual_seed(derive(seed, "explained matrix"))
    rows, columns = TOY_SHAPE
    left = torch.linalg.qr(torch.randn(rows, columns, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(columns, columns, generator=generator, dtype=torch.float64))[0]
    return (left * TOY_FALL ** -torch.arange(columns, dtype=torch.float64)) @ right


def _of_run(subject: Subject, seed: int) -> tuple[Tensor | None, dict[str, Any]]:
    """A matrix of the optimizer's state that is not zero; None where there is none yet."""
    found = load_moments(subject)
    if found is None:
        return None, {}
    for suffix, what in MOMENTA.items():
        names = sorted(
            name.removesuffix(suffix)
            for name, tensor in found.tensors.items()
            if name.startswith(BLOCKS) and name.endswith(suffix) and tensor.ndim == 2 and bool(tensor.any())
        )
        if names:
            generator = torch.Generator().manual_seed(derive(seed, "explained matrix"))
            name = names[int(torch.randint(len(names), (), generator=generator))]
            facts = {"source": what, "name": name, "checkpoint": str(found.checkpoint), "step": found.step}
            return found.tensors[name + suffix], facts
    return None, {}


def _describe(matrix: Tensor) -> dict[str, Any]:
    values = torch.linalg.svdvals(matrix)
    squares = values**2 / (values**2).sum()
    return {
        "corner": matrix[:CORNER, :CORNER].tolist(),
        "singular_values": values.tolist(),
        "ratio": (values[0] / values[-1]).item() if values[-1] > 0 else None,
        "share_of_largest": squares[0].item(),
        "rms": _rms(matrix),
        "rank": torch.special.entr(squares).sum().exp().item(),
    }


def _rms(matrix: Tensor) -> float:
    return matrix.square().mean().sqrt().item()
