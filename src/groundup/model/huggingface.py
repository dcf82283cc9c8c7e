"""A model as a Hugging Face directory: safetensors and JSON written by hand, never pickle, read strictly.

Files are only written here; making them durable and publishing them at once is the checkpoint's business.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer, processors
from torch import Tensor

from groundup.corpus.tokenizer import END_OF_TEXT
from groundup.errors import UserError
from groundup.model.huggingface_config import config_json, load_shape
from groundup.model.shape import ModelShape
from groundup.model.transformer import Transformer


def save_model(model: Transformer, directory: Path, *, tokenizer: Tokenizer | bytes, eos_id: int) -> None:
    """Write the whole model directory, making it where needed; arguments as in `save_files`.

    Raises UserError where the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        save_files(model, directory, tokenizer=tokenizer, eos_id=eos_id)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot be written: {error}", where=directory, fix="check space and permissions") from None


def save_files(
    model: Transformer,
    directory: Path,
    *,
    tokenizer: Tokenizer | bytes,
    eos_id: int,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Write config.json, generation_config.json, model.safetensors, tokenizer.json and tokenizer_config.json.

    `tokenizer` is a `tokenizers.Tokenizer` or the bytes of its JSON; `eos_id` is the id of `<|endoftext|>`,
    which begins, ends and pads texts; `weights` takes the place of the model's own, as a copy of them made earlier.
    Nothing is synchronized to disk; OSError and SafetensorError pass through.
    """
    weights = model.state_dict() if weights is None else weights
    tensors = {name: tensor.detach().contiguous() for name, tensor in weights.items()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    precision = str(next(model.parameters()).dtype).removeprefix("torch.")
    _write_json(directory / "config.json", config_json(model.shape, eos_id, precision))
    _write_json(directory / "generation_config.json", _generation_json(eos_id))
    _write_json(directory / "tokenizer_config.json", _tokenizer_json(model.shape, eos_id))
    content = tokenizer if isinstance(tokenizer, bytes) else tokenizer.to_str().encode()
    (directory / "tokenizer.json").write_text(_beginning_texts(content, eos_id), encoding="utf-8")


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


@lru_cache(1)  # a run's checkpoints all have the same
def _beginning_texts(tokenizer: bytes, eos_id: int) -> str:
    """tokenizer.json that puts `<|endoftext|>` before every text, as in training."""
    # transformers 5 ignores add_bos_token beside a tokenizer.json
    copy = Tokenizer.from_buffer(tokenizer)
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
        raise UserError(f"cannot be read: {error}", where=file, fix="the file is damaged; use another copy") from None


def _float32(tensor: torch.Tensor, name: str, file: Path) -> torch.Tensor:
    if not tensor.is_floating_point():
        raise UserError(f"{name} holds {tensor.dtype}, not floating-point numbers", where=file)
    # a copy: what safetensors returns is the mapped file, which may be overwritten while the model lives
    tensor = tensor.to(torch.float32, copy=True)
    if not bool(torch.isfinite(tensor).all()):
        raise UserError(f"{name} holds numbers that are not finite", where=file, fix="use an earlier checkpoint")
    return tensor
