"""config.json of a model: written so that old and new readers agree, read without guessing."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from groundup.errors import UserError
from groundup.model.shape import ModelShape
from groundup.runs import read_text

_CLASSES = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}
# Far above what can be trained here; a size beyond these is a damaged or hostile file, refused before memory
# is taken.
_LARGEST = {
    "vocab_size": 1 << 22,
    "num_hidden_layers": 1 << 10,
    "hidden_size": 1 << 16,
    "num_attention_heads": 1 << 12,
    "num_key_value_heads": 1 << 12,
    "head_dim": 1 << 12,
    "intermediate_size": 1 << 18,
    "max_position_embeddings": 1 << 20,
}
# What other models of these classes may have and ours do not: (key, the only value accepted).
_FIXED = (
    ("hidden_act", "silu"),
    ("attention_bias", False),
    ("mlp_bias", False),
    ("use_sliding_window", False),
    ("rope_scaling", None),
    ("pretraining_tp", 1),
)


def config_json(shape: ModelShape, eos_id: int, precision: str = "float32") -> dict[str, Any]:
    """The content of config.json; dropout is a matter of training and is not in it."""
    config: dict[str, Any] = {
        "architectures": [_CLASSES[shape.arch]],
        "model_type": shape.arch,
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.norm_eps,
        "hidden_act": "silu",
        "tie_word_embeddings": shape.tied,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": eos_id,
        "eos_token_id": eos_id,
        "pad_token_id": eos_id,
        # transformers 4 and Ollama read rope_theta and torch_dtype, transformers 5 the others; a reader that
        # finds neither of its own silently takes a default
        "rope_theta": shape.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "torch_dtype": precision,
        "dtype": precision,
    }
    if shape.arch == "llama":
        config["mlp_bias"] = False
    else:
        config |= {"use_sliding_window": False, "sliding_window": None, "max_window_layers": shape.layers}
    return config


def load_shape(directory: Path) -> ModelShape:
    """The shape that config.json describes; UserError for anything unknown, missing or absurd."""
    file = directory / "config.json"
    config = _read_json(file)
    arch = config.get("model_type")
    names = config.get("architectures")
    if arch not in tuple(_CLASSES) or names != [_CLASSES[arch]]:
        raise UserError(
            f"architecture {names} with model_type {arch!r} is not known",
            where=file,
            fix=f"groundup loads {' and '.join(_CLASSES.values())}",
        )
    for key, value in _FIXED:
        if config.get(key, value) != value:
            raise UserError(f"{key} = {config[key]!r} is not supported", where=file)
    size = {key: _size(config, key, file) for key in _LARGEST if key not in ("head_dim", "num_key_value_heads")}
    if config.get("layer_types") not in (None, ["full_attention"] * size["num_hidden_layers"]):
        raise UserError("layers with other than full attention are not supported", where=file)
    heads = size["num_attention_heads"]
    if "head_dim" not in config and arch == "llama":  # older Llama files leave it out
        config["head_dim"] = size["hidden_size"] // heads
    try:
        return ModelShape(
            arch=arch,
            vocab_size=size["vocab_size"],
            layers=size["num_hidden_layers"],
            width=size["hidden_size"],
            heads=heads,
            kv_heads=_size(config, "num_key_value_heads", file) if "num_key_value_heads" in config else heads,
            head_dim=_size(config, "head_dim", file),
            ffn_width=size["intermediate_size"],
            context=size["max_position_embeddings"],
            tied=_flag(config, "tie_word_embeddings", file),
            rope_theta=_rope_theta(config, file),
            norm_eps=_number(config.get("rms_norm_eps"), "rms_norm_eps", file),
        )
    except UserError as error:
        if error.where == str(file):
            raise
        raise UserError(f"{error.where} {error.what}", where=file) from None


def _read_json(file: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = Counter(key for key, _ in pairs)
        if twice := {key for key, count in keys.items() if count > 1}:
            raise UserError(f"key {min(twice)!r} appears twice", where=file)
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise UserError(f"{constant} is not a number", where=file)

    if not file.exists():
        raise UserError("no such file", where=file, fix="give a directory that holds a trained model")
    text = read_text(file)
    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise UserError(f"cannot be read: {error}", where=file) from None
    if not isinstance(content, dict):
        raise UserError("is not a JSON object", where=file)
    return content


def _size(config: dict[str, Any], key: str, file: Path) -> int:
    value = config.get(key)
    if type(value) is not int or not 1 <= value <= _LARGEST[key]:  # bool is an int to isinstance
        raise UserError(f"{key} = {value!r} should be a whole number from 1 to {_LARGEST[key]}", where=file)
    return value


def _number(value: Any, key: str, file: Path) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e30:
        raise UserError(f"{key} = {value!r} should be a number", where=file)
    return float(value)


def _flag(config: dict[str, Any], key: str, file: Path) -> bool:
    value = config.get(key, False)
    if type(value) is not bool:
        raise UserError(f"{key} = {value!r} should be true or false", where=file)
    return value


def _rope_theta(config: dict[str, Any], file: Path) -> float:
    nested = config.get("rope_parameters") or {}
    if not isinstance(nested, dict) or nested.get("rope_type", "default") != "default":
        raise UserError(f"rope_parameters = {nested!r} is not supported", where=file)
    found = {v for v in (config.get("rope_theta"), nested.get("rope_theta")) if type(v) in (int, float)}
    if len(found) != 1:
        raise UserError("rope_theta and rope_parameters.rope_theta should hold one number", where=file)
    return _number(found.pop(), "rope_theta", file)
