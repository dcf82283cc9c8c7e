"""What is said of a run: in JSON and in words, with the loss or the reason why there is none."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.config import load_config
from groundup.corpus import Corpus
from groundup.planning import expected, make_plan
from groundup.planning.expected import Expected, expected_loss
from groundup.planning.interval import Interval
from groundup.planning.prediction import Fit

# a fit that says: nine tenths of the 5-gram's bits per byte, whatever is trained
FLAT = Fit((math.log(0.9), 0, 0, 0, 0), ((0.0,) * 5,) * 5, 0.1, 24, 6, (0.0,) * 4, (1e9,) * 4, "made up")


@pytest.fixture
def loss(corpus_dir: Path, tiny: dict[str, Any]) -> Any:
    corpus = Corpus(corpus_dir)
    shape = make_plan(load_config(None, {**tiny, "training.steps": 10}), corpus).shape
    return lambda baselines: expected_loss(shape, 2560, 10, corpus, baselines)


def test_without_a_fit_nothing_is_said_of_the_loss(loss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "FITTED", None)
    assert "no measured runs" in loss({"5-gram": {"bits_per_byte": 2.0}})


def test_with_a_fit_the_loss_is_said_or_why_it_is_not(loss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "FITTED", FLAT)
    found = loss({"5-gram": {"bits_per_byte": 2.0}})
    assert found.expected == pytest.approx(1.8) and found.low < 1.8 < found.high
    assert "held out" in loss({})
    monkeypatch.setattr(expected, "FITTED", replace(FLAT, highest=(1.0,) * 4))
    assert "outside" in loss({"5-gram": {"bits_per_byte": 2.0}})


def test_what_is_expected_is_said_on_one_line_and_as_json() -> None:
    made = Expected(Interval(2.0, 1.9, 2.25), Interval(8e8, 7e8, 9.5e8), Interval(1.8, 1.71, 1.9))
    assert made.in_words() == (
        "expected: 2.0 minutes (1.9 to 2.2), 0.80 GB of memory (0.70 to 0.95), 1.80 bits per byte (1.71 to 1.90)"
    )
    told = json.loads(json.dumps(made.to_json()))
    assert told["minutes"] == {"expected": 2.0, "low": 1.9, "high": 2.25}
    silent = replace(made, bits_per_byte="nothing is held out")
    assert silent.in_words().endswith("no prediction of the loss: nothing is held out")
    assert silent.to_json()["bits_per_byte"] == {"none": "nothing is held out"}
