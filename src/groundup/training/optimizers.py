"""AdamW, or Muon for the blocks' matrices with AdamW for the rest; state is saved and loaded by name."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from groundup.config import Optimizer
from groundup.training.muon import Stack

EMBEDDING = "model.embed_tokens.weight"
BLOCKS = "model.layers."
_FUSED_DEVICES = ("cpu", "cuda", "mps")


class Optimizers:
    """One model's AdamW and, under `muon`, the matrices that Muon updates beside it.

    `matrices` and a group's parameters are name -> parameter; a group is (peak rate, decay, parameters).
    """

    def __init__(
        self,
        config: Optimizer,
        groups: list[tuple[float, float, dict[str, nn.Parameter]]],
        matrices: dict[str, nn.Parameter],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        assert config.learning_rate is not None and config.weight_decay is not None
        self._rate, self._decay = config.learning_rate, config.weight_decay
        self._momentum, self._dtype = config.momentum, dtype
        shapes: dict[torch.Size, dict[str, nn.Parameter]] = {}
        for name, parameter in matrices.items():
            shapes.setdefault(parameter.shape, {})[name] = parameter
        self._stacks = [Stack(parameters) for parameters in shapes.values()]
        self._names = {p: n for *_, parameters in groups for n, p in parameters.items()}
        self._parameters = matrices | {name: p for p, name in self._names.items()}
        self._peaks = [peak for peak, _, parameters in groups if parameters]
        fused = all(p.device.type in _FUSED_DEVICES for p in self._names)
        self._adamw = torch.optim.AdamW(
            [{"params": list(ps.values()), "lr": peak, "weight_decay": wd} for peak, wd, ps in groups if ps],
            betas=config.betas,
            eps=config.eps,
            fused=fused,
        )
        # torch makes this on the first step; made here, so that loading only ever fills what is there
        for p in self._names:
            self._adamw.state[p] = {
                "step": torch.zeros((), dtype=torch.float32, device=p.device if fused else "cpu"),
                "exp_avg": torch.zeros_like(p, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(p, memory_format=torch.preserve_format),
            }

    def step(self, rate: float) -> None:
        """Update every weight once from its gradient; `rate` in (0, 1] multiplies each group's peak
        rate."""
        # one count of steps serves all of AdamW, and one stack all matrices of a shape: none may be left out
        missing = [name for name, p in self._parameters.items() if p.grad is None]
        assert not missing, f"no gradient: {missing}"
        for stack in self._stacks:
            stack.step(rate * self._rate, self._momentum, self._decay, self._dtype)
        for group, peak in zip(self._adamw.param_groups, self._peaks, strict=True):
            group["lr"] = rate * peak
        self._adamw.step()

    def zero_grad(self) -> None:
        """Drop every gradient."""
        for parameter in self._parameters.values():
            parameter.grad = None

    def state_tensors(self) -> dict[str, Tensor]:
        """All state by name: `model.layers.0.mlp.up_proj.weight.momentum`, `lm_head.weight.exp_avg` (and
        `.exp_avg_sq`), `adamw.step` (int64, no dimensions). The tensors are the live ones: write or copy
        them before the next step.
        """
        state = {name: tensor for stack in self._stacks for name, tensor in stack.state.items()}
        for parameter, name in self._names.items():
            for moment in ("exp_avg", "exp_avg_sq"):
                state[f"{name}.{moment}"] = self._adamw.state[parameter][moment]
        if self._names:
            state["adamw.step"] = self._adamw.state[next(iter(self._names))]["step"].to(torch.int64)
        return state

    @torch.no_grad()
    def load_state_tensors(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state_tensors` gave.

        Raises ValueError, naming the tensor and before anything is changed, when one is missing,
        unexpected, or of another shape or type.
        """
        own = self.state_tensors()
        for name in sorted(own.keys() ^ state.keys()):
            raise ValueError(f"optimizer state: {name} is {'missing' if name in own else 'unexpected'}")
        for name, tensor in own.items():
            given = state[name]
            if given.shape != tensor.shape or given.dtype != tensor.dtype:
                raise ValueError(
                    f"optimizer state: {name} is {tuple(given.shape)} {given.dtype}, "
                    f"not {tuple(tensor.shape)} {tensor.dtype}"
                )
        for name, tensor in own.items():
            tensor.copy_(state[name])
        for parameter in self._names:
            self._adamw.state[parameter]["step"].copy_(state["adamw.step"])


def build_optimizer(model: nn.Module, config: Optimizer, dtype: torch.dtype = torch.float32) -> Optimizers:
    """The optimizer of `model`'s trainable parameters, named as Hugging Face does; all rates are decided.

    Under `muon` the matrices inside the blocks are Muon's, the embedding (tied or not) has
    `embedding_rate`, the head and the norms `head_rate`. Decay is on every tensor with two or more
    dimensions, embedding and head included: one rule for both optimizers, and the row of a token that is
    never seen shrinks instead of keeping its random start. `dtype` is Muon's arithmetic: bfloat16 where the
    device computes in it (4 times as fast as float32 on one CPU thread). Call it once the model is on its
    device. Raises ValueError for other names.
    """
    assert config.learning_rate is not None and config.weight_decay is not None
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if config.name == "adamw":
        decayed = {name: p for name, p in named.items() if p.ndim >= 2}
        plain = {name: p for name, p in named.items() if p.ndim < 2}
        rate = config.learning_rate
        return Optimizers(config, [(rate, config.weight_decay, decayed), (rate, 0.0, plain)], {}, dtype)
    assert config.name == "muon" and config.embedding_rate is not None and config.head_rate is not None
    matrices = {name: p for name, p in named.items() if name.startswith(BLOCKS) and p.ndim == 2}
    if not matrices or EMBEDDING not in named:
        raise ValueError(f"muon needs parameters named {EMBEDDING} and {BLOCKS}*, not {next(iter(named), 'none')}")
    rest = {name: p for name, p in named.items() if name not in matrices and name != EMBEDDING}
    groups = [
        (config.embedding_rate, config.weight_decay, {EMBEDDING: named[EMBEDDING]}),
        (config.head_rate, config.weight_decay, {name: p for name, p in rest.items() if p.ndim >= 2}),
        (config.head_rate, 0.0, {name: p for name, p in rest.items() if p.ndim < 2}),
    ]
    return Optimizers(config, groups, matrices, dtype)


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """The global L2 norm of all gradients before they are scaled down to `max_norm`; 0 only measures.

    A tensor without dimensions, which a device has not been waited for. Gradients that are not finite make
    it so.
    """
    parameters = [p for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if max_norm > 0:
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
