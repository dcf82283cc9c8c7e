"""Spikes: the z-score against an independent reference, and which updates are judged."""

import random
import statistics
from types import SimpleNamespace
from typing import Any

import pytest

from groundup.config import Config
from groundup.events import Notice
from groundup.training import State
from groundup.training.health import STEADY, judge, robust_z


@pytest.mark.parametrize("count", [8, 9, 127, 128])
def test_the_score_is_the_distance_from_the_median_in_median_absolute_deviations(count: int) -> None:
    draw = random.Random(count)
    window = [draw.gauss(4, 1) for _ in range(count)]
    middle = statistics.median(window)
    deviation = statistics.median(abs(x - middle) for x in window) / statistics.NormalDist().inv_cdf(0.75)
    assert robust_z(9.0, window) == pytest.approx((9.0 - middle) / deviation, rel=1e-4)
    assert robust_z(middle, window) == 0.0


def test_spikes_in_the_window_do_not_hide_the_next_one() -> None:
    draw = random.Random(0)
    window = [draw.gauss(4, 0.1) for _ in range(60)]
    assert robust_z(5.0, [*window, *[50.0] * 10]) == pytest.approx(robust_z(5.0, window), rel=0.4)


def test_the_noise_of_a_steady_loss_is_no_spike() -> None:
    assert robust_z(2.0 + 2 * STEADY, [2.0] * 100) == pytest.approx(1.0)
    assert robust_z(0.0, [0.0] * 100) == 0.0


def job(**health: Any) -> Any:
    config = Config()
    for name, value in health.items():
        setattr(config.health, name, value)
    rows: list[dict[str, Any]] = []
    told: list[str] = []
    return SimpleNamespace(
        config=config,
        rows=rows,
        told=told,
        run=SimpleNamespace(path="the run"),
        group=SimpleNamespace(is_main=True),
        batches=SimpleNamespace(sequences=lambda number: [(0, 10 * number), (0, 10 * number + 1)]),
        metrics=SimpleNamespace(happened=rows.append),
        listen=lambda event: told.append(event.text) if isinstance(event, Notice) else None,
    )


def after(work: Any, losses: list[float], norms: list[float] | None = None) -> State:
    state = State(skipped=3)
    for loss, norm in zip(losses, norms or [1.0] * len(losses), strict=True):
        judge(work, state, loss, norm)
        state.step += 1
    return state


def test_a_spike_is_recorded_with_both_figures_and_its_samples_and_told_once() -> None:
    draw = random.Random(1)
    losses = [draw.gauss(4, 0.1) for _ in range(20)]
    work = job(window=16, spike=6.0)
    state = after(work, [*losses, 9.0])
    (row,) = work.rows
    z = robust_z(9.0, losses[-16:])
    assert row == {
        "step": 20,
        "event": "spike",
        "loss": 9.0,
        "loss_z": round(z, 2),
        "grad_norm": 1.0,
        "grad_norm_z": 0.0,
        "batch": 23,
        "sequences": [[0, 230], [0, 231]],
        "text": "groundup batch RUN 23",
    }
    (line,) = work.told
    assert line.startswith("step 20: a spike: loss 9 (z ") and "`groundup batch 'the run' 23` shows its text" in line
    assert state.spikes == 1 and state.losses == (*losses[-15:], 9.0) and len(state.norms) == 16


def test_a_gradient_norm_alone_is_recorded_and_a_fall_is_not() -> None:
    steady = [4.0] * 16
    work = job(window=16, spike=6.0)
    assert after(work, [*steady, 4.0], [*[1.0] * 16, 30.0]).spikes == 0  # recorded, but no reason to go back
    assert [row["grad_norm_z"] > 6 and row["loss_z"] == 0 for row in work.rows] == [True]
    work = job(window=16, spike=6.0)
    assert after(work, [*steady, 0.1], [*[1.0] * 16, 1e-9]).spikes == 0 and not work.rows


@pytest.mark.parametrize("health", [{"window": 17, "spike": 6.0}, {"window": 16, "spike": 0.0}])
def test_nothing_is_judged_before_the_window_is_full_nor_where_it_is_switched_off(health: dict[str, Any]) -> None:
    work = job(**health)
    state = after(work, [*[4.0] * 16, 40.0])
    assert (work.rows, state.spikes, len(state.losses)) == ([], 0, min(17, health["window"]))


def test_a_loss_that_stays_high_becomes_the_new_normal() -> None:
    work = job(window=16, spike=6.0)
    state = after(work, [*[4.0] * 16, *[8.0] * 40])
    assert len(work.rows) <= 16 and state.spikes == 0
