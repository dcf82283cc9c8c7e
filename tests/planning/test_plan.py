import json
import os
from collections.abc import Callable

import numpy as np
import pytest

from groundup.config import Config, dump_config, load_config
from groundup.corpus import Corpus, Tokenizer
from groundup.errors import UserError
from groundup.model import Transformer
from groundup.planning import Plan, make_plan, plan_length, sizes

FLOPS = 1e11


@pytest.fixture
def corpus_of(tmp_path) -> Callable[[int], Corpus]:
    """A corpus of so many training tokens; only its length matters, so its shard is a sparse file."""

    def make(tokens: int) -> Corpus:
        folder = tmp_path / f"corpus-{tokens}"
        folder.mkdir()
        (folder / "tokenizer.json").write_text(Tokenizer.of_bytes().to_json(), encoding="utf-8")
        counts = dict.fromkeys(("train_tokens", "train_bytes"), tokens)
        counts |= {"validation_tokens": 0, "validation_bytes": 0, "vocab_size": 257}
        facts = {"version": 1, "fingerprint": "", "notes": [], "settings": {}, **counts}
        (folder / "manifest.json").write_text(
            json.dumps({**facts, "shards": {"train-00000.ds": {"bytes": 2 * tokens}}})
        )
        (folder / "train-00000.ds").touch()
        os.truncate(folder / "train-00000.ds", 2 * tokens)
        np.array([tokens], "<u8").tofile(folder / "train-00000.index")
        return Corpus(folder)

    return make


def plan(corpus: Corpus, **settings) -> tuple[Plan, Config]:
    settings = {key.replace("__", "."): value for key, value in settings.items()}
    if not any(
        key.startswith("training.") and key.split(".")[1] in ("minutes", "steps", "tokens", "epochs")
        for key in settings
    ):
        settings["training.steps"] = 100
    config = load_config(None, settings)
    clock = {"flops_per_second": FLOPS, "seconds_left": 60 * config.training.minutes} if config.training.minutes else {}
    return make_plan(config, corpus, **{"flops_per_second": None, "seconds_left": None, **clock}), config


@pytest.mark.parametrize("size", ["tiny", "small", "medium", "large"])
def test_every_size_of_the_dial_is_planned_as_it_says(corpus_of, size):
    made, config = plan(corpus_of(10**8), size=size)
    wanted = sizes.DIAL[size]
    shape = made.shape
    assert (shape.layers, shape.width, shape.context) == (wanted.layers, wanted.width, wanted.context)
    assert shape.heads * shape.head_dim == shape.width and shape.kv_heads == shape.heads
    assert shape.ffn_width % 64 == 0 and 2.5 < shape.ffn_width / shape.width < 3.5
    assert shape.vocab_size % 64 == 0 and shape.vocab_size >= 257
    assert config.training.tokens_per_update == wanted.tokens_per_update
    assert (made.steps, made.tokens, made.minutes) == (100, 100 * wanted.tokens_per_update, None)
    assert made.epochs == pytest.approx(made.tokens / 10**8)
    assert not [notice for notice in made.notices if "small" in notice and "corpus" in notice]


# the embedding of `large` alone would take long to make
@pytest.mark.parametrize(
    "settings", [{"size": "tiny"}, {"size": "small", "model__arch": "llama"}, {"size": "medium", "model__tied": True}]
)
def test_the_weights_are_counted_as_the_real_model_has_them(corpus_of, settings):
    made, _ = plan(corpus_of(10**7), **settings)
    real = sum(parameter.numel() for parameter in Transformer(made.shape).parameters())
    assert made.to_json()["parameters"] == made.shape.parameters() == real


OPEN = set(load_config().values())


