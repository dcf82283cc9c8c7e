import json
import math
import re

import pytest

from groundup.errors import UserError
from groundup.training import State, Sums


def test_every_field_survives_exactly(tmp_path):
    state = State(
        step=7,
        tokens=2**53 + 1,
        window=Sums(0.1 + 0.2, 3, 4, 5),
        grad_norm=1 / 3,
        best_step=5,
        best_loss=5e-324,
        stale=2,
        evaluations=9,
        entries=8,
        bad_steps=1,
        scale=2.0**16,
        scale_streak=1999,
        losses=(0.1 + 0.2, 5e-324),
        norms=(1 / 3, 1e300),
        spikes=1,
        skipped=12,
        rewinds=2,
    )
    assert all(getattr(state, name) != getattr(State(), name) for name in vars(state))
    (tmp_path / "state.json").write_text(state.to_json())
    assert State.load(tmp_path / "state.json") == state


def test_a_fresh_state_survives(tmp_path):
    (tmp_path / "state.json").write_text(State().to_json())
    loaded = State.load(tmp_path / "state.json")
    assert loaded == State()
    loaded.window.add(Sums(1.0, 1, 1, 1))
    assert State().window == Sums()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "3",
        "{}",
        '{"window": {}, "losses": 3}',
        '{"window": {}, "losses": [1.0], "norms": []}',
        '{"window": {}, "losses": [1], "norms": [1.0]}',
        '{"window": {}, "losses": [1.0], "norms": [-1e308]}',
        '{"window": 3}',
        '{"window": {"nll": 0, "x": 1}}',
        '{"window": {}, "y": 1}',
    ],
)
def test_what_is_no_state_is_named(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        State.load(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("window", "key"),
    [
        ({"nll": 1.0, "correct": 0, "tokens": 1, "bytes": 0}, "window.bytes"),
        ({"nll": 1.0, "correct": 0, "tokens": 0, "bytes": 1}, "window.tokens"),
        ({"nll": 1.0, "correct": 3, "tokens": 2, "bytes": 9}, "window.correct"),
        ({"nll": "x", "correct": 0, "tokens": 0, "bytes": 0}, "window.nll"),
        ({"nll": 1.0, "correct": 0, "tokens": -1, "bytes": 0}, "window.tokens"),
    ],
)
def test_a_window_that_nothing_could_have_summed_is_refused_with_its_key(tmp_path, window, key):
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"window": window}))
    with pytest.raises(UserError, match=re.escape(key)) as caught:
        State.load(path)
    assert caught.value.where == str(path)


def test_a_missing_state_is_named(tmp_path):
    with pytest.raises(UserError, match="missing"):
        State.load(tmp_path / "state.json")


def test_sums_add_up_to_their_mean():
    sums = Sums()
    sums.add(Sums(6.0, 1, 2, 5))
    sums.add(Sums(3.0, 2, 4, 7))
    scores = sums.scores()
    assert (scores.loss, scores.accuracy, scores.tokens, scores.bytes) == (1.5, 0.5, 6, 12)
    assert scores.bits_per_byte == pytest.approx(9 / 12 / math.log(2))


def test_a_copy_stays_as_it_is_and_a_state_can_become_another():
    state = State(step=3, window=Sums(1.0, 1, 1, 1), losses=(1.0,), norms=(2.0,))
    copy = state.copy()
    state.window.add(Sums(1.0, 1, 1, 1))
    state.step, state.losses = 4, (1.0, 2.0)
    assert copy == State(step=3, window=Sums(1.0, 1, 1, 1), losses=(1.0,), norms=(2.0,))
    state.become(copy)
    assert state == copy
