"""What seeds do, and when a difference is more than that."""

import math
from statistics import stdev

import numpy as np
import pytest

from groundup.insight.noise import Noise, difference, evaluation_scatter, seed_noise, student_t


@pytest.mark.parametrize(
    ("inside", "freedom", "t"),  # two-sided quantiles of Student's t (Abramowitz & Stegun, table 26.10)
    [(0.95, 1, 12.706), (0.95, 2, 4.303), (0.95, 4, 2.776), (0.95, 5, 2.571), (0.95, 1000, 1.962), (0.9, 3, 2.353)],
)
def test_students_quantiles_are_those_of_the_tables(inside: float, freedom: int, t: float) -> None:
    assert student_t(inside, freedom) == pytest.approx(t, abs=6e-4)


def test_the_noise_of_groups_is_pooled_over_their_degrees_of_freedom() -> None:
    one, other = [1.0, 1.2, 1.1], [2.0, 2.4]
    noise = seed_noise([one, other, [7.0]])
    assert noise is not None and noise.freedom == 3
    assert noise.deviation == pytest.approx(math.sqrt((2 * stdev(one) ** 2 + stdev(other) ** 2) / 3))
    assert seed_noise([[1.0], [2.0]]) is None


def test_a_difference_is_judged_by_the_two_sample_t_test() -> None:
    ours, theirs = [1.00, 1.02, 1.01], [1.05, 1.08, 1.05]
    noise = seed_noise([ours, theirs])
    assert noise is not None
    found = difference(ours, theirs, noise)
    # by hand: s^2 = (0.0002 + 0.0006) / 4, t(4) = 2.776, 1/3 + 1/3
    assert found.amount == pytest.approx(0.05)
    assert found.plus_minus == pytest.approx(2.776 * math.sqrt(0.0008 / 4 * 2 / 3), rel=1e-3)
    assert found.beyond_seeds
    assert difference(ours, theirs, noise, of=5).plus_minus > found.plus_minus
    assert not difference(ours, theirs, Noise(0.05, 4)).beyond_seeds


def test_equal_settings_are_seldom_told_apart() -> None:
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        groups = [draw.normal(1.0, 0.01, 3).tolist() for _ in range(2)]
        noise = seed_noise(groups)
        assert noise is not None
        wrong += difference(*groups, noise).beyond_seeds
    assert 8 <= wrong <= 34  # 5% of 400, three deviations around it


def test_the_scatter_of_evaluations_is_found_beside_a_trend() -> None:
    draw = np.random.default_rng(0)
    entries = [{"val_bits_per_byte": 3 - 0.01 * n + 0.02 * draw.standard_normal()} for n in range(400)]
    entries[7]["val_bits_per_byte"] = None
    assert evaluation_scatter(entries) == pytest.approx(0.02, rel=0.15)
    assert evaluation_scatter(entries[:4]) is None
