"""A model as a Hugging Face directory: safetensors and JSON written by hand, read back strictly, never
pickle.

Files are only written here; making them durable and publishing them at once is the checkpoint's business.
"""

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer, processors

from groundup.corpus.tokenizer import END_OF_TEXT
from groundup.errors import UserError
from groundup.model.shape import ModelShape
from groundup.model.transformer import Transformer

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


def save_model(model: Transformer, directory: Path, *, tokenizer: Tokenizer | bytes, eos_id: int) -> None:
    """Write the whole model directory, making it where needed; arguments as in `save_files`.

    Raises UserError where the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        save_files(model, directory, tokenizer=tokenizer, eos_id=eos_id)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot be written: {error}", where=directory, fix="check space and permissions"
        ) from None


def save_files(model: Transformer, directory: Path, *, tokenizer: Tokenizer | bytes, eos_id: int) -> None:
    """Write config.json, generation_config.json, model.safetensors, tokenizer.json and tokenizer_config.json.

    `tokenizer` is a `tokenizers.Tokenizer` or the bytes of its JSON; `eos_id` is the id of `<|endoftext|>`,
    which begins, ends and pads texts. Nothing is synchronized to disk; OSError and SafetensorError pass
    through.
    """
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    precision = str(next(model.parameters()).dtype).removeprefix("torch.")
    _write_json(directory / "config.json", config_json(model.shape, eos_id, precision))
    _write_json(directory / "generation_config.json", _generation_json(eos_id))
    _write_json(directory / "tokenizer_config.json", _tokenizer_json(model.shape, eos_id))
    (directory / "tokenizer.json").write_text(_beginning_texts(tokenizer, eos_id), encoding="utf-8")


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


def load_model(directory: Path, device: torch.device | str = "cpu") -> Transformer:
    """The model of a directory in evaluation mode, with float32 weights on `device`.

    Raises UserError naming the file for anything that is not exactly such a model.
    """
    shape = load_shape(directory)
    # names and sizes are compared before any memory is taken for the weights
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in Transformer(shape).state_dict().items()}
    weights = _read_weights(directory / "model.safetensors", expected)
    model = Transformer(shape)
    model.load_state_dict(weights, assign=True)
    return model.requires_grad_(True).to(device).eval()


def load_weights(model: Transformer, directory: Path) -> None:
    """Fill an existing model, on its device, from model.safetensors, whose names and sizes must be the
    model's own.

    Raises UserError naming the file where they are not.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict(_read_weights(directory / "model.safetensors", expected))


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
    size = {
        key: _size(config, key, file) for key in _LARGEST if key not in ("head_dim", "num_key_value_heads")
    }
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


def _beginning_texts(tokenizer: Tokenizer | bytes, eos_id: int) -> str:
    """tokenizer.json that puts `<|endoftext|>` before every text, as in training."""
    # transformers 5 ignores add_bos_token beside a tokenizer.json
    text = tokenizer if isinstance(tokenizer, bytes) else tokenizer.to_str().encode()
    copy = Tokenizer.from_buffer(text)
    copy.post_processor = processors.TemplateProcessing(
        single=f"{END_OF_TEXT} $A",
        pair=f"{END_OF_TEXT} $A {END_OF_TEXT} $B",
        special_tokens=[(END_OF_TEXT, eos_id)],
    )
    return copy.to_str(pretty=True) + "\n"


def _generation_json(eos_id: int) -> dict[str, Any]:
    return {
        "bos_token_id": eos_id,
        "eos_token_id": [eos_id],
        "pad_token_id": eos_id,
        "do_sample": True,
        "temperature": 0.8,
        "top_k": 50,
    }


def _tokenizer_json(shape: ModelShape, eos_id: int) -> dict[str, Any]:
    special = {
        "content": END_OF_TEXT,
        "lstrip": False,
        "rstrip": False,
        "single_word": False,
        "normalized": False,
    }
    return {
        # transformers 4 does not know the class name that transformers 5 writes; both know this one
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "unk_token": None,
        "add_bos_token": True,  # every text in training begins with it
        "add_eos_token": False,
        "added_tokens_decoder": {str(eos_id): special | {"special": True}},
        "model_max_length": shape.context,
        "clean_up_tokenization_spaces": False,
    }


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(file: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise UserError(f"key {min(twice)!r} appears twice", where=file)
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise UserError(f"{constant} is not a number", where=file)

    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except FileNotFoundError:
        raise UserError(
            "no such file", where=file, fix="give a directory that holds a trained model"
        ) from None
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


def _read_weights(file: Path, expected: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    if not file.is_file():
        raise UserError("no such file", where=file, fix="give a directory that holds a trained model")
    try:
        with safe_open(file, framework="pt") as opened:
            handle = cast(Any, opened)  # the class is native code and has no types
            names = set(handle.keys())
            if missing := sorted(expected.keys() - names):
                raise UserError(f"lacks {len(missing)} tensors, such as {missing[0]}", where=file)
            if surplus := sorted(names - expected.keys()):
                raise UserError(f"holds {len(surplus)} unknown tensors, such as {surplus[0]}", where=file)
            for name, shape in expected.items():
                found = tuple(handle.get_slice(name).get_shape())
                if found != shape:
                    raise UserError(f"{name} is {found}, but config.json makes it {shape}", where=file)
            return {name: _float32(handle.get_tensor(name), name, file) for name in expected}
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(
            f"cannot be read: {error}", where=file, fix="the file is damaged; use another copy"
        ) from None


def _float32(tensor: torch.Tensor, name: str, file: Path) -> torch.Tensor:
    if not tensor.is_floating_point():
        raise UserError(f"{name} holds {tensor.dtype}, not floating-point numbers", where=file)
    tensor = tensor.float()
    if not bool(torch.isfinite(tensor).all()):
        raise UserError(
            f"{name} holds numbers that are not finite", where=file, fix="use an earlier checkpoint"
        )
    return tensor
