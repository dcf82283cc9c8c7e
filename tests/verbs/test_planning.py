"""`plan`: what `train` then does, with a reason for every value, and nothing left behind."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.evaluation import reference_models
from groundup.events import Event, Notice, Phase
from groundup.planning import expected
from groundup.planning.prediction import Fit
from groundup.reporting import describe_plan


def test_train_does_what_plan_said(finished: Path, documents: Path, tiny: dict[str, Any]) -> None:
    plan, corpus = verbs.plan([documents], steps=20, settings=tiny)
    info = json.loads((finished / "run.json").read_text())
    said, done = plan.to_json(), info["plan"]
    for key in ("parameters", "steps", "tokens", "epochs", "decisions"):
        assert said[key] == done[key], key
    assert all(row["reason"] for row in said["decisions"])
    assert corpus["fingerprint"] == info["corpus"]["fingerprint"]


def test_both_say_what_is_expected(finished: Path, corpus_dir: Path, tiny: dict[str, Any]) -> None:
    plan, corpus = verbs.plan([corpus_dir], steps=20, settings=tiny)
    info = json.loads((finished / "run.json").read_text())
    for said in (plan.to_json(), info["plan"]):
        for name in ("minutes", "memory_bytes"):
            interval = said["expected"][name]
            assert 0 < interval["low"] <= interval["expected"] <= interval["high"]
    shown = describe_plan({"plan": plan.to_json(), "corpus": corpus, "notices": []})
    assert re.search(r"^time +\S.* \(.* to .*\)$", shown, re.M)
    assert re.search(r"^memory +\S+ .B \(\S+ .B to \S+ .B\)$", shown, re.M)


def test_train_says_it_before_its_first_step(corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    heard: list[Event] = []
    verbs.train(corpus_dir, out=tmp_path / "run", steps=4, settings=tiny, listen=heard.append)
    said = next(n for n, event in enumerate(heard) if isinstance(event, Notice) and "expected: " in event.text)
    assert said < next(n for n, event in enumerate(heard) if isinstance(event, Phase) and event.name == "training")


def test_the_loss_is_predicted_from_runs_that_were_measured_or_not_at_all(
    corpus_dir: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> tuple[dict[str, Any], str]:
        made, corpus = verbs.plan([corpus_dir], steps=20, settings=tiny)
        plan = made.to_json()
        text = describe_plan({"plan": plan, "corpus": corpus, "notices": []})
        assert text.count("no prediction of the loss: ") + len(re.findall("^loss  ", text, re.M)) == 1
        return plan["expected"]["bits_per_byte"], text

    monkeypatch.setattr(expected, "FITTED", None)
    assert "no prediction of the loss: " in shown()[1]

    # a fit that says: nine tenths of the 5-gram's bits per byte, whatever is trained
    flat = Fit((math.log(0.9), 0, 0, 0, 0), ((0.0,) * 5,) * 5, 0.1, 24, 6, (0.0,) * 4, (1e9,) * 4, "made up")
    monkeypatch.setattr(expected, "FITTED", flat)
    opened = Corpus(corpus_dir)
    baseline = reference_models(opened, opened.validation_documents())["5-gram"]["bits_per_byte"]
    said, text = shown()
    assert said["expected"] == pytest.approx(0.9 * baseline, abs=1e-4)
    assert said["low"] < said["expected"] < said["high"]
    assert f"loss         {said['expected']:.2f} ({said['low']:.2f} to {said['high']:.2f}) bits per byte" in text

    monkeypatch.setattr(expected, "FITTED", replace(flat, highest=(1.0,) * 4))
    assert "no prediction of the loss: " in shown()[1]


def test_without_a_budget_the_default_one_is_planned(corpus_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.planning.decisions.CALIBRATION_SECONDS", 0.0)
    plan, _ = verbs.plan([corpus_dir], settings={"device.compile": "off"})
    assert plan.minutes == 10
    assert plan.expected and plan.expected.minutes.expected == 10
    assert plan.steps > 10


def test_a_prepared_corpus_is_planned_for_without_reading(corpus_dir: Path, documents: Path, tiny: dict) -> None:
    plan, corpus = verbs.plan([corpus_dir], epochs=2, settings=tiny)
    again, _ = verbs.plan([documents], epochs=2, settings=tiny)
    assert (plan.shape, plan.steps) == (again.shape, again.steps)
    assert plan.epochs == pytest.approx(2, rel=0.01)
    assert corpus["files"]["read"] == 20


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_the_dial_sets_the_size(corpus_dir: Path, size: str) -> None:
    plan, _ = verbs.plan([corpus_dir], steps=10, size=size)
    assert (plan.shape.layers, plan.shape.width) == {"tiny": (4, 128), "small": (6, 256)}[size]


def test_bad_input_is_the_users_error(documents: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        verbs.plan([tmp_path / "nowhere"], steps=1)
    with pytest.raises(UserError, match="both set"):
        verbs.plan([documents], steps=1, tokens=5)
    with pytest.raises(UserError, match=r"did you mean model\.layers"):
        verbs.plan([documents], steps=1, settings={"model.layer": 2})
    with pytest.raises(UserError, match="size"):
        verbs.plan([documents], steps=1, size="huge")
