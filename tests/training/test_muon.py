import pytest
import torch
from torch import nn

from groundup.training import muon
from groundup.training.muon import Stack, orthogonalize


def spectrum(shape, values, seed=3):
    """A matrix in float64 with these singular values."""
    generator = torch.Generator().manual_seed(seed)
    u, _ = torch.linalg.qr(torch.randn(shape[0], len(values), dtype=torch.float64, generator=generator))
    v, _ = torch.linalg.qr(torch.randn(shape[1], len(values), dtype=torch.float64, generator=generator))
    return u @ torch.diag(values) @ v.T


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
@pytest.mark.parametrize("shape", ((64, 64), (172, 64), (64, 172), (1, 24), (24, 1)))
def test_orthogonalizing_keeps_singular_vectors_and_levels_singular_values(shape, dtype):
    matrix = torch.randn(3, *shape, generator=torch.Generator().manual_seed(7)) * 1e-3
    result = orthogonalize(matrix, dtype)
    assert result.dtype == dtype
    for given, made in zip(matrix, result, strict=True):
        u, s, v = torch.linalg.svd(given.double(), full_matrices=False)
        values = (u.T @ made.double() @ v.T).diagonal()  # its singular values along the SVD's own vectors
        seen = values[s / (s**4).sum() ** 0.25 > 0.003]
        assert len(seen) >= 0.9 * len(values)
        assert seen.min() > 0.69 and values.max() < 1.1
        exact = u @ v
        cosine = (exact * made.double()).sum() / (exact.norm() * made.norm())
        assert cosine > 0.98


def test_a_zero_matrix_stays_zero_and_others_in_its_stack_are_not_touched_by_it():
    matrices = torch.randn(2, 8, 12, generator=torch.Generator().manual_seed(1))
    matrices[0] = 0
    result = orthogonalize(matrices)
    assert torch.equal(result[0], torch.zeros(8, 12))
    torch.testing.assert_close(result[1], orthogonalize(matrices[1:])[0])


@pytest.mark.parametrize("shape", ((32, 32), (96, 32), (32, 96)))
def test_a_stack_is_orthogonalized_as_one_by_one(shape):
    matrices = torch.randn(5, *shape, generator=torch.Generator().manual_seed(2))
    alone = torch.cat([orthogonalize(matrix[None]) for matrix in matrices])
    torch.testing.assert_close(orthogonalize(matrices), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", ((96, 96), (256, 96), (96, 256)))
def test_rounding_to_bfloat16_neither_blows_up_nor_turns_what_is_far_below_the_largest(shape):
    # small singular values are lost in the rounding of a Gram matrix, and more than two steps on it multiply that
    values = torch.logspace(0, -3, 96, dtype=torch.float64)
    given = spectrum(shape, values)
    made = orthogonalize(given.float()[None], torch.bfloat16)[0].double()
    u, s, v = torch.linalg.svd(given, full_matrices=False)
    along = (u.T @ made @ v.T).diagonal()
    norm = (s**4).sum() ** 0.25
    assert along[s / norm > 0.005].min() > 0.69
    assert along.min() > 0.1
    assert torch.linalg.svdvals(made).max() < 1.12


def test_an_update_is_as_large_for_gradients_of_any_size():
    matrix = torch.randn(1, 24, 40, generator=torch.Generator().manual_seed(4))
    expected = orthogonalize(matrix, torch.bfloat16)
    for power in (-20, -7, 20):  # exact in binary, so nothing may change
        assert torch.equal(orthogonalize(matrix * 2.0**power, torch.bfloat16), expected)


@pytest.mark.parametrize("shape", ((32, 32), (96, 32), (32, 96)))
def test_what_is_worked_on_together_does_not_change_the_updates(shape, monkeypatch):
    def updated(cached):
        monkeypatch.setattr(muon, "_CACHED", cached)
        generator = torch.Generator().manual_seed(5)
        parameters = {str(i): nn.Parameter(torch.randn(shape, generator=generator)) for i in range(5)}
        stack = Stack(parameters)
        for _ in range(3):
            for parameter in parameters.values():
                parameter.grad = torch.randn(shape, generator=generator)
            stack.step(0.1, 0.95, 0.1, torch.float32)
        return torch.stack([p.detach() for p in parameters.values()])

    together = updated(2**19)
    for cached in (1, 2 * shape[0] * shape[1]):  # one by one; two, two and one
        torch.testing.assert_close(updated(cached), together, rtol=0, atol=1e-4)
