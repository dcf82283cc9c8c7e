"""Rules on runs of our own making: what holds a rule, and what must not; the real runs are in test_real_runs.py."""

import inspect
import math
import random
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from groundup.insight.diagnosis import RULES, Record, Watch, by_severity, examine, options
from groundup.insight.diagnosis.rules import EXPLAINED
from groundup.insight.diagnosis.texts import _hashes, is_garbled

ROOT = Path(__file__).parents[3]


def entries(losses, *, val=None, every=10, **more):
    return [
        {"step": i * every, "train_loss": loss, "val_loss": val[i] if val else None, "learning_rate": 0.01, **more}
        for i, loss in enumerate(losses)
    ]


def names(record):
    return [finding.rule for finding in examine(record)]


FALL = [2 + 7 * (1 + i) ** -1.0 for i in range(60)]


def test_every_rule_has_a_name_of_its_own_a_reason_and_its_row_in_the_documentation():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(len(inspect.getdoc(rule.check) or "") > 60 for rule in RULES)
    known = {rule.name for rule in RULES}
    order = {rule.name: number for number, rule in enumerate(RULES)}
    for name, causes in EXPLAINED.items():
        assert {name, *causes} <= known
        assert all(order[cause] < order[name] for cause in causes), f"{name} is decided before its cause"
    spec = util.spec_from_file_location("make_diagnosis", ROOT / "docs" / "make_diagnosis.py")
    assert spec and spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "diagnosis.md").read_text(encoding="utf-8") == module.page(), "run `make docs`"


def test_severe_findings_come_first_and_equal_ones_stay_in_order():
    record = Record.of(entries([9.0] * 20))
    found = examine(record)
    assert [f.rule for f in found] == ["no-validation", "not-falling"]
    assert [f.rule for f in by_severity(found)] == ["not-falling", "no-validation"]


def test_a_remedy_is_written_as_it_is_typed():
    settings = {"optimizer.learning_rate": 0.02 / 3, "training.steps": 400, "data.dedup": "paragraphs"}
    assert options(settings) == (
        "--set optimizer.learning_rate=0.00667 --set training.steps=400 --set data.dedup=paragraphs"
    )


@pytest.mark.parametrize(("first", "holds"), [(math.log(512), False), (6.0, False), (7.0, True), (5.0, True)])
def test_the_first_loss_is_held_to_the_logarithm_of_the_vocabulary(first, holds):
    record = Record.of(entries([first, *FALL]))
    record.vocabulary = 512
    assert ("first-loss" in names(record)) == holds
    record.vocabulary = None
    assert "first-loss" not in names(record)


def test_a_loss_of_few_tokens_may_swing_more():
    draw = random.Random(0)
    losses = [loss + draw.gauss(0, 0.4) for loss in FALL]
    few = [{**row, "tokens": 32 * i} for i, row in enumerate(entries(losses, val=FALL))]
    many = [{**row, "tokens": 4096 * i} for i, row in enumerate(entries(losses, val=FALL))]
    assert "oscillating" not in names(Record.of(few))
    assert "oscillating" in names(Record.of(many))


def test_a_convex_validation_curve_of_few_evaluations_does_not_oscillate():
    val = [5.5, 1.6, 1.0, 0.7, 0.55, 0.48]
    rows = entries([5.5, 1.7, 1.05, 0.75, 0.6, 0.5], val=val)
    assert "oscillating" not in names(Record.of(rows))


def test_clipping_needs_gradients_far_longer_than_the_limit():
    def record(norm, share):
        made = Record.of(entries(FALL, val=FALL, grad_norm=norm, clipped=share))
        made.settings = {"optimizer.clip": 1.0, "schedule.warmup": 20}
        return made

    assert "clipping" not in names(record(1.5, 1.0))
    assert "clipping" not in names(record(8.0, 0.5))
    (found,) = [f for f in examine(record(8.0, 1.0)) if f.rule == "clipping"]
    assert found.settings == {"optimizer.clip": 16.0} and "100% of the updates" in found.evidence


def test_a_float16_scale_that_overflows_is_no_finding():
    rows = entries(FALL, val=FALL)
    scaled = {"step": 5, "event": "bad_step", "scale": 65536.0, "batch": 5}
    assert "skipped-updates" not in names(Record.of([*rows, scaled]))
    assert "skipped-updates" in names(Record.of([*rows, {**scaled, "scale": 1.0}]))


def test_text_in_which_context_says_nothing_is_told_by_the_baselines():
    record = Record.of(entries(FALL, val=FALL))
    record.facts = {
        "corpus": {"train_tokens": 50_000},
        "baselines": {"unigram": {"loss": 4.55}, "5-gram": {"loss": 4.56}, "bigram": {"loss": 4.6}},
    }
    assert "no-structure" in names(record)
    record.facts["baselines"]["5-gram"]["loss"] = 4.1
    assert "no-structure" not in names(record)


@pytest.mark.parametrize("span", [8, 13, 32, 61])
def test_a_hash_of_a_window_depends_on_its_tokens_alone(span):
    draw = np.random.default_rng(span)
    text = draw.integers(0, 300, 1000)
    text[500 : 500 + span] = text[100 : 100 + span]
    hashes = _hashes(text, span)
    assert len(hashes) == 1000 - span + 1
    assert hashes[100] == hashes[500]
    assert len(np.unique(hashes)) == len(hashes) - 1
    assert (_hashes(text[37:], span) == hashes[37:]).all()
    moved = text.copy()
    moved[[100, 101]] = moved[[101, 100]] if text[100] != text[101] else (1, 2)
    assert _hashes(moved, span)[100] != hashes[100]


