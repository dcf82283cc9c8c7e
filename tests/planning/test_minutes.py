"""The minutes of a run: what they are made of, and what makes their interval wider."""

from pathlib import Path
from typing import Any

import pytest

from groundup.config import Config, load_config
from groundup.corpus import Corpus
from groundup.planning import make_plan
from groundup.planning.calibrate import Pace
from groundup.planning.interval import Interval
from groundup.planning.minutes import LATE, RATIOS, beside_steps, expected_minutes

STEADY = Pace(step_seconds=0.1, score_seconds=1e-6, fast=0.1, slow=0.1)


@pytest.fixture
def expect(corpus_dir: Path, tiny: dict[str, Any]) -> Any:
    """(settings, pace, elapsed) to the interval and the configuration."""

    def made(settings: dict[str, Any], pace: Pace = STEADY, elapsed: float = 10.0) -> tuple[Interval, Config]:
        config, corpus = load_config(None, {**tiny, **settings}), Corpus(corpus_dir)
        clock = {"flops_per_second": 1e10, "seconds_left": 1000.0} if "training.minutes" in settings else {}
        plan = make_plan(config, corpus, **clock)
        steps = settings.get("training.steps", 1000)
        found = expected_minutes(config, corpus, plan.shape, steps, pace, elapsed=elapsed, compiled=False)
        return found, config

    return made


def test_steps_take_what_is_over_the_steps_and_what_is_beside_them(expect: Any) -> None:
    short, _ = expect({"training.steps": 100, "evaluation.every": 1000})
    long, _ = expect({"training.steps": 200, "evaluation.every": 1000})
    later, _ = expect({"training.steps": 100, "evaluation.every": 1000}, elapsed=70.0)
    assert long.expected - short.expected == pytest.approx(100 * 0.1 / 60)
    assert later.expected - short.expected == pytest.approx(1.0)
    often, _ = expect({"training.steps": 100, "evaluation.every": 5})
    assert often.expected > short.expected
    assert (short.low, short.high) == pytest.approx(tuple(ratio * short.expected for ratio in RATIOS))


def test_steps_that_differed_widen_the_interval_and_leave_the_middle(expect: Any) -> None:
    steady, _ = expect({"training.steps": 1000})
    swinging, _ = expect({"training.steps": 1000}, Pace(0.1, 1e-6, fast=0.05, slow=0.3))
    assert swinging.expected == steady.expected
    assert swinging.low < steady.low < steady.high < swinging.high
    assert swinging.high - steady.high == pytest.approx(RATIOS[1] * 1000 * 0.2 / 60)


def test_under_minutes_only_the_end_is_uncertain(expect: Any, corpus_dir: Path) -> None:
    found, config = expect({"training.minutes": 10.0, "training.patience": 0}, Pace(0.1, 1e-6, fast=0.05, slow=0.3))
    ending = beside_steps(config, Corpus(corpus_dir), make_plan(config, Corpus(corpus_dir), flops_per_second=1e10,
                                                               seconds_left=1000.0).shape, STEADY).ending  # fmt: skip
    assert found.expected == 10.0
    assert found.high - 10.0 == pytest.approx(LATE[1] * (6.0 + ending) / 60)
    assert 10.0 - found.low == pytest.approx(-LATE[0] * (6.0 + ending) / 60)
    assert found.high < 11 and found.low > 9


def test_early_stopping_may_end_it_sooner_and_never_before_its_patience(expect: Any) -> None:
    settings = {"training.minutes": 10.0, "evaluation.every": 100}
    patient, _ = expect({**settings, "training.patience": 0})
    stopping, _ = expect({**settings, "training.patience": 5})
    assert (stopping.expected, stopping.high) == (patient.expected, patient.high)
    assert 0.5 * patient.low < stopping.low < 0.7 * patient.low  # 6 of 10 evaluations
    unreachable, _ = expect({**settings, "training.patience": 50})
    assert unreachable == patient


def test_minutes_that_are_over_before_training_are_not_promised(expect: Any) -> None:
    found, _ = expect({"training.minutes": 0.1}, elapsed=60.0)
    assert found.expected > 1.0 and found.high > found.expected
