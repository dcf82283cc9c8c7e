"""`plan`: what `train` then does, with a reason for every value, and nothing left behind."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.corpus import Corpus
from groundup.errors import UserError
from groundup.evaluation import reference_models
from groundup.planning.prediction import Fit
from groundup.reporting import describe_plan
from groundup.verbs import planning


def test_train_does_what_plan_said(finished: Path, documents: Path, tiny: dict[str, Any]) -> None:
    plan, corpus = verbs.plan([documents], steps=20, settings=tiny)
    info = json.loads((finished / "run.json").read_text())
    said, done = plan.to_json(), info["plan"]
    for key in ("parameters", "steps", "tokens", "epochs"):
        assert said[key] == done[key], key
    planned = {row["key"]: row["value"] for row in said["decisions"]}
    assert planned == {row["key"]: row["value"] for row in done["decisions"] if not row["key"].startswith("device.")}
    assert all(row["reason"] for row in said["decisions"])
    assert corpus["fingerprint"] == info["corpus"]["fingerprint"]
    assert corpus["estimated_minutes"] >= 0


def test_a_prepared_corpus_is_planned_for_without_reading(corpus_dir: Path, documents: Path, tiny: dict) -> None:
    plan, corpus = verbs.plan([corpus_dir], epochs=2, settings=tiny)
    again, _ = verbs.plan([documents], epochs=2, settings=tiny)
    assert (plan.shape, plan.steps) == (again.shape, again.steps)
    assert plan.epochs == pytest.approx(2, rel=0.01)
    assert corpus["files"]["read"] == 20


def test_the_loss_is_predicted_from_runs_that_were_measured_or_not_at_all(
    corpus_dir: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, corpus = verbs.plan([corpus_dir], steps=20, settings=tiny)
    facts = {"plan": made.to_json(), "corpus": corpus, "notices": []}
    monkeypatch.setattr(planning, "FITTED", None)
    _, unfitted = verbs.plan([corpus_dir], steps=20, settings=tiny)
    assert "predicted" not in unfitted
    assert "loss  " not in describe_plan(facts | {"corpus": unfitted})

    # a fit that says: nine tenths of the 5-gram's bits per byte, whatever is trained
    flat = Fit((math.log(0.9), 0, 0, 0), ((0.0,) * 4,) * 4, 0.1, 24, (0.0,) * 3, (50.0,) * 3, "made up")
    monkeypatch.setattr(planning, "FITTED", flat)
    _, corpus = verbs.plan([corpus_dir], steps=20, settings=tiny)
    opened = Corpus(corpus_dir)
    baseline = reference_models(opened, opened.validation_documents())["5-gram"]["bits_per_byte"]
    predicted = corpus["predicted"]
    assert predicted["bits_per_byte"] == pytest.approx(0.9 * baseline)
    assert predicted["low"] < predicted["bits_per_byte"] < predicted["high"]
    said = f"loss         about {predicted['bits_per_byte']:.2f} bits per byte"
    assert said in describe_plan(facts | {"corpus": corpus})

    monkeypatch.setattr(planning, "FITTED", replace(flat, highest=(1.0,) * 3))
    _, corpus = verbs.plan([corpus_dir], steps=20, settings=tiny)
    assert "loss         no prediction: " in describe_plan(facts | {"corpus": corpus})


def test_without_a_budget_the_default_one_is_planned(corpus_dir: Path) -> None:
    plan, _ = verbs.plan([corpus_dir])
    assert plan.minutes == 10
    assert plan.steps > 10


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
