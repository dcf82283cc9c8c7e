"""Matrices of a packed model: several of a trained one joined, in float32, bfloat16 or int8."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16", "int8"]

_FEW_ROWS = 16  # up to so many rows the int8 kernel wins over multiplying with the weights made floats again


def pack(matrices: Sequence[Tensor], precision: Precision) -> "Matrix | Int8Matrix":
    """Matrices (N_i, K) of equal K as one of sum(N_i) rows; a single one in its own precision is not copied."""
    joined = torch.cat([matrix.detach() for matrix in matrices]) if len(matrices) > 1 else matrices[0].detach()
    if precision == "int8":
        return Int8Matrix(joined)
    return Matrix(joined.to(torch.bfloat16 if precision == "bfloat16" else torch.float32))


class Matrix(nn.Module):
    """A matrix (N, K) of floats."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        """x (M, K) to (M, N)."""
        return F.linear(x, self.weight)

    def rows(self, ids: Tensor) -> Tensor:
        """The rows (*, K) that `ids` (*) name."""
        return F.embedding(ids, self.weight)


class Int8Matrix(nn.Module):
    """A matrix (N, K) in one byte a weight: row n is `weight[n] * scale[n]`.

    The scale makes the largest weight of a row 126 or 127 steps, and all are rounded to the nearest step (symmetric
    quantization by output channel; LLM.int8(), arXiv 2208.07339, section 2.1).
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        matrix = matrix.float()
        # rounded before the weights are divided by it, so that its own rounding costs nothing; up, so that 127 holds
        scale = (matrix.abs().amax(1) / 127 * (1 + 2**-8)).to(torch.bfloat16)
        scale = torch.where(scale > 0, scale, 1.0)  # a row of zeros
        self.register_buffer("weight", (matrix / scale.float()[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """x (M, K) in bfloat16 to (M, N)."""
        if x.shape[0] <= _FEW_ROWS and x.device.type == "cpu" and x.shape[1] % 32 == 0:
            return torch.ops.aten._weight_int8pack_mm(x, self.weight, self.scale)
        return F.linear(x, self.weight.to(x.dtype)) * self.scale

    def rows(self, ids: Tensor) -> Tensor:
        """The rows (*, K) that `ids` (*) name, in bfloat16."""
        return self.weight[ids] * self.scale[ids][..., None]
