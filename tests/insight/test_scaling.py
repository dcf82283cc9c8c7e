"""The fit L = E + (D0/D)^a: what it finds again, how sure it says it is, and when it says nothing."""

import math
from typing import Any

import numpy as np
import pytest

from groundup.insight.scaling import ScalingFit, fit_scaling

SHARES = np.array([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1])
LARGEST = 2e6


def sizes(seeds: tuple[int, ...] = (3, 3, 3, 1, 1, 1)) -> np.ndarray:
    return np.repeat(SHARES * LARGEST, seeds)


def losses(x: np.ndarray, floor: float, size: float, exponent: float) -> np.ndarray:
    return floor + (size / x) ** exponent


def fitted(x: np.ndarray, y: np.ndarray, **how: Any) -> ScalingFit:
    fit = fit_scaling(x.tolist(), y.tolist(), **how)
    assert isinstance(fit, ScalingFit), fit
    return fit


@pytest.mark.parametrize(("floor", "size", "exponent"), [(1.0, 2e5, 0.4), (0.3, 5e4, 0.15), (2.0, 1e6, 1.1)])
def test_points_without_noise_give_their_parameters_back(floor: float, size: float, exponent: float) -> None:
    x = sizes()
    fit = fitted(x, losses(x, floor, size, exponent), draws=20)
    assert fit.floor.value == pytest.approx(floor, abs=2e-3)
    assert fit.size.value == pytest.approx(size, rel=0.02)
    assert fit.exponent.value == pytest.approx(exponent, rel=0.01)
    assert fit.gain.value == pytest.approx((size / LARGEST) ** exponent * (1 - 2**-exponent), rel=0.01)
    assert fit.now.value - fit.twice.value == pytest.approx(fit.gain.value)
    assert fit.at(LARGEST) == pytest.approx(fit.now.value)


def test_the_fit_is_that_of_an_exhaustive_search_for_least_squares() -> None:
    x = sizes()
    y = losses(x, 1.0, 2e5, 0.4) + 0.01 * np.cos(2.4 * np.arange(len(x)))  # no point far off all others
    fit = fitted(x, y, draws=10)
    least = math.inf
    for exponent in np.linspace(0.05, 1.5, 2000):  # an independent solver for each exponent
        design = np.column_stack([np.ones(len(x)), (x / LARGEST) ** -exponent])
        solution, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
        if residual[0] < least:
            least, best = float(residual[0]), (exponent, *solution)
    assert fit.exponent.value == pytest.approx(best[0], abs=2e-3)
    assert fit.floor.value == pytest.approx(best[1], abs=2e-3)
    assert fit.now.value == pytest.approx(best[1] + best[2], abs=1e-3)


@pytest.mark.parametrize("seeds", [(3, 3, 3, 1, 1, 1), pytest.param((1,) * 6, marks=pytest.mark.slow)])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: tuple[int, ...]) -> None:
    x, runs = sizes(seeds), 40
    true = losses(x, 1.0, 2e5, 0.4)
    gain = (2e5 / LARGEST) ** 0.4 * (1 - 2**-0.4)
    held = 0
    for number in range(runs):
        noise = 0.01 * np.random.default_rng(number).standard_normal(len(x))
        fit = fitted(x, true + noise, draws=100, seed=number)
        held += fit.gain.low <= gain <= fit.gain.high
        assert fit.gain.low <= fit.gain.value <= fit.gain.high
    assert 0.8 * runs <= held  # 90% are meant; two deviations of 40 draws below that


def test_what_more_brings_can_be_asked_beyond_the_largest_size() -> None:
    x = sizes()
    fit = fitted(x, losses(x, 1.0, 2e5, 0.4), whole=4 * LARGEST, draws=20)
    assert fit.now.value == pytest.approx(1 + (2e5 / (4 * LARGEST)) ** 0.4, abs=1e-3)
    assert fit.twice.value == pytest.approx(1 + (2e5 / (8 * LARGEST)) ** 0.4, abs=1e-3)
    assert fit.size.value == pytest.approx(2e5, rel=0.02)


def test_a_loss_that_hardly_falls_has_a_d0_beyond_every_text_and_the_form_still_gives_it() -> None:
    x = sizes((1,) * 6)
    y = 3.0 * (x / LARGEST) ** -0.025  # D0 is 3^40 times the largest size
    fit = fitted(x, y, draws=20)
    for one, loss in zip(x, y, strict=True):
        assert fit.at(one) == pytest.approx(loss, rel=1e-3)


def test_more_noise_gives_wider_intervals() -> None:
    x = sizes()
    noise = np.random.default_rng(0).standard_normal(len(x))
    widths = []
    for size in (0.002, 0.02):
        gain = fitted(x, losses(x, 1.0, 2e5, 0.4) + size * noise, draws=200).gain
        widths.append(gain.high - gain.low)
    assert widths[1] > 5 * widths[0]


def test_one_run_that_went_wrong_hardly_moves_the_fit() -> None:
    x = sizes()
    y = losses(x, 1.0, 2e5, 0.4) + 0.003 * np.random.default_rng(1).standard_normal(len(x))
    y[4] += 0.5
    assert fitted(x, y, draws=20).gain.value == pytest.approx((0.1) ** 0.4 * (1 - 2**-0.4), rel=0.15)


def test_the_same_points_give_the_same_intervals() -> None:
    x = sizes()
    y = losses(x, 1.0, 2e5, 0.4) + 0.01 * np.random.default_rng(1).standard_normal(len(x))
    assert fitted(x, y, draws=50) == fitted(x, y, draws=50)


def test_three_sizes_carry_no_fit_however_many_runs_there_are() -> None:
    x = np.repeat([1e5, 2e5, 4e5], 5) * np.tile([0.97, 0.99, 1.0, 1.02, 1.04], 3)  # parts are not of equal size
    why = fit_scaling(x.tolist(), losses(x, 1.0, 2e5, 0.4).tolist())
    assert isinstance(why, str) and "3 sizes" in why


def test_losses_that_do_not_fall_beyond_what_seeds_do_carry_no_fit() -> None:
    x = sizes((2, 2, 2, 2, 2, 2))
    flat = 2.0 + 0.01 * np.random.default_rng(2).standard_normal(len(x))
    why = fit_scaling(x.tolist(), flat.tolist())
    assert isinstance(why, str) and "does not fall" in why
    rising = fit_scaling(sizes((1,) * 6).tolist(), [1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    assert isinstance(rising, str) and "does not fall" in rising
