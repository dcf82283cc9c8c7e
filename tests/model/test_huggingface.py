"""Our directory in transformers' hands, and damaged directories in ours."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file

from groundup.errors import UserError
from groundup.model import (
    ModelShape,
    Transformer,
    load_model,
    load_shape,
    load_weights,
    save_files,
    save_model,
)

SHAPE = ModelShape("qwen3", 301, 2, 32, 4, 2, 8, 48, 24, tied=False, rope_theta=5_000.0)
SHAPES = {
    "qwen3": SHAPE,
    "qwen3 tied": replace(SHAPE, tied=True, kv_heads=4),
    "qwen3 wide heads": replace(SHAPE, heads=3, kv_heads=1, head_dim=24, vocab_size=259, rope_theta=1e6),
    "llama": replace(SHAPE, arch="llama", norm_eps=1e-5),
    "llama tied": replace(SHAPE, arch="llama", tied=True, kv_heads=1, width=40),
}


def filled(shape: ModelShape) -> Transformer:
    model = Transformer(shape)
    draws = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=draws)
        parameter.data = noise / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 1 + 0.2 * noise
    return model.eval()


def byte_tokenizer() -> tokenizers.Tokenizer:
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(filled(SHAPE), tmp_path / "model", tokenizer=byte_tokenizer(), eos_id=256)
    return tmp_path / "model"


@pytest.mark.parametrize("name", SHAPES)
def test_transformers_computes_the_same_logits(name, tmp_path):
    import transformers

    model = filled(SHAPES[name])
    save_files(model, tmp_path, tokenizer=byte_tokenizer().to_str().encode(), eos_id=256)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    expected = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}[SHAPES[name].arch]
    assert type(theirs).__name__ == expected
    assert theirs.dtype == torch.float32
    ids = torch.randint(259, (3, 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (model(ids) - theirs(ids).logits).abs().max() < 1e-4
        assert model(ids).std() > 0.1


def test_transformers_reads_tokenizer_and_generation_settings(saved):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(saved, local_files_only=True)
    assert tokenizer("né")["input_ids"] == [256, *byte_tokenizer().encode("né").ids]
    assert tokenizer.decode(tokenizer("né \n .")["input_ids"], skip_special_tokens=True) == "né \n ."
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (256, 256, 256)
    assert tokenizer.model_max_length == 24
    settings = transformers.GenerationConfig.from_pretrained(saved, local_files_only=True)
    assert settings.eos_token_id == [256]


def test_a_saved_model_comes_back(saved):
    model = load_model(saved)
    assert model.shape == load_shape(saved) == SHAPE
    assert not model.training
    for name, weight in filled(SHAPE).state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)
    ids = torch.arange(24)[None]
    assert torch.equal(model(ids), filled(SHAPE)(ids))
    assert all(p.requires_grad for p in model.parameters())
    other = Transformer(replace(SHAPE, dropout=0.1))
    load_weights(other, saved)
    assert torch.equal(other.eval()(ids), model(ids))


def test_saving_twice_gives_equal_bytes_and_no_pickle(saved, tmp_path):
    save_model(load_model(saved), tmp_path / "again", tokenizer=byte_tokenizer(), eos_id=256)
    names = sorted(p.name for p in saved.iterdir())
    assert names == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert all((saved / n).read_bytes() == (tmp_path / "again" / n).read_bytes() for n in names)


def test_a_model_outlives_the_files_it_came_from(saved):
    model = load_model(saved)
    file = saved / "model.safetensors"
    file.write_bytes(b"\xff" * file.stat().st_size)  # in place, as a careless program would
    assert torch.equal(model.lm_head.weight, filled(SHAPE).lm_head.weight)
    save_model(model, saved, tokenizer=byte_tokenizer(), eos_id=256)
    assert torch.equal(load_model(saved).lm_head.weight, filled(SHAPE).lm_head.weight)


def test_config_speaks_to_old_and_new_readers(saved):
    config = json.loads((saved / "config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 5_000.0
    assert config["torch_dtype"] == config["dtype"] == "float32"
    assert config["head_dim"] == 8


def test_half_precision_weights_are_loaded_as_float32(saved):
    weights = {n: w.bfloat16() for n, w in load_file(saved / "model.safetensors").items()}
    save_file(weights, saved / "model.safetensors")
    assert all(p.dtype == torch.float32 for p in load_model(saved).parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, "not known"),
        ({"architectures": ["LlamaForCausalLM"]}, "not known"),
        ({"model_type": ["qwen3"]}, "not known"),
        ({"hidden_size": "32"}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"max_position_embeddings": 1 << 40}, "max_position_embeddings"),
        ({"vocab_size": None}, "vocab_size"),
        ({"num_key_value_heads": 3}, "kv_heads"),
        ({"rms_norm_eps": None}, "rms_norm_eps"),
        ({"rope_theta": 1e6}, "rope_theta"),
        ({"rope_theta": -1, "rope_parameters": None}, "rope_theta"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"layer_types": ["sliding_attention"] * 2}, "full attention"),
        ({"layer_types": [[]]}, "full attention"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings"),
    ],
)
def test_a_config_that_is_not_ours_is_refused(saved, change, message):
    file = saved / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=message) as caught:
        load_model(saved)
    assert caught.value.where == str(file)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_config_that_is_not_sound_json_is_refused(saved, text):
    (saved / "config.json").write_bytes(text)
    with pytest.raises(UserError) as caught:
        load_model(saved)
    assert caught.value.where == str(saved / "config.json")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"use_cache": true', '"use_cache": NaN', "NaN is not a number"),
        ('"use_cache": true', '"use_cache": -Infinity', "-Infinity is not a number"),
        ('"use_cache": true', '"use_cache": true, "use_cache": false', "'use_cache' appears twice"),
        ('"rope_type": "default"', '"a": 1, "a": 1', "'a' appears twice"),
    ],
)
def test_json_that_readers_could_understand_differently_is_refused(saved, old, new, message):
    file = saved / "config.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        load_model(saved)
    assert caught.value.where == str(file)


def _without_norm(weights):
    del weights["model.norm.weight"]


def _with_surplus(weights):
    weights["model.norm.bias"] = torch.zeros(32)


def _misshapen(weights):
    weights["model.norm.weight"] = torch.ones(33)


def _transposed(weights):
    weights["lm_head.weight"] = weights["lm_head.weight"].T.contiguous()


def _not_finite(weights):
    weights["lm_head.weight"][3, 4] = float("nan")


def _integers(weights):
    weights["model.norm.weight"] = torch.ones(32, dtype=torch.int32)


@pytest.mark.parametrize("damage", [_without_norm, _with_surplus, _misshapen, _transposed, _not_finite, _integers])
def test_weights_that_do_not_fit_are_refused(saved, damage):
    file = saved / "model.safetensors"
    weights = load_file(file)
    damage(weights)
    save_file(weights, file)
    with pytest.raises(UserError) as caught:
        load_model(saved)
    assert caught.value.where == str(file)


def test_cut_and_absent_files_are_refused(saved, tmp_path):
    file = saved / "model.safetensors"
    whole = file.read_bytes()
    for size in (0, 5, 200, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(UserError, match="cannot be read"):
            load_model(saved)
    file.unlink()
    with pytest.raises(UserError, match="no such file"):
        load_model(saved)
    with pytest.raises(UserError, match="no such file"):
        load_model(tmp_path / "nothing")


def test_a_directory_that_cannot_be_written_is_the_users_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        save_model(filled(SHAPE), tmp_path / "file", tokenizer=byte_tokenizer(), eos_id=256)
