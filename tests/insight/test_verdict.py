import json
import math
import random

import pytest

from groundup.insight import read_curve
from groundup.insight.diagnosis import RULES, Finding, Record, examine
from groundup.insight.verdict import judge

READINGS = {
    "healthy",
    "overfitting",
    "underfitting",
    "diverging",
    "oscillating",
    "too slow",
    "plateau",
    "no validation",
}
READINGS |= {"too short to tell", "copied validation"}


def curve(train, val=None, *, every=10, evaluate=1, rate=0.003, noise=0.0, val_noise=0.0, seed=0):
    """Entries from two functions of progress in [0, 1]; 61 of them, validation at each `evaluate`-th."""
    draw = random.Random(seed)
    entries = []
    for i in range(61):
        t = i / 60
        entries.append(
            {
                "step": i * every,
                "train_loss": train(t) + draw.gauss(0, noise),
                "val_loss": val(t) + draw.gauss(0, val_noise) if val and i % evaluate == 0 else None,
                "learning_rate": rate,
            }
        )
    return entries


def learning(floor, start=9.0, speed=60.0, power=0.5):
    """A power law from `start` towards `floor`: what training curves look like."""
    return lambda t: floor + (start - floor) * (1 + speed * t) ** -power


def cooled(t):
    """The drop a decaying learning rate brings to the second half."""
    return 0.35 * max(0.0, t - 0.4) ** 2 / 0.36


HEALTHY = learning(2.6, speed=200), learning(2.7, speed=200)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("evaluate", [1, 5, 12])
@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1, 0.15])
def test_a_healthy_curve_raises_no_alarm(seed, evaluate, noise):
    entries = curve(
        lambda t: HEALTHY[0](t) - cooled(t),
        lambda t: HEALTHY[1](t) - cooled(t),
        noise=noise,
        val_noise=noise / 10,
        evaluate=evaluate,
        seed=seed,
    )
    verdict = read_curve(entries)
    assert verdict.reading == "healthy", verdict
    assert "from 9.0" in verdict.evidence or noise


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.12])
def test_a_widening_gap_past_the_best_validation_is_overfitting(seed, noise):
    entries = curve(
        learning(0.8, speed=100),
        lambda t: learning(3.2, speed=200)(t) + 2.0 * max(0.0, t - 0.4),
        noise=noise,
        val_noise=noise / 10,
        evaluate=5,
        seed=seed,
    )
    verdict = read_curve(entries)
    best = min((e for e in entries if e["val_loss"] is not None), key=lambda e: e["val_loss"])
    assert verdict.reading == "overfitting"
    assert f"step {best['step']:,}" in verdict.evidence
    assert "--set training.patience=5" in verdict.advice


def test_a_gap_that_grows_while_validation_stands_still_is_overfitting():
    verdict = read_curve(curve(lambda t: 4 - 3 * t, lambda t: max(3.5, 9 - 30 * t), evaluate=5))
    assert verdict.reading == "overfitting"


@pytest.mark.parametrize("gap", [0.1, 0.4])
def test_a_gap_below_half_a_nat_is_not_overfitting(gap):
    train = learning(2.6, speed=200)
    verdict = read_curve(curve(train, lambda t: train(t) + gap * t))
    assert verdict.reading != "overfitting"


def test_a_wide_gap_is_no_overfitting_while_validation_still_gains():
    train = learning(2.0, speed=200)
    entries = curve(train, lambda t: train(t) + 0.7 - 0.05 * t)
    assert read_curve(entries).reading == "healthy"
    (finding,) = examine(Record.of(entries))
    assert (finding.rule, finding.severity) == ("generalization-gap", "note")
    assert "no overfitting yet" in finding.evidence and "patience" not in finding.remedy


def test_no_severe_finding_leaves_a_run_healthy():
    entries = curve(*HEALTHY)
    severe = [rule for rule in RULES if rule.severity == "severe"]
    assert len(severe) > 3 and read_curve(entries).reading == "healthy"
    for rule in severe:
        findings = [Finding("still-falling", "note", "x", "y"), Finding(rule.name, "severe", "figures", "change")]
        verdict = judge(Record.of(entries), findings)
        assert (verdict.reading, verdict.evidence) == (rule.reading, "figures")


