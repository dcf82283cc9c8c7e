import math
from itertools import pairwise

import pytest

from groundup.config import Schedule
from groundup.training.schedules import multiplier

SHAPES = ("wsd", "cosine", "linear", "constant")


def rates(schedule: Schedule, total: int, warmup: int = 0) -> list[float]:
    return [multiplier(schedule, step, [(0, total)], warmup) for step in range(total)]


def test_warmup_rises_linearly_from_above_zero_to_the_peak():
    for shape in SHAPES:
        assert rates(Schedule(shape=shape), 100, warmup=4)[:4] == [0.25, 0.5, 0.75, 1.0]


def test_linear_by_hand():
    # 5 updates, 1 of warmup: share left after each 1, 3/4, 2/4, 1/4, 0
    schedule = Schedule(shape="linear", minimum=0.2)
    assert rates(schedule, 5, warmup=1) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2], abs=1e-15)
    assert rates(schedule, 4) == pytest.approx([0.8, 0.6, 0.4, 0.2], abs=1e-15)  # without warmup


def test_cosine_by_hand():
    # share left 1, 2/3, 1/3, 0: (1 - cos(pi s)) / 2 = 1, 3/4, 1/4, 0
    schedule = Schedule(shape="cosine", minimum=0.1)
    assert rates(schedule, 6, warmup=3)[2:] == pytest.approx([1, 0.775, 0.325, 0.1], abs=1e-15)


def test_wsd_is_stable_and_then_falls_linearly_over_the_decay_share_of_the_run():
    schedule = Schedule(shape="wsd", decay=0.4, minimum=0.0)
    assert rates(schedule, 10, warmup=2) == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0], abs=1e-15)


def test_wsd_whose_warmup_reaches_into_the_decay_falls_from_the_end_of_warmup():
    schedule = Schedule(shape="wsd", decay=1.0, minimum=0.0)
    assert rates(schedule, 6, warmup=2) == pytest.approx([0.5, 1, 0.75, 0.5, 0.25, 0], abs=1e-15)


def test_constant_and_wsd_without_decay_stay_at_the_peak():
    assert rates(Schedule(shape="constant"), 5, warmup=2) == [0.5, 1, 1, 1, 1]
    assert rates(Schedule(shape="wsd", decay=0.0), 5, warmup=2) == [0.5, 1, 1, 1, 1]


@pytest.mark.parametrize("shape", ("wsd", "cosine", "linear"))
@pytest.mark.parametrize("total,warmup", [(1, 0), (2, 1), (7, 0), (100, 10), (1000, 3), (997, 500)])
@pytest.mark.parametrize("minimum", (0.0, 0.05, 0.3, 1.0))
def test_the_peak_is_one_the_last_update_is_at_the_minimum_and_nothing_leaves_that_range(shape, total, warmup, minimum):
    values = rates(Schedule(shape=shape, minimum=minimum), total, warmup)
    assert values[-1] == minimum
    assert all(minimum <= value <= 1 for value in values[warmup:])
    assert all(0 < value <= 1 for value in values[:warmup])
    assert values[warmup:] == sorted(values[warmup:], reverse=True)
    if warmup:
        assert values[warmup - 1] == 1
    assert multiplier(Schedule(shape=shape, minimum=minimum), total + 50, [(0, total)], warmup) == minimum


@pytest.mark.parametrize("shape", SHAPES)
def test_a_warmup_longer_than_the_run_only_rises(shape):
    assert rates(Schedule(shape=shape), 4, warmup=4) == [0.25, 0.5, 0.75, 1.0]
    assert rates(Schedule(shape=shape), 4, warmup=8) == [0.125, 0.25, 0.375, 0.5]


def test_a_correction_by_hand():
    # after 4 of 8 half is left; 12 updates in all spread that half over 8: 7/16, 6/16, ...
    schedule = Schedule(shape="linear", minimum=0.0)
    horizon = [(0, 8), (4, 12)]
    values = [multiplier(schedule, step, horizon, 0) for step in range(12)]
    assert values == pytest.approx([7 / 8, 6 / 8, 5 / 8, 4 / 8, *(k / 16 for k in range(7, -1, -1))], abs=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_correction_leaves_earlier_rates_alone_and_makes_no_jump(shape):
    schedule = Schedule(shape=shape, decay=0.6, minimum=0.05)
    before, corrected = [(0, 1000)], [(0, 1000), (300, 700), (500, 2500), (2000, 2100)]
    values = [multiplier(schedule, step, corrected, 20) for step in range(2100)]
    assert values[:300] == [multiplier(schedule, step, before, 20) for step in range(300)]
    if shape != "constant":
        assert values[-1] == 0.05
    # the steepest honest slope: cosine's pi / 2 over all that the shortest forecast leaves
    steepest = math.pi / 2 * max(1 / 400, 1 / 100) / 0.6
    assert max(abs(a - b) for a, b in pairwise(values[20:])) <= steepest
    assert values[20:] == sorted(values[20:], reverse=True)


def test_a_correction_to_the_same_length_changes_nothing():
    schedule = Schedule(shape="cosine")
    for step in range(50):
        plain = multiplier(schedule, step, [(0, 50)], 5)
        corrected = multiplier(schedule, step, [(0, 50), (3, 50), (20, 50), (20, 50)], 5)
        assert corrected == pytest.approx(plain, abs=1e-14)


def test_a_correction_during_warmup_keeps_the_warmup():
    schedule = Schedule(shape="linear", minimum=0.0)
    values = [multiplier(schedule, step, [(0, 100), (2, 10)], 4) for step in range(10)]
    assert values == pytest.approx([0.25, 0.5, 0.75, 1, *(k / 6 for k in range(5, -1, -1))], abs=1e-15)


def test_a_correction_that_says_the_run_is_over_makes_the_next_update_the_last():
    schedule = Schedule(shape="linear", minimum=0.1)
    horizon = [(0, 100), (50, 40)]
    assert multiplier(schedule, 49, horizon, 0) == pytest.approx(0.55)
    assert multiplier(schedule, 50, horizon, 0) == 0.1