@pytest.mark.parametrize("settings", [{"size": "tiny"}, {}, {"training__minutes": 5}, {"optimizer__name": "adamw"}])
def test_every_planned_value_has_a_reason_and_nothing_is_left_open(corpus_of, settings):
    made, config = plan(corpus_of(10**6), **settings)
    decided = {row["key"]: row for row in made.decisions}
    given = {key.replace("__", ".") for key in settings} | {"training.steps"}
    assert set(decided) == set(config.values()) - OPEN - given
    for key, row in decided.items():
        assert row["value"] == config.get(key) and row["reason"], key
    needed = ("model", "optimizer", "schedule", "training", "evaluation", "checkpoint")
    budget = {"training.minutes", "training.steps", "training.tokens", "training.epochs"}
    muon_only = {"optimizer.embedding_rate", "optimizer.head_rate"} if config.optimizer.name == "adamw" else set()
    left_open = {
        f"{part}.{name}" for part in needed for name, value in vars(getattr(config, part)).items() if value is None
    }
    assert left_open - budget - muon_only == set()
    json.dumps(made.to_json(), allow_nan=False)


@pytest.mark.parametrize("tokens", [16, 17, 100, 500, 3_000])
@pytest.mark.parametrize("size", [None, "large"])
def test_a_tiny_corpus_shrinks_context_and_update_with_notices(corpus_of, tokens, size):
    made, config = plan(corpus_of(tokens), **({"size": size} if size else {}))
    assert made.shape.context <= max(8, tokens // 8)
    assert made.shape.context <= config.training.tokens_per_update <= max(tokens, made.shape.context)
    assert any("context was shrunk" in notice for notice in made.notices) == (tokens // 8 < 64 or size == "large")
    assert any("an update learns from" in notice for notice in made.notices) == (tokens < 1024 or size == "large")


def test_too_little_text_is_the_users_error(corpus_of):
    with pytest.raises(UserError, match="only 15 tokens"):
        plan(corpus_of(15))


USERS = {
    "model.layers": 3,
    "model.width": 72,
    "model.heads": 5,
    "model.kv_heads": 1,
    "model.head_dim": 10,
    "model.ffn_width": 100,
    "model.context": 24,
    "model.tied": False,
    "model.dropout": 0.3,
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 1e-4,
    "optimizer.weight_decay": 0.0,
    "schedule.warmup": 0,
    "training.tokens_per_update": 240,
    "training.microbatch": 3,
    "training.log_every": 1,
    "training.patience": 0,
    "evaluation.every": 33,
    "checkpoint.every": 44,
}


@pytest.mark.parametrize("size", [None, "tiny", "large"])
def test_what_the_user_decided_is_never_changed(corpus_of, size):
    settings = {**USERS, **({"size": size} if size else {})}
    made, config = plan(corpus_of(2_000), **settings)
    assert {key: config.get(key) for key in USERS} == USERS
    assert not {row["key"] for row in made.decisions} & set(settings)
    assert (made.shape.layers, made.shape.width, made.shape.heads, made.shape.context) == (3, 72, 5, 24)
    assert not made.notices


@pytest.mark.parametrize("key", sorted(USERS))
def test_a_single_setting_of_the_user_fits_what_is_planned_around_it(corpus_of, key):
    made, config = plan(corpus_of(10**6), **{key: USERS[key]})
    expected = USERS[key]
    if key == "training.tokens_per_update":  # rounded to whole sequences, as its description says
        expected = max(1, round(expected / made.shape.context)) * made.shape.context
    assert config.get(key) == expected


def test_a_context_longer_than_the_corpus_is_the_users_error(corpus_of):
    with pytest.raises(UserError, match=r"model\.context = 512 is more than"):
        plan(corpus_of(500), **{"model.context": 512})


def test_heads_that_do_not_fit_are_the_users_error(corpus_of):
    with pytest.raises(UserError, match="cannot be shared evenly"):
        plan(corpus_of(10**5), **{"model.heads": 4, "model.kv_heads": 3})


def test_each_budget_gives_its_length(corpus_of):
    corpus = corpus_of(1_000_000)
    made, config = plan(corpus, training__steps=7)
    per_step = config.training.tokens_per_update
    assert (made.steps, made.tokens, made.minutes) == (7, 7 * per_step, None)
    assert plan(corpus, training__tokens=10 * per_step + 1)[0].steps == 11
    epochs = plan(corpus, training__epochs=2.5)[0]
    assert epochs.epochs == pytest.approx(2.5, abs=per_step / 1_000_000) and epochs.minutes is None
    short, long = (plan(corpus, training__minutes=minutes)[0] for minutes in (0.1, 5))
    assert (short.minutes, long.minutes) == (0.1, 5)
    assert short.steps >= 10
    cost = long.tokens * long.shape.flops_per_token()
    assert cost == pytest.approx(5 * 60 * FLOPS, rel=0.05)


def test_many_passes_over_a_small_corpus_are_regularized(corpus_of):
    corpus = corpus_of(100_000)
    dropouts = [plan(corpus, training__epochs=epochs)[1].model.dropout for epochs in (2, 15, 50)]
    assert dropouts == [0.0, 0.1, 0.2]
    assert plan(corpus, training__epochs=50)[1].training.patience == 0
    assert plan(corpus, training__minutes=20)[1].training.patience == 5


def test_minutes_that_a_short_text_does_not_need_are_left(corpus_of):
    corpus = corpus_of(30_000)
    made, config = plan(corpus, training__minutes=60)
    assert made.epochs == pytest.approx(sizes.MOST_EPOCHS, abs=0.1)
    assert any(f"read {sizes.MOST_EPOCHS} times" in notice for notice in made.notices)
    assert config.optimizer.weight_decay == plan(corpus, training__epochs=sizes.MOST_EPOCHS)[1].optimizer.weight_decay
    asked = plan(corpus, training__epochs=200)[0]
    assert asked.epochs == pytest.approx(200, abs=0.1)


def test_a_first_guess_of_too_many_steps_leaves_no_note_in_the_plan_of_the_measured_ones(corpus_of):
    corpus = corpus_of(600)
    guess, config = plan(corpus, training__minutes=60)
    steps = guess.steps // 4
    final = plan_length(config, corpus, steps, 60, guess.notices)
    assert final.steps == steps and final.epochs < 11
    assert final.notices == [notice for notice in guess.notices if "less than the minutes" not in notice]
    assert 0 < len(final.notices) == len(guess.notices) - 1
    again = plan_length(config, corpus, 10**6, 60, guess.notices)
    assert sorted(again.notices) == sorted(guess.notices)


def test_what_is_read_often_decays_more_within_bounds(corpus_of):
    corpus = corpus_of(100_000)
    decays = [plan(corpus, training__epochs=epochs)[1].optimizer.weight_decay for epochs in (1, 20, 500)]
    assert decays == [0.1, pytest.approx(1.0, rel=0.01), 2.0]


def test_a_larger_size_needs_more_memory(corpus_of):
    corpus = corpus_of(10**8)
    needs = [plan(corpus, size=size)[0].memory_bytes for size in ("tiny", "small", "medium", "large")]
    assert needs == sorted(set(needs))
    half = plan(corpus, size="large", training__microbatch=1)[0].memory_bytes
    assert half < needs[-1]
    adamw = plan(corpus, size="large", optimizer__name="adamw")[0].memory_bytes
    assert adamw > needs[-1]


def test_more_memory_than_there_is_free_is_a_notice(corpus_of):
    made, _ = plan(corpus_of(10**8), size="large", training__microbatch=10**6)
    assert any("GB of memory" in warning and "microbatch" in warning for warning in made.warnings)


def test_one_microbatch_is_bounded_by_tokens_and_by_logits(corpus_of):
    corpus = corpus_of(10**8)
    for size in ("tiny", "small", "medium", "large"):
        made, config = plan(corpus, size=size, training__tokens_per_update=10**6)
        assert 1 <= config.training.microbatch * made.shape.context <= 8192


def test_planning_twice_from_the_resolved_configuration_changes_nothing(corpus_of, tmp_path):
    corpus = corpus_of(10**6)
    made, config = plan(corpus, size="tiny")
    (tmp_path / "config.toml").write_text(dump_config(config))
    again = load_config(tmp_path / "config.toml")
    repeated = make_plan(again, corpus, flops_per_second=None, seconds_left=None)
    assert again.values() == config.values()
    assert (repeated.shape, repeated.steps, repeated.memory_bytes) == (made.shape, made.steps, made.memory_bytes)
    assert repeated.decisions == []


@pytest.mark.parametrize("width", [1, 7, 65, 96, 100, 384, 1000])
def test_any_width_gets_heads_that_fit(corpus_of, width):
    made, _ = plan(corpus_of(10**5), **{"model.width": width})
    assert made.shape.width == width and made.shape.heads >= 1
    Transformer(made.shape)
