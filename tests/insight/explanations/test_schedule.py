"""The schedule of a run against the rates that it recorded, and the default one by hand."""

import json
from pathlib import Path

import pytest

from groundup.insight.explanations.schedule import EXAMPLE_STEPS, explain_schedule
from groundup.insight.subject import Subject


def test_the_rates_are_those_that_the_run_recorded(finished: Path) -> None:
    found = explain_schedule(Subject.open(finished))
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    rates = {max(row["step"] - 1, 0): row["learning_rate"] for row in rows}
    assert found["recorded"]["entries"] == len(rows) and found["recorded"]["largest_difference"] == 0
    assert found["updates"] == 20 == len(found["curve"])
    peak = found["peaks"]["matrices (Muon)"]
    drawn = {point["update"]: peak * point["multiplier"] for point in found["curve"]}
    assert rates == {update: drawn[update] for update in rates}
    for row in found["named"]:
        assert row["rates"]["matrices (Muon)"] == drawn[row["update"]]


def test_without_a_run_it_is_the_default_over_a_round_number_of_updates() -> None:
    found = explain_schedule(None)
    assert found["example"] and found["recorded"] is None and not found["peaks"]
    assert (found["shape"], found["updates"], found["warmup"]) == ("wsd", EXAMPLE_STEPS, 20)
    named = {row["name"]: row for row in found["named"]}
    # 20 updates of warmup; then the peak until 60% of the run is left, and a straight line down to 5%
    assert named["first update"]["multiplier"] == pytest.approx(1 / 20)
    assert named["end of warmup"]["update"] == 19 and named["end of warmup"]["multiplier"] == 1
    assert named["last at the peak"]["update"] == 399 and named["last at the peak"]["multiplier"] == 1
    assert named["last update"]["update"] == 999 and named["last update"]["multiplier"] == pytest.approx(0.05)
    assert named["halfway"]["multiplier"] == pytest.approx(1 - 0.95 * 100 / 600)
    updates = [point["update"] for point in found["curve"]]
    assert updates == sorted(set(updates)) and updates[0] == 0 and updates[-1] == 999