CLEAN = "The quick brown fox's tail isn't (really) well-known; see p. 12, 3rd ed., 1990s, B2B, iPhone, e.g., U.S.A."
CLEAN += " Größe naïve 数据 https://a.org/x?y=1 me@home.org snake_case"
CLEAN += " rhythm Twelfths strengths 4x4 H2O --set O'Neill McDonald"
GARBLED = "tl1e qu!ck hrowrn fo|x iumps ov^er tbc ¬ lnzxcvbn thE1r wEiGhTs s$me"


def test_words_are_garbled_by_their_spelling():
    assert [word for word in CLEAN.split() if is_garbled(word)] == []
    assert {word for word in GARBLED.split() if is_garbled(word)} >= {
        "tl1e", "qu!ck", "fo|x", "ov^er", "lnzxcvbn", "wEiGhTs", "s$me",
    }  # fmt: skip


def test_the_watch_tells_of_each_severe_sign_once_and_of_a_healthy_run_nothing():
    watch = Watch()
    told = [finding.rule for row in entries([9.0] * 60) for finding in watch.heed(row, 600)]
    assert told == ["not-falling"]
    watch = Watch()
    losses = [*FALL[:30], *(3 + 0.2 * i for i in range(30))]
    told = [finding.rule for row in entries(losses) for finding in watch.heed(row, 600)]
    assert told == ["diverging"]
    watch = Watch()
    assert not [finding for row in entries(FALL) for finding in watch.heed(row, 600)]


def test_the_watch_forgets_what_a_run_took_back():
    watch = Watch(entries([*FALL[:10], *[9.0] * 10]))
    assert not [finding for row in entries(FALL)[5:] for finding in watch.heed(row, 600)]


def test_a_run_that_goes_on_is_not_told_that_it_ended_too_early():
    rows = entries([9.0, 8.9, 8.8, 8.7, 8.6], val=[9.0, 8.9, 8.8, 8.7, 8.6])
    record = Record.of(rows, bigram=3.0)
    record.facts = {**record.facts, "plan": {"steps": 1000}}
    assert names(record) == ["not-falling"]
    record = Record.of(rows, bigram=3.0)
    record.facts = {**record.facts, "plan": {"steps": 1000}, "status": "training"}
    assert names(record) == []
    falling = entries([9.0 - 0.1 * i for i in range(40)], val=[9.0 - 0.1 * i for i in range(40)])
    for status, expected in (("finished", ["weaker-than-bigram"]), ("stopped", [])):
        record = Record.of(falling, bigram=3.0)
        record.facts = {**record.facts, "plan": {"steps": 1000}, "status": status}
        assert names(record) == expected
    stuck = Record.of(entries([9.0] * 40, val=[9.0] * 40), bigram=3.0)
    stuck.facts = {**stuck.facts, "plan": {"steps": 1000}, "status": "training"}
    assert "not-falling" in names(stuck)


def test_a_curve_whose_beginning_is_lost_says_nothing_of_the_whole_fall():
    rows = entries([2.0 - 0.001 * i for i in range(160)], val=[2.0 - 0.001 * i for i in range(160)])
    assert "not-falling" in names(Record.of(rows))
    assert names(Record.of(rows[40:])) == []
    late = entries([3.0 - 0.02 * i for i in range(60)], val=[3.0 - 0.02 * i for i in range(60)])
    assert "still-falling" in names(Record.of(late)) and names(Record.of(late[20:])) == []


def test_a_model_that_stands_still_above_a_bigram_is_not_full():
    val = [5.5, 3.0, *[2.5] * 18]
    (found,) = examine(Record.of(entries(val, val=val), bigram=1.9))
    assert found.rule == "weaker-than-bigram"
    assert found.settings == {"optimizer.learning_rate": 0.0033} and "train longer" not in found.remedy
    falling = [5.5 - 0.1 * i for i in range(20)]
    (found,) = examine(Record.of(entries(falling, val=falling), bigram=1.9))
    assert found.rule == "weaker-than-bigram" and found.settings == {"training.steps": 380}


def test_a_loss_that_swings_has_no_gap_to_its_other_half():
    for sign in (1, -1):  # it ends high, or low
        val = [loss + sign * 0.9 * (-1) ** i for i, loss in enumerate(FALL)]
        found = names(Record.of(entries(FALL, val=val)))
        assert "oscillating" in found and not {"overfitting", "generalization-gap", "validation-too-easy"} & set(
            found
        ), found
    both = [loss + 0.9 * (-1) ** i for i, loss in enumerate(FALL)]  # from entry to entry up and down, and no bend
    assert names(Record.of([{**row, "tokens": 4096 * i} for i, row in enumerate(entries(both, val=FALL))])) == [
        "oscillating"
    ]
    assert "generalization-gap" in names(Record.of(entries(FALL, val=[loss + 0.9 for loss in FALL])))
    assert "validation-too-easy" in names(Record.of(entries([loss + 0.9 for loss in FALL], val=FALL)))
