"""Muon: the momentum of matrices, orthogonalized by a few matrix products, is what changes them."""

import torch
from torch import Tensor, nn

# Minimax odd quintics for singular values from .003 to 1, one after the other (Amsel et al., "The Polar Express",
# 2025, algorithm 1). All but the last are for values 1.01 times as large, since rounding may lift them above 1; the
# last is .9 times as high, so that updates are as large as with Keller Jordan's quintic and rates mean what they did.
_QUINTICS = (
    ((8.3007, -24.0375, 17.4661), (4.0034, -2.9228, 0.5419)),
    ((3.4709, -2.5494, 0.5002), (2.2411, -1.6508, 0.3932)),
)
# weights in the matrices that are worked on at a time on a CPU: what is computed from them then stays in its cache
_CACHED = 2**19


def orthogonalize(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """About .9 U V^T for each matrix U S V^T of `matrices` (K, rows, columns), computed and returned in `dtype`.

    Four Newton-Schulz steps X <- aX + (bA + cA^2) X with A = X X^T (Keller Jordan, "Muon: An optimizer for hidden
    layers in neural networks", 2024). X is first divided by the fourth root of the sum of its singular values' fourth
    powers, which is |A|^(1/2) and closer to the largest of them than |X| is. From .003 of that they end between .70
    and 1.08; smaller ones grow 258-fold. Zero stays 0.
    """
    x = matrices.to(dtype)
    gram = _gram(x)
    exact = torch.promote_types(dtype, torch.float32)  # a sum of squares has more digits than bfloat16
    square = torch.linalg.vector_norm(gram, dim=(1, 2), keepdim=True, dtype=exact).clamp_min(1e-14)
    x = x * square.rsqrt().to(dtype)
    x = _two_steps(x, gram.mul_(square.reciprocal().to(dtype)), *_QUINTICS[0])
    return _two_steps(x, _gram(x), *_QUINTICS[1])


def _gram(x: Tensor) -> Tensor:
    """The smaller of X X^T and X^T X."""
    return torch.bmm(x.mT, x) if x.size(1) > x.size(2) else torch.bmm(x, x.mT)


def _two_steps(
    x: Tensor, gram: Tensor, first: tuple[float, float, float], second: tuple[float, float, float]
) -> Tensor:
    """X (K, rows, columns) after two quintics, given its smaller Gram matrix.

    What is not square is multiplied once, by a product of factors that come from the Gram matrix alone (Zhang et al.,
    "Gram Newton-Schulz", 2026). Not more than two steps: in bfloat16 a third and fourth multiply the rounding of the
    Gram matrix until the result is useless.
    """
    a, b, c = first
    factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    if x.size(1) == x.size(2):
        x = torch.baddbmm(x, factor, x, beta=a)
        gram = _gram(x)
        a, b, c = second
        return torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    factor.diagonal(dim1=1, dim2=2).add_(a)
    gram = torch.bmm(torch.bmm(factor, gram), factor)
    a, b, c = second
    factor = torch.baddbmm(factor, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), factor, beta=a)
    return torch.bmm(x, factor) if x.size(1) > x.size(2) else torch.bmm(factor, x)


class Stack:
    """The matrices of one shape, whose updates are computed together; `state` is their momentum by name."""

    def __init__(self, parameters: dict[str, nn.Parameter]) -> None:
        self._parameters = list(parameters.values())
        first = self._parameters[0]
        self._momentum = torch.zeros(len(parameters), *first.shape, dtype=first.dtype, device=first.device)
        self._scale = max(1.0, first.size(0) / first.size(1)) ** 0.5
        self._together = max(1, _CACHED // first.numel()) if first.device.type == "cpu" else len(parameters)
        self.state = {f"{n}.momentum": m for n, m in zip(parameters, self._momentum.unbind(), strict=True)}

    @torch.no_grad()
    def step(self, rate: float, momentum: float, decay: float, dtype: torch.dtype) -> None:
        """w -= rate (scale O + decay w), with O the orthogonalized Nesterov momentum."""
        for start in range(0, len(self._parameters), self._together):
            parameters = self._parameters[start : start + self._together]
            buffer = self._momentum[start : start + self._together]
            gradients = torch.stack([p.grad for p in parameters if p.grad is not None])
            buffer.lerp_(gradients, 1 - momentum)
            update = orthogonalize(gradients.lerp_(buffer, momentum), dtype).to(buffer.dtype)
            for parameter, change in zip(parameters, update.unbind(), strict=True):
                parameter.mul_(1 - rate * decay).sub_(change, alpha=rate * self._scale)