def test_a_model_that_a_bigram_beats_is_underfitting():
    entries = curve(learning(2.0, speed=200), learning(2.1, speed=200))
    assert read_curve(entries, bigram=9.0) == read_curve(entries)
    verdict = read_curve(entries, bigram=1.9)
    assert verdict.reading == "underfitting" and "bigram" in verdict.evidence


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_a_curve_that_ends_in_full_fall_is_underfitting(noise):
    verdict = read_curve(curve(lambda t: 9 - 4 * t, lambda t: 9.05 - 4 * t, noise=noise, evaluate=5))
    assert verdict.reading == "underfitting"
    assert "still falling" in verdict.evidence
    assert "--minutes" in verdict.advice


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2])
def test_a_loss_that_climbs_is_diverging(noise):
    verdict = read_curve(curve(lambda t: learning(3)(t) + 6 * max(0, t - 0.7), learning(3), noise=noise, rate=0.03))
    assert verdict.reading == "diverging"
    assert "--set optimizer.learning_rate=0.01" in verdict.advice


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_stops_being_a_number_is_diverging(broken):
    entries = curve(learning(3), learning(3))
    entries[-1]["train_loss"] = broken
    assert read_curve(entries).reading == "diverging"
    assert read_curve([entries[0], entries[-1]]).reading == "diverging"
    assert read_curve([{"step": 0, "train_loss": broken}]).reading == "diverging"


def test_one_bad_entry_in_the_middle_does_not_change_the_reading():
    entries = curve(HEALTHY[0], HEALTHY[1])
    entries[30]["train_loss"], entries[31]["train_loss"], entries[32]["val_loss"] = math.nan, None, math.nan
    assert read_curve(entries).reading == "healthy"


def test_a_single_spike_is_no_alarm_but_several_are():
    entries = curve(*HEALTHY, noise=0.03)
    entries[40]["train_loss"] += 2
    assert read_curve(entries).reading == "healthy"
    for i in (25, 33, 48):
        entries[i]["train_loss"] += 1.5
    verdict = read_curve(entries)
    assert verdict.reading == "oscillating"
    assert "4 spikes" in verdict.evidence


@pytest.mark.parametrize("seed", range(5))
def test_large_swings_of_the_training_loss_are_oscillating(seed):
    verdict = read_curve(curve(*HEALTHY, noise=0.5, seed=seed))
    assert verdict.reading == "oscillating"
    assert "learning_rate=0.0015" in verdict.advice


def test_a_zigzag_of_the_validation_loss_is_oscillating():
    verdict = read_curve(curve(HEALTHY[0], lambda t: HEALTHY[1](t) + 0.25 * (-1) ** round(t * 12), evaluate=5))
    assert verdict.reading == "oscillating"
    assert "validation" in verdict.evidence


def test_a_loss_that_hardly_moves_is_too_slow():
    verdict = read_curve(curve(lambda t: 9 - 0.4 * t, lambda t: 9 - 0.4 * t, noise=0.02, rate=1e-5))
    assert verdict.reading == "too slow"
    assert "--set optimizer.learning_rate=3e-05" in verdict.advice


@pytest.mark.parametrize(("gap", "remedy"), [(0.05, "--size"), (0.4, "add documents")])
def test_a_validation_loss_that_stands_still_is_a_plateau_with_its_remedy(gap, remedy):
    verdict = read_curve(curve(lambda t: max(3.0, 9 - 20 * t), lambda t: max(3.0 + gap, 9 - 20 * t), noise=0.02))
    assert verdict.reading == "plateau"
    assert remedy in verdict.advice


def test_without_validation_the_reading_says_so_and_how_to_hold_text_out():
    verdict = read_curve(curve(HEALTHY[0]))
    assert verdict.reading == "no validation"
    assert "--set data.validation=0.1" in verdict.advice


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_handful_of_entries_is_too_short_to_tell(count):
    assert read_curve(curve(*HEALTHY)[:count]).reading == "too short to tell"


@pytest.mark.parametrize("losses", [[9, 6, 4.6, 4.1, 3.9, 3.85], [9, 5, 4.2, 3.95, 3.85]])
def test_a_short_run_of_few_evaluations_is_healthy(losses):
    entries = [{"step": i, "train_loss": v, "val_loss": v + 0.1, "learning_rate": 0.01} for i, v in enumerate(losses)]
    assert read_curve(entries).reading == "healthy"


def test_lines_of_events_are_not_entries():
    entries = curve(*HEALTHY)
    entries.insert(5, {"step": 41, "event": "bad_step", "sequences": [3], "train_loss": math.nan})
    assert read_curve(entries) == read_curve(curve(*HEALTHY))


def test_any_entries_get_one_of_the_documented_readings():
    draw = random.Random(1)
    for _ in range(300):
        values = [None, math.nan, math.inf, 0.0, -1.0, 3.0, 9.0, draw.uniform(0, 9), True, "x"]
        keys = ("step", "train_loss", "val_loss", "learning_rate")
        entries = [{key: draw.choice(values) for key in keys if draw.random() < 0.9} for _ in range(draw.randrange(12))]
        verdict = read_curve(entries)
        assert verdict.reading in READINGS
        assert verdict.evidence and verdict.advice
        json.dumps([verdict.reading, verdict.evidence, verdict.advice], allow_nan=False)
