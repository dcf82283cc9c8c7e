"""The training loss: cross-entropy whose logits (B*T, V) never exist all at once where they would be large."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from groundup.corpus import IGNORE
from groundup.model import Transformer

# Elements of the logits at once, by device. Each part adds to the gradient of the whole head, which is little beside
# its matrix products only where a part has many tokens: thousands on a GPU, hundreds on a CPU.
LOGITS_AT_ONCE = {"cpu": 2**25, "cuda": 2**28}


def loss_sums(model: Transformer, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and targets (B, T) to the sum of -ln P(target) in nats and the number of targets predicted best.

    Targets of IGNORE count in neither. Rows that only pad the vocabulary compete like all others, so that they become
    unlikely wherever the model is loaded.
    """
    parts = parts_of(targets.numel(), model.shape.vocab_size, inputs.device.type)
    # a wrapped or sharded model gathers its weights in its own forward; float16 gradients need the loss's scale
    if parts == 1 or type(model) is not Transformer or _dtype(inputs.device.type, torch.float32) == torch.float16:
        logits = model(inputs)  # (B, T, V)
        exact = torch.promote_types(logits.dtype, torch.float32)
        nll = F.cross_entropy(logits.to(exact).flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")
        return nll, (logits.detach().argmax(-1) == targets).sum()
    hidden = model.hidden(inputs).flatten(0, 1)
    return _Parts.apply(hidden, model.head_weight, targets.flatten(), parts, torch.is_grad_enabled())


def parts_of(tokens: int, vocabulary: int, device: str) -> int:
    """How many parts the logits of `tokens` are computed in."""
    return -(-tokens * vocabulary // LOGITS_AT_ONCE.get(device, LOGITS_AT_ONCE["cpu"])) or 1


class _Parts(torch.autograd.Function):
    """Final states (N, C), head (V, C) and targets (N,) to both sums, a part of the tokens at a time.

    The gradients are those of the first sum and are computed on the way forward, while a part's logits are there:
    nothing is computed twice, and what stays for the backward pass is as large as the states and the head.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, parts: int, with_gradients: bool
    ) -> tuple[Tensor, Tensor]:
        dtype = _dtype(hidden.device.type, hidden.dtype)
        exact = torch.promote_types(dtype, torch.float32)
        matrix = weight.detach().to(dtype)
        rows = -(-len(targets) // parts)
        columns = torch.arange(len(weight), device=targets.device)
        nll = torch.zeros((), dtype=exact, device=hidden.device)
        correct = torch.zeros((), dtype=torch.long, device=hidden.device)
        slopes, weight_slope = [], torch.zeros_like(weight) if with_gradients else None
        for states, wanted in zip(hidden.detach().to(dtype).split(rows), targets.split(rows), strict=True):
            counts = (wanted != IGNORE)[:, None]
            place = wanted.clamp_min(0)[:, None]
            logits = states @ matrix.mT  # (rows, V)
            log_p = logits.log_softmax(-1, dtype=exact)
            nll -= log_p.gather(1, place).where(counts, 0.0).sum()
            correct += (logits.argmax(-1) == wanted).sum()
            del logits
            if weight_slope is not None:
                slope = log_p.exp_().add_(columns == place, alpha=-1).to(dtype)  # by the logits: P - [is target]
                del log_p
                slopes.append((slope @ matrix).where(counts, 0.0))
                weight_slope += slope.mT @ states.where(counts, 0.0)
        if weight_slope is not None:
            ctx.save_for_backward(torch.cat(slopes).to(hidden.dtype), weight_slope)
        ctx.mark_non_differentiable(correct)
        return nll, correct

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        states, weight = ctx.saved_tensors
        return states * slopes[0], weight * slopes[0], None, None, None


def _dtype(device: str, otherwise: torch.dtype) -> torch.dtype:
    """The type of matrix products on `device`: autocast's where it is on."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else otherwise
