"""A function of a model as a module, which is what DistributedDataParallel takes."""

from collections.abc import Callable

from torch import Tensor, nn


class Applied(nn.Module):
    """`function(model, ...)`: compiled or not, it is one forward pass to whoever wraps it."""

    def __init__(self, function: Callable[..., tuple[Tensor, Tensor]], model: nn.Module) -> None:
        super().__init__()
        self.function, self.model = function, model

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets (B, T) to what the function gives."""
        return self.function(self.model, inputs, targets)
