"""Each rule on a real run that was made to fail that way; healthy runs raise none."""

import json
import random
import string
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundup import runs, verbs
from groundup.corpus.preparation import split
from groundup.corpus.shards import TokenStream
from groundup.errors import UserError
from groundup.insight.diagnosis import RULES, Record, examine
from groundup.training import build, loop


def found(run: Path) -> dict[str, Any]:
    return {finding.rule: finding for finding in examine(Record.open(run))}


def misread(text: str, share: float, seed: int) -> str:
    """`text` as a poor scan would be recognized: a share of its words is garbled."""
    draw = random.Random(seed)

    def spoil(word: str) -> str:
        if draw.random() > share or len(word) < 3:
            return word
        at = draw.randrange(1, len(word) - 1)
        return word[:at] + draw.choice(["|", "1", "!", "^", "tl1", "$", "€", "}"]) + word[at + 1 :]

    return " ".join(spoil(word) for word in text.split(" "))


HEALTHY: list[Any] = [
    {"training__seed": 0},
    pytest.param(
        {"training__seed": 1, "model__width": 64, "optimizer__name": "adamw", "optimizer__learning_rate": 0.01},
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("settings", HEALTHY)
def test_a_healthy_run_raises_nothing(train, prose, settings):
    run = train(prose, 240, **settings)
    assert found(run) == {}
    info = runs.Run.open(run).info
    assert info["verdict"]["reading"] == "healthy" and info["findings"] == []
    assert not [row for row in runs.read_journal(run / "events.jsonl") if row["event"] == "warning"]


@pytest.mark.parametrize("name", ["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def test_a_rate_far_too_high_is_told(train, prose, name):
    rate, usual = {"adamw": (1.0, 0.006), "muon": (2.0, 0.02)}[name]
    run = train(prose, optimizer__name=name, optimizer__learning_rate=rate, optimizer__weight_decay=0.01)
    finding = found(run)["learning-rate-too-high"]
    assert finding.settings == {"optimizer.learning_rate": usual}
    assert "drop your --set optimizer.learning_rate, or lower" in finding.remedy


def test_a_rise_within_one_entry_of_several_updates_is_told(train, prose):
    run = train(
        prose, 48, training__log_every=8, schedule__warmup=1, optimizer__name="adamw", optimizer__learning_rate=0.6,
        optimizer__weight_decay=0.16,
    )  # fmt: skip
    finding = found(run)["learning-rate-too-high"]
    assert finding.evidence.startswith("training loss rose from") and finding.figures["highest_step"] == 8
    assert finding.figures["highest"] > finding.figures["first"] + 0.3


def test_a_model_behind_a_bigram_at_fifty_times_the_planned_rate_is_not_told_to_train_longer(train, prose):
    run = train(
        prose, 60, training__log_every=8, optimizer__name="adamw", optimizer__learning_rate=0.3,
        optimizer__weight_decay=0.3, schedule__warmup=2,
    )  # fmt: skip
    finding = found(run)["weaker-than-bigram"]
    assert finding.settings == {"optimizer.learning_rate": 0.006} and "longer" not in finding.remedy


@pytest.mark.parametrize(
    ("key", "value", "other", "usual"),
    [
        ("optimizer.learning_rate", 2.0, {"optimizer__weight_decay": 0.55}, 0.02),
        ("optimizer.weight_decay", 40.0, {}, 0.1),
    ],
)
def test_decay_that_takes_off_what_was_learned_is_told_with_the_setting_to_drop(train, prose, key, value, other, usual):
    run = train(prose, 48, **other, **{key.replace(".", "__"): value})
    findings = found(run)
    assert list(findings) == ["forgetting"]
    assert findings["forgetting"].settings == {key: usual}
    assert findings["forgetting"].remedy.startswith(f"drop your --set {key}, or lower the")
    assert f"{findings['forgetting'].figures['product']:.2g}" in findings["forgetting"].evidence
    assert runs.Run.open(run).info["verdict"]["reading"] == "underfitting"


def test_where_all_rates_are_far_too_low_the_remedy_names_each_planned_one(train, prose):
    usual = {"optimizer.learning_rate": 0.02, "optimizer.embedding_rate": 0.04, "optimizer.head_rate": 0.008}
    run = train(prose, 48, **{key.replace(".", "__"): rate / 1000 for key, rate in usual.items()})
    finding = found(run)["not-falling"]
    assert finding.settings == usual
    assert finding.remedy.startswith("drop your ") and finding.remedy.count("--set optimizer.head_rate") == 2


def test_a_rate_a_thousand_times_too_low_does_not_fall_and_is_warned_of_while_it_trains(train, prose):
    run = train(prose, optimizer__name="adamw", optimizer__learning_rate=5e-6)
    finding = found(run)["not-falling"]
    assert finding.severity == "severe" and finding.settings["optimizer.learning_rate"] >= 1e-4
    (row,) = [row for row in runs.read_journal(run / "events.jsonl") if row["event"] == "warning"]
    assert row["rule"] == "not-falling" and row["step"] < 120
    assert "warning: not-falling" in (run / "progress.log").read_text()
    assert runs.Run.open(run).info["verdict"]["reading"] == "too slow"


def test_a_rate_ten_times_too_low_is_told_by_weights_that_hardly_moved(train, prose):
    run = train(prose, optimizer__name="adamw", optimizer__learning_rate=5e-4)
    finding = found(run)["learning-rate-too-low"]
    assert finding.figures["moved"] < 0.15
    assert 1e-3 < finding.settings["optimizer.learning_rate"] < 5e-2


def test_a_start_from_other_weights_is_told_by_the_first_loss(train, prose, monkeypatch):
    honest = build.initialize

    def scaled(model, seed):
        honest(model, seed)
        model.head_weight.data.normal_(0.0, 1.0)

    monkeypatch.setattr(build, "initialize", scaled)
    finding = found(train(prose, 12))["first-loss"]
    assert finding.figures["first_loss"] > finding.figures["ln_vocabulary"] + 0.3
    assert "confident and wrong" in finding.evidence


def test_a_run_that_is_thrown_off_is_diverging(train, prose):
    run = train(prose, 80, schedule__shape="constant")
    verbs.resume(run, settings={"training.steps": 140, "optimizer.learning_rate": 20.0, "optimizer.head_rate": 20.0})
    finding = found(run)["diverging"]
    assert finding.severity == "severe" and finding.figures["last"] > finding.figures["lowest"] + 0.5
    assert runs.Run.open(run).info["verdict"]["reading"] == "diverging"
    (row,) = [row for row in runs.read_journal(run / "events.jsonl") if row["event"] == "warning"]
    assert row["rule"] == "diverging" and row["step"] > 80


def test_numbers_that_are_not_finite_are_told(train, prose, monkeypatch):
    honest = loop.loss_sums

    def broken(model, *arguments):
        nll, correct = honest(model, *arguments)
        return (nll * float("nan") if broken.calls > 30 else nll), correct

    broken.calls = 0
    update = loop._update

    def counted(*arguments):
        broken.calls += 1
        update(*arguments)

    monkeypatch.setattr(loop, "loss_sums", broken)
    monkeypatch.setattr(loop, "_update", counted)
    with pytest.raises(UserError, match="not finite") as raised:
        train(prose, 60)
    run = Path(str(raised.value.where)).parent
    finding = found(run)["not-a-number"]
    assert finding.figures["skipped"] == 10 and "skipped-updates" not in found(run)
    assert runs.Run.open(run).info["verdict"]["reading"] == "diverging"


def test_a_skipped_update_is_told(train, prose, monkeypatch):
    update = loop._update
    honest = loop.loss_sums
    now = []

    def at_step(job, state, forward):
        now[:] = [state.step]
        update(job, state, forward)

    def broken(model, *arguments):
        nll, correct = honest(model, *arguments)
        return nll * float("inf") if now == [50] else nll, correct

    monkeypatch.setattr(loop, "loss_sums", broken)
    monkeypatch.setattr(loop, "_update", at_step)
    finding = found(train(prose))["skipped-updates"]
    assert finding.figures == {"skipped": 1, "first_step": 50}
    assert "`groundup batch RUN 50`" in finding.remedy


@pytest.mark.slow
def test_odd_documents_are_told_as_spikes(train, write, texts):
    draw = random.Random(0)
    odd = ["".join(draw.choices(string.printable[:94], k=200)) for _ in range(6)]
    documents = write([*texts[:12], *odd])
    run = train(
        documents, 400, training__tokens_per_update=32, training__log_every=1, evaluation__every=100,
        data__dedup="exact",
    )  # fmt: skip
    finding = found(run)["spikes"]
    assert finding.figures["spikes"] >= 3


def test_updates_of_now_one_and_now_another_kind_of_text_oscillate(train, write):
    draw = random.Random(7)
    figures = [" ".join(str(draw.randrange(10**6)) for _ in range(220)) for _ in range(14)]
    fruits = [" ".join(draw.choices(["banana", "cabana"], k=200)) for _ in range(14)]
    run = train(write([*figures, *fruits]), 80, training__log_every=1, model__context=256, data__dedup="exact")
    finding = found(run)["oscillating"]
    assert finding.figures["swing"] > 0.5 and "training.tokens_per_update" in finding.remedy
    assert finding.settings["optimizer.learning_rate"] == 0.01


def test_clipping_that_acts_on_every_step_is_told_with_a_limit_that_would_not(train, prose):
    finding = found(train(prose, optimizer__clip=0.02))["clipping"]
    assert finding.figures["share"] > 0.9
    assert finding.settings["optimizer.clip"] > finding.figures["median_norm"]


@pytest.fixture(scope="module")
def memorized(train, write, write_text) -> Path:
    """2 KB for some 200 epochs."""
    return train(
        write([write_text(0, 8)[:2_200]]), 400, model__width=64, model__dropout=0.0, optimizer__weight_decay=0.1
    )


@pytest.mark.slow
def test_two_kilobytes_read_two_hundred_times_are_learned_by_heart(memorized):
    finding = found(memorized)["overfitting"]
    assert finding.figures["epochs"] > 20 and finding.figures["tokens_per_parameter"] < 0.1
    assert "times" in finding.evidence and "--set optimizer.weight_decay=1" in finding.remedy
    assert runs.Run.open(memorized).info["verdict"]["reading"] == "overfitting"


def test_a_gap_is_only_a_note_while_validation_still_improves(train, write, write_text):
    folder = write([write_text(10 + number, 3) for number in range(3)])
    run = train(folder, 100, model__width=64, model__dropout=0.0, evaluation__every=20, optimizer__weight_decay=0.1)
    finding = found(run)["generalization-gap"]
    assert finding.severity == "note" and finding.figures["best_step"] == 100 and "patience" not in finding.remedy
    assert finding.figures["gap"] > 0.5 and "no overfitting yet" in finding.evidence
    assert runs.Run.open(run).info["verdict"]["reading"] == "healthy"


def test_copies_in_the_held_out_text_are_told(train, write, texts):
    lines = [line[:150] for text in texts for line in text.splitlines() if len(line) > 60]  # too short to be compared
    verses = ["\n\n".join(lines[3 * n : 3 * n + 3]) for n in range(30)]
    draw = random.Random(0)
    songs = write(["\n\n".join(draw.sample(verses, 10)) for _ in range(30)])
    run = train(songs, 24)
    finding = found(run)["copied-validation"]
    assert finding.figures["share"] > 0.3 and "another source" in finding.remedy
    verdict = runs.Run.open(run).info["verdict"]
    assert verdict["reading"] == "copied validation" and "word for word" in verdict["evidence"]


def test_held_out_text_that_is_easier_is_told(train, write):
    draw = random.Random(7)
    figures = [" ".join(str(draw.randrange(10**6)) for _ in range(220)) for _ in range(12)]
    fruits = [" ".join(draw.choices(["banana", "cabana"], k=200)) for _ in range(14)]
    texts = [*figures, *fruits]
    # with so few documents, some seeds hold out nothing but fruits
    names = np.frombuffer(b"".join(map(split.digest, texts)), "<u8").reshape(-1, 2)
    lengths = np.array([len(text) for text in texts])
    seed = next(n for n in range(200) if not split.hold_out(names, lengths, 0.1, n)[:12].any())
    run = train(write(texts), 160, data__dedup="exact", training__seed=seed, evaluation__every=16)
    rows = runs.read_journal(run / "corpus" / "documents.jsonl")
    held_out = [Path(row["source"]).stem for row in rows if row["split"] == "validation"]
    assert held_out and all(int(name[5:7]) >= 12 for name in held_out)
    findings = found(run)
    assert list(findings) == ["validation-too-easy"]
    assert "nats below training" in findings["validation-too-easy"].evidence


@pytest.mark.slow
def test_random_text_is_told_by_its_baselines_and_nothing_is_blamed_on_the_rate(train, write):
    draw = random.Random(1)
    folder = write(["".join(draw.choices(string.printable[:94], k=2_000)) for _ in range(20)])
    findings = found(train(folder))
    assert "no-structure" in findings
    assert not findings.keys() & {"not-falling", "learning-rate-too-low", "plateau", "weaker-than-bigram"}


def test_misread_scans_are_told_with_the_worst_files(train, write, texts):
    pages = [misread(text, 0.3, number) if number < 6 else text for number, text in enumerate(texts)]
    finding = found(train(write(pages), 12))["garbled-text"]
    assert finding.figures["noisy_documents"] >= 4
    excluded = finding.settings["data.exclude"].split(",")
    assert excluded and all(int(name[5:7]) < 6 for name in excluded)


def test_a_misread_file_of_many_documents_is_named_once(train, write, texts):
    folder = write(texts[:4])
    rows = [json.dumps({"text": misread(text, 0.3, number)}) for number, text in enumerate(texts[4:12])]
    (folder / "pages.jsonl").write_text("\n".join(rows), encoding="utf-8")
    finding = found(train(folder, 12))["garbled-text"]
    assert finding.settings == {"data.exclude": "pages.jsonl"}
    assert finding.evidence.endswith("most of all pages.jsonl")


def test_a_vocabulary_that_the_text_cannot_fill_is_told(train, write):
    draw = random.Random(3)
    words = ["".join(draw.choices(string.ascii_lowercase, k=draw.randrange(4, 9))) for _ in range(1_500)]
    folder = write([" ".join(draw.choices(words, k=500)) for _ in range(8)])
    finding = found(train(folder, 12, data__tokenizer="bpe", data__vocab_size=8192))["unused-vocabulary"]
    assert finding.settings["data.vocab_size"] < 4096
    assert "unused-vocabulary" not in found(train(folder, 12, data__tokenizer="bpe", data__vocab_size=320))


def test_a_slow_disk_is_told(train, prose, monkeypatch):
    honest = TokenStream.read

    def slow(self, start, count):
        time.sleep(0.005)
        return honest(self, start, count)

    monkeypatch.setattr(TokenStream, "read", slow)
    finding = found(train(prose, 20))["slow-input"]
    assert finding.figures["waiting_seconds"] > 0.5


@pytest.mark.slow
def test_text_with_nothing_left_to_learn_comes_to_a_plateau(train, write):
    draw = random.Random(2)
    folder = write([" ".join(draw.choices(["tick", "tack", "toe", "ding", "dong"], k=500)) for _ in range(30)])
    finding = found(train(folder, 240))["plateau"]
    assert finding.settings == {"model.layers": 2} and finding.figures["gain"] < 0.03


def test_a_run_of_few_steps_is_weaker_than_a_bigram(train, prose):
    findings = found(train(prose, 16, training__log_every=1, evaluation__every=4))
    assert list(findings) == ["weaker-than-bigram"]
    finding = findings["weaker-than-bigram"]
    assert finding.figures["best"] > finding.figures["bigram"] + 0.5 and finding.settings == {"training.steps": 32}


def test_a_run_that_ends_with_its_warmup_is_still_falling(train, prose):
    run = train(
        prose, 104, training__log_every=2, evaluation__every=8, schedule__warmup=104, optimizer__learning_rate=0.04
    )
    findings = found(run)
    assert list(findings) == ["still-falling"]
    assert findings["still-falling"].settings == {"training.steps": 208}
    assert runs.Run.open(run).info["verdict"]["reading"] == "underfitting"


def test_a_run_without_validation_or_of_three_entries_says_so(train, write, texts):
    folder = write(texts[:6])
    assert list(found(train(folder, 40, data__validation=0.0))) == ["no-validation"]
    findings = found(train(folder, 3))
    assert list(findings) == ["too-short"]


def test_every_rule_has_a_real_run_here():
    text = Path(__file__).read_text(encoding="utf-8")
    assert [rule.name for rule in RULES if f'"{rule.name}"' not in text] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "usual"), [("adamw", 0.01), ("muon", 0.02)])
def test_rates_are_told_apart_for_other_seeds_and_both_optimizers(train, prose, name, usual, seed):
    for factor, expected in ((0.03, "learning-rate-too-low"), (1.0, None), (50.0, "learning-rate-too-high")):
        settings = {"optimizer__name": name, "optimizer__learning_rate": usual * factor, "training__seed": seed}
        if name == "muon" and factor < 1:  # the rates of embedding and head are usual, so that something is learned
            settings["model__layers"] = 2
        findings = found(train(prose, 240, **settings))
        if expected is None:
            assert findings == {}
        else:
            assert {expected, "diverging", "not-falling", "forgetting"} & findings.keys(), (factor, findings)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [{"model__width": 32}, {"model__width": 64}, {"model__layers": 2}])
def test_healthy_runs_of_other_seeds_sizes_and_texts_raise_nothing(train, write, write_text, seed, shape):
    folder = write([write_text(100 * seed + number, 14) for number in range(30)])
    assert found(train(folder, 240, training__seed=seed, **shape)) == {}
