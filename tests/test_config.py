import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.config import KEYS, Config, describe, dump_config, load_config, parse_settings
from groundup.errors import UserError

# one value for every setting, none of them the default
EVERYTHING = {
    "size": "medium",
    "data.validation": 0.25,
    "data.tokenizer": "bpe",
    "data.vocab_size": 1000,
    "data.ocr": False,
    "data.html": "all",
    "data.text": "{title}\n{body}",
    "data.query": "select body from posts",
    "data.clean": ("nfc", "controls"),
    "data.mask": ("keys",),
    "data.filter": "web",
    "data.dedup": "exact",
    "data.exclude": ("*.log", "drafts/"),
    "model.arch": "llama",
    "model.layers": 3,
    "model.width": 96,
    "model.heads": 6,
    "model.kv_heads": 2,
    "model.head_dim": 16,
    "model.ffn_width": 257,
    "model.context": 33,
    "model.tied": False,
    "model.dropout": 0.15,
    "model.rope_theta": 1e5,
    "model.norm_eps": 1e-5,
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 1 / 3,
    "optimizer.embedding_rate": 0.1 + 0.2,
    "optimizer.head_rate": 1e-300,
    "optimizer.betas": (0.8, 0.999),
    "optimizer.eps": 1e-9,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 0.0,
    "optimizer.clip": 0.0,
    "schedule.shape": "cosine",
    "schedule.warmup": 0,
    "schedule.decay": 1.0,
    "schedule.minimum": 0.0,
    "training.seed": 2**63 - 1,
    "training.minutes": 0.5,
    "training.steps": None,
    "training.tokens": None,
    "training.epochs": None,
    "training.tokens_per_update": 640,
    "training.microbatch": 2,
    "training.log_every": 7,
    "training.patience": 3,
    "training.max_bad_steps": 4,
    "training.grace": 25.0,
    "health.window": 32,
    "health.spike": 5.5,
    "health.rewind": 2,
    "evaluation.every": 11,
    "evaluation.tokens": 5000,
    "checkpoint.every": 13,
    "checkpoint.keep": 5,
    "checkpoint.keep_every": 3,
    "checkpoint.asynchronous": False,
    "samples.prompts": ("One", "Two\n"),
    "samples.max_new_tokens": 9,
    "samples.temperature": 0.0,
    "samples.top_k": 0,
    "device.device": "cpu",
    "device.precision": "float32",
    "device.threads": 1,
    "device.compile": "off",
    "device.deterministic": False,
    "parallel.timeout": 20.0,
}


