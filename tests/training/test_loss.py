"""The loss in parts: torch's cross-entropy and its gradients, without logits that are all there at once."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from groundup.corpus import IGNORE
from groundup.model import ModelShape, Transformer
from groundup.training import loss
from groundup.training.loss import loss_sums

ROWS, TOKENS, VOCABULARY = 3, 14, 96


def model(tied: bool = True, dtype: torch.dtype = torch.float64) -> Transformer:
    made = Transformer(ModelShape("qwen3", VOCABULARY, 2, 32, 2, 1, 16, 48, TOKENS, tied=tied))
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3, generator=draws)
    return made.to(dtype)


def batch() -> tuple[Tensor, Tensor]:
    ids = torch.randint(VOCABULARY, (ROWS, TOKENS + 1), generator=torch.Generator().manual_seed(1))
    targets = ids[:, 1:].clone()
    targets[0, 3:7] = IGNORE
    targets[2] = IGNORE
    return ids[:, :-1], targets


def in_parts(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", {"cpu": -(-ROWS * TOKENS * VOCABULARY // parts)})
    assert loss.parts_of(ROWS * TOKENS, VOCABULARY, "cpu") == parts


def gradients(of: Transformer) -> dict[str, Tensor]:
    found = {name: p.grad for name, p in of.named_parameters() if p.grad is not None}
    of.zero_grad()
    return found


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("parts", [1, 2, 5, 42])
def test_sums_and_gradients_are_those_of_torch_however_many_parts(monkeypatch, parts: int, tied: bool) -> None:
    made, (inputs, targets) = model(tied), batch()
    logits = made(inputs)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")
    (expected * 0.7).backward()
    by_torch = gradients(made)
    in_parts(monkeypatch, parts)
    nll, correct = loss_sums(made, inputs, targets)
    (nll * 0.7).backward()
    assert nll.item() == pytest.approx(expected.item(), rel=1e-12)
    assert correct.item() == (logits.argmax(-1) == targets).sum().item()
    ours = gradients(made)
    assert ours.keys() == by_torch.keys() == dict(made.named_parameters()).keys()
    for name, gradient in ours.items():
        assert torch.allclose(gradient, by_torch[name], rtol=1e-10, atol=1e-12), name


def test_in_bfloat16_parts_are_as_near_to_the_truth_as_the_whole(monkeypatch) -> None:
    (inputs, targets), exact = batch(), model()
    loss_sums(exact, inputs, targets)[0].backward()
    truth, errors = gradients(exact), []
    for parts in (1, 4):
        in_parts(monkeypatch, parts)
        made = model(dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            nll, _ = loss_sums(made, inputs, targets)
        nll.backward()
        assert nll.dtype == torch.float32
        errors.append({n: float((g - truth[n]).norm() / truth[n].norm()) for n, g in gradients(made).items()})
    whole, parted = errors
    assert max(parted.values()) < 0.05
    assert all(parted[name] < 1.5 * whole[name] + 1e-3 for name in whole)


def test_without_gradients_the_sums_are_the_same(monkeypatch) -> None:
    made, (inputs, targets) = model(), batch()
    in_parts(monkeypatch, 3)
    with torch.no_grad():
        nll, correct = loss_sums(made, inputs, targets)
    assert not nll.requires_grad
    assert (nll.item(), correct.item()) == tuple(figure.item() for figure in loss_sums(made, inputs, targets))


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return made


def test_no_tensor_holds_more_logits_than_allowed(monkeypatch) -> None:
    made, (inputs, targets) = model(), batch()
    for parts, most in ((1, ROWS * TOKENS * VOCABULARY), (6, ROWS * TOKENS * VOCABULARY // 6)):
        in_parts(monkeypatch, parts)
        with Largest() as largest:
            loss_sums(made, inputs, targets)[0].backward()
        weights = max(p.numel() for p in made.parameters())
        assert largest.elements == (most if parts == 1 else max(most, weights))


def test_parts_are_as_few_as_the_limit_allows() -> None:
    most = loss.LOGITS_AT_ONCE["cpu"]
    assert [loss.parts_of(tokens, most // 8, "cpu") for tokens in (1, 8, 9, 16, 17)] == [1, 1, 2, 2, 3]
    assert loss.parts_of(8192, 257, "cpu") == 1  # small vocabularies are not touched
    assert loss.parts_of(8192, 50_304, "mps") == loss.parts_of(8192, 50_304, "cpu") > 1


def test_a_wrapped_model_gathers_its_weights_in_its_own_forward(monkeypatch) -> None:
    made, (inputs, targets) = model(), batch()
    in_parts(monkeypatch, 4)
    calls = []

    class Wrapped(Transformer):
        def forward(self, *args: Any, **kwargs: Any) -> Tensor:
            calls.append(1)
            return super().forward(*args, **kwargs)

    wrapped = Wrapped(made.shape).to(torch.float64)
    wrapped.load_state_dict(made.state_dict())
    assert loss_sums(wrapped, inputs, targets)[0].item() == pytest.approx(loss_sums(made, inputs, targets)[0].item())
    assert len(calls) == 1


def test_rows_that_pad_the_vocabulary_become_unlikely() -> None:
    made, (inputs, targets) = model(dtype=torch.float32), batch()
    inputs, targets = inputs % 64, targets.where(targets == IGNORE, targets % 64)  # the last 32 rows are no tokens
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        (loss_sums(made, inputs, targets)[0] / 20).backward()
        optimizer.step()
    with torch.no_grad():
        padding = made(inputs).softmax(-1)[..., 64:].sum(-1)
    assert padding[targets != IGNORE].mean() < 0.02 < 32 / 96


@pytest.mark.slow
def test_compiled_parts_compute_the_same(monkeypatch) -> None:
    made, (inputs, targets) = model(dtype=torch.float32), batch()
    in_parts(monkeypatch, 3)
    found = []
    for forward in (loss_sums, torch.compile(loss_sums, dynamic=False)):
        nll, correct = forward(made, inputs, targets)
        nll.backward()
        found.append((nll.item(), correct.item(), gradients(made)))
    (nll, correct, eager), (compiled_nll, compiled_correct, compiled) = found
    assert (compiled_nll, compiled_correct) == (pytest.approx(nll, rel=1e-5), correct)
    for name, gradient in compiled.items():
        assert torch.allclose(gradient, eager[name], rtol=1e-3, atol=1e-5), name
