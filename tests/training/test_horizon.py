import pytest

from groundup.config import Schedule
from groundup.training import Horizon, multiplier
from groundup.training import horizon as module


class Machine:
    """A run of `horizon` on a machine whose steps take `pace(step)` seconds, on a clock of its own."""

    def __init__(self, monkeypatch, pace) -> None:
        self.now, self.pace = 1000.0, pace
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def run(self, horizon: Horizon) -> int:
        step = 0
        while step < horizon.total:
            horizon.correct(step)
            self.now += self.pace(step)
            step += 1
        return step


@pytest.fixture
def machine(monkeypatch):
    return lambda pace: Machine(monkeypatch, pace)


def test_without_a_deadline_the_length_is_fixed(machine):
    horizon = Horizon([(0, 50)])
    assert machine(lambda step: 9.0).run(horizon) == 50
    assert horizon.entries == [(0, 50)]


@pytest.mark.parametrize("guess", [100, 1000, 5000])
@pytest.mark.parametrize("seconds", [0.5, 0.01])
def test_the_deadline_is_met_however_wrong_the_first_guess(machine, guess, seconds):
    clock = machine(lambda step: seconds)
    deadline = clock.now + 1000 * seconds
    horizon = Horizon([(0, guess)], deadline=deadline)
    steps = clock.run(horizon)
    assert steps == horizon.total
    assert deadline - 30 * seconds <= clock.now <= deadline + 2 * seconds


def test_a_guess_that_was_right_is_left_alone(machine):
    clock = machine(lambda step: 0.5)
    horizon = Horizon([(0, 1000)], deadline=clock.now + 500)
    assert clock.run(horizon) == 1000
    assert horizon.entries == [(0, 1000)]


def test_a_fast_machine_never_makes_the_run_longer_than_its_most(machine):
    clock = machine(lambda step: 0.1)
    horizon = Horizon([(0, 300)], deadline=clock.now + 1000, most=300)
    assert clock.run(horizon) == 300
    assert horizon.entries == [(0, 300)]


def test_a_machine_that_becomes_slower_is_followed(machine):
    clock = machine(lambda step: 0.1 if step < 400 else 0.3)
    deadline = clock.now + 100
    horizon = Horizon([(0, 1000)], deadline=deadline)
    clock.run(horizon)
    assert deadline - 10 <= clock.now <= deadline + 10
    assert len(horizon.entries) <= module.CORRECTIONS * 2


def test_after_the_deadline_the_next_step_is_the_last(machine):
    clock = machine(lambda step: 1.0)
    horizon = Horizon([(0, 160)], deadline=clock.now + 5)
    assert clock.run(horizon) <= 12
    assert horizon.total > 0


def test_a_clock_that_stands_still_harms_nothing(machine):
    clock = machine(lambda step: 0.0)
    horizon = Horizon([(0, 100)], deadline=clock.now + 5)
    assert clock.run(horizon) == 100


def test_every_correction_is_saved_before_it_holds(machine):
    clock = machine(lambda step: 0.5)
    saved: list[list[tuple[int, int]]] = []
    horizon = Horizon([(0, 300)], deadline=clock.now + 500, save=lambda entries: saved.append(list(entries)))
    clock.run(horizon)
    assert saved and saved[-1] == horizon.entries
    assert [len(entries) for entries in saved] == list(range(2, len(saved) + 2))
    starts = [start for start, _ in horizon.entries]
    assert starts == sorted(set(starts))


def test_a_resumed_run_goes_on_with_the_corrected_length(machine):
    entries = [(0, 300), (60, 900)]
    assert Horizon(entries).total == 900


def test_however_the_length_was_corrected_the_rates_end_at_their_minimum(machine):
    clock = machine(lambda step: 0.1 if step % 50 else 2.0)
    horizon = Horizon([(0, 300)], deadline=clock.now + 200)
    last = clock.run(horizon) - 1
    schedule = Schedule()
    rates = [multiplier(schedule, step, horizon.entries, 20) for step in range(last + 1)]
    assert rates[0] > 0 and rates[-1] == pytest.approx(schedule.minimum)
    assert all(0 < rate <= 1 for rate in rates)