def write(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refused(file: Path | None = None, overrides: dict | None = None) -> str:
    with pytest.raises(UserError) as caught:
        load_config(file, overrides)
    return str(caught.value)


def reloaded(config: Config, folder: Path) -> Config:
    file = folder / "dumped.toml"
    file.write_bytes(dump_config(config).encode())
    return load_config(file)


def test_every_setting_survives_dump_and_load(tmp_path):
    assert set(EVERYTHING) == set(KEYS)
    given_values = {key: value for key, value in EVERYTHING.items() if value is not None}
    config = load_config(None, given_values)
    assert config.values() == given_values
    again = reloaded(config, tmp_path)
    assert again.values() == given_values
    assert dump_config(again).count("dumped.toml:") == len(given_values)


def test_the_defaults_survive_dump_and_load(tmp_path):
    assert reloaded(load_config(), tmp_path).values() == load_config().values() == Config().values()


@settings(max_examples=40)
@given(prompts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_prompts_of_any_text_survive_dump_and_load(prompts, tmp_path_factory):
    config = load_config(None, {"samples.prompts": prompts})
    assert reloaded(config, tmp_path_factory.mktemp("c")).samples.prompts == tuple(prompts)


@pytest.mark.parametrize(
    "prompt",
    [
        "'''",
        '"""',
        "a\\",
        '\\"',
        "\r\n\t\x00\x0b\x1b\x7f\x85\u2028",
        "🙂🏽 \ufeff",
        "[model]\nlayers = 9",
        "# no comment",
        "",
    ],
)
def test_hostile_prompts_survive_dump_and_load(prompt, tmp_path):
    again = reloaded(load_config(None, {"samples.prompts": [prompt]}), tmp_path)
    assert again.samples.prompts == (prompt,)
    assert again.model.layers is None


def test_a_dump_says_where_each_value_came_from(tmp_path):
    file = write(tmp_path, "size = 'tiny'\n\n[model]\nlayers = 3\n")
    config = load_config(file, {"model.width": "64"})
    config.decide("model.heads", 2, "width / head size\nand more")
    lines = dump_config(config).splitlines()
    assert f'size = "tiny" # {file}:1' in lines
    assert f"layers = 3 # {file}:4" in lines
    assert "width = 64 # command line" in lines
    assert "heads = 2 # width / head size and more" in lines
    assert "clip = 1.0 # default" in lines


def test_a_file_name_with_odd_characters_does_not_spoil_the_dump(tmp_path):
    file = tmp_path / "a\nlayers = 9 #\x01é.toml"
    file.write_text("[model]\nlayers = 3\n")
    assert reloaded(load_config(file), tmp_path).model.layers == 3


def test_decide_fills_what_is_open_and_leaves_what_the_user_decided():
    config = load_config(None, {"model.layers": "3", "model.tied": "false"})
    assert config.decide("model.layers", 9, "planned") == 3
    assert config.decide("model.tied", True, "planned") is False
    assert config.decide("model.width", 64, "planned") == 64
    assert config.decide("size", "tiny", "planned") == "tiny"
    assert (config.model.layers, config.model.tied, config.model.width, config.size) == (3, False, 64, "tiny")
    assert config.origins == {
        "model.layers": "command line",
        "model.tied": "command line",
        "model.width": "planned",
        "size": "planned",
    }


def test_the_command_line_wins_over_the_file(tmp_path):
    file = write(tmp_path, "[model]\nlayers = 3\nwidth = 64\n")
    config = load_config(file, {"model.layers": "5"})
    assert (config.model.layers, config.model.width) == (5, 64)
    assert config.origins["model.layers"] == "command line"


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.5", 0.5), (" 1_0 ", 10), ("1e1", 10)],
)
def test_overrides_may_be_toml_literals_in_text(text, value):
    assert load_config(None, {"training.minutes": text}).training.minutes == value


def test_text_that_is_no_toml_literal_is_taken_as_it_is():
    assert load_config(None, {"size": "tiny"}).size == load_config(None, {"size": '"tiny"'}).size == "tiny"


@pytest.mark.parametrize("key", ["training.minutes", "training.steps", "training.tokens", "training.epochs"])
def test_a_budget_on_the_command_line_replaces_the_one_of_the_file(tmp_path, key):
    file = write(tmp_path, "[training]\nminutes = 3\nseed = 4\n")
    config = load_config(file, {key: 5})
    budget = ("minutes", "steps", "tokens", "epochs")
    assert {name: getattr(config.training, name) for name in budget if getattr(config.training, name)} == {
        key.split(".")[1]: 5
    }
    assert config.training.seed == 4
    assert [name for name in config.origins if name.split(".")[1] in budget] == [key]


def test_two_budgets_are_refused_wherever_they_stand(tmp_path):
    message = refused(write(tmp_path, "[training]\nsteps = 3\nepochs = 1.5\n"))
    assert "training.steps" in message and "training.epochs" in message
    assert "training.minutes" in refused(None, {"training.minutes": 1, "training.tokens": 100})


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("[model]\n\nlayers = 0\n", 3, "model.layers"),
        ("\nmodel.layers = -1\n", 2, "model.layers"),
        ("\n\nmodel = { layers = 0 }\n", 3, "model.layers"),
        ('[ "model" ]\n"layers" = "many"\n', 2, "model.layers"),
        ("# \u2028\x0c\n[optimizer]\nbetas = [0.9, 2]\n", 3, "optimizer.betas"),
        ("[optimizer]\nbetas = [0.9]\n", 2, "optimizer.betas"),
        ("[data]\nvalidation = 0.6\n", 2, "data.validation"),
        ("[data]\nvalidation = nan\n", 2, "data.validation"),
        ("[training]\nminutes = inf\n", 2, "training.minutes"),
        ("[data]\nvocab_size = 256\n", 2, "data.vocab_size"),
        ("[model]\nhead_dim = 3\n", 2, "model.head_dim"),
        ("[model]\nlayers = 2020-01-01\n", 2, "model.layers"),
        ("[device]\ndevice = 'tpu'\n", 2, "device.device"),
        ("size = 'huge'\n", 1, "size"),
        ("[samples]\nmax_new_tokens = 5\nprompts = 'one'\n", 3, "samples.prompts"),
        ("\nmodel = 3\n", 2, "model"),
        ("[[model]]\nlayers = 1\n", 1, "model"),
    ],
)
def test_a_wrong_value_is_named_by_file_line_and_key(tmp_path, text, line, key):
    file = write(tmp_path, text.replace("\x0c", ""))
    assert refused(file).startswith(f"{file}:{line}: {key} = ")


