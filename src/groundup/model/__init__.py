"""The network: token ids (B, T) to logits (B, T, V), its cost, its start, its KV cache.

Its weights and configuration on disk are those of Hugging Face's Qwen3 or Llama, so that other programs load
them.
"""

from groundup.model.huggingface import load_model, load_weights, save_files, save_model
from groundup.model.huggingface_config import load_shape
from groundup.model.init import initialize
from groundup.model.kv_cache import KVCache
from groundup.model.shape import ModelShape
from groundup.model.transformer import Transformer

__all__ = [
    "KVCache",
    "ModelShape",
    "Transformer",
    "initialize",
    "load_model",
    "load_shape",
    "load_weights",
    "save_files",
    "save_model",
]