@pytest.mark.parametrize(
    ("text", "line", "key", "near"),
    [
        ("[model]\nwidth = 8\nlayres = 3\n", 3, "model.layres", "model.layers"),
        ("\n[modle]\nlayers = 3\n", 2, "modle", "model"),
        ("[training]\nlayers = 3\n", 2, "training.layers", "model.layers"),
        ("layers = 3\n", 1, "layers", "model.layers"),
        ("origins = 3\n", 1, "origins", None),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest_known_one(tmp_path, text, line, key, near):
    message = refused(file := write(tmp_path, text))
    assert f"unknown setting '{key}'" in message
    assert message.startswith(f"{file}:{line}: " if line else f"{file}: ")
    assert near is None or f"did you mean {near}?" in message


@pytest.mark.parametrize(
    ("key", "near"),
    [("model.layres", "model.layers"), ("layers", "model.layers"), ("Size", "size"), ("origins", None)],
)
def test_an_unknown_setting_on_the_command_line_is_named_with_the_nearest_one(key, near):
    message = refused(None, {key: "3"})
    assert f"'{key}'" in message
    assert near is None or f"did you mean {near}?" in message


def test_a_wrong_value_on_the_command_line_is_not_blamed_on_the_file(tmp_path):
    file = write(tmp_path, "[model]\nlayers = 3\n")
    message = refused(file, {"model.layers": "0"})
    assert "model.layers = 0" in message and str(file) not in message


@pytest.mark.parametrize(
    "content",
    [
        b"layers = [",
        b"\xff\xfe",
        b"a = " + b"[" * 5000,
        b"[training]\nsteps = " + b"9" * 5000,
        b"x = 1\nx = 2\n",
    ],
)
def test_a_file_that_is_no_toml_is_named(tmp_path, content):
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    assert refused(file).startswith(f"{file}: ")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert str(tmp_path / "none.toml") in refused(tmp_path / "none.toml")
    assert str(tmp_path) in refused(tmp_path)


@pytest.mark.parametrize("value", ["[" * 5000, "9" * 5000, '["\udcff"]', ""])
def test_hostile_values_on_the_command_line_are_refused_in_few_words(value):
    for key in ("training.steps", "samples.prompts"):
        message = refused(None, {key: value})
        assert key in message and len(message) < 6000
        message.encode()


def test_a_section_given_as_a_value_is_refused_even_when_it_is_overridden(tmp_path):
    file = write(tmp_path, "training = 3\n")
    assert f"{file}:1" in refused(file, {"training.steps": "4"})


def test_parse_settings_splits_at_the_first_equals_sign():
    assert parse_settings(["model.layers=4", " a . b = x=y "]) == {"model.layers": "4", "a . b": "x=y"}
    with pytest.raises(UserError, match=r"model\.layers"):
        parse_settings(["model.layers"])


def test_every_setting_is_described_with_kind_default_and_meaning():
    rows = {key: rest for key, *rest in describe()}
    assert set(rows) == set(KEYS)
    assert [key for key, (kind, default, meaning) in rows.items() if not (kind and default and meaning)] == []
    # the defaults in the reference are valid TOML, except those that a plan fills
    config = Config()
    for key, (_, default, _) in rows.items():
        value = config.get(key)
        if value is None:
            assert default == "planned"
        else:
            literal = default.strip("`")
            shown = literal if isinstance(value, str) else tomllib.loads(f"v = {literal}")["v"]
            assert (tuple(shown) if isinstance(shown, list) else shown) == value


def test_keys_are_exactly_the_fields_of_the_sections():
    sections = [field for field in fields(Config) if field.name not in ("size", "origins", "planned")]
    expected = {
        f"{section.name}.{field.name}" for section in sections for field in fields(getattr(Config(), section.name))
    }
    assert set(KEYS) == expected | {"size"}
    assert len(KEYS) == len(set(KEYS))
