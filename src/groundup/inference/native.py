"""`decode.cpp`, compiled once for this machine and kept: one token of one text through a packed model in one call."""

import ctypes
import functools
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from groundup.inference.packing import PackedBlock, PackedModel
from groundup.inference.weights import Int8Matrix, Matrix
from groundup.model import KVCache
from groundup.parallel.machine import processor_flags

_SOURCE = Path(__file__).with_name("decode.cpp")
# without errno the square root is one instruction; nothing here lets the compiler assume finite numbers
_FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
# Apple's clang has no OpenMP, and not every compiler knows the other names: the first that compile are taken
_CHOICES = (
    ("-march=native", "-mprefer-vector-width=512", "-fopenmp"),
    ("-march=native", "-fopenmp"),
    ("-march=native",),
    ("-mcpu=native",),
    (),
)
# Threads that meet at 6 barriers a layer can lose more than they win: beside other work, two took up to 2.5 times as
# long as one. That was seen on a machine of two cores, where one reads memory at almost the rate of both; where one
# core reads a small part of what the memory gives, more threads would pay earlier. So whoever sets OMP_NUM_THREADS
# gets the number that torch makes of it.
_BYTES_A_THREAD = 2**29


class _Layer(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_void_p)
        for name in (
            *("input_norm", "query_norm", "key_norm", "post_norm"),
            *("qkv", "out", "gate_up", "down"),
            *("qkv_scale", "out_scale", "gate_up_scale", "down_scale"),
            *("keys", "values"),
        )
    ]


_SIZES = ("layers", "width", "heads", "kv_heads", "head_dim", "ffn_width", "vocab_size")
_BUFFERS = ("x", "normed", "qkv", "attended", "hidden", "scores", "logits")


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in (*_SIZES, "capacity")),
        ("epsilon", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("layer", "embedding", "head", "embedding_scale", "head_scale")),
        *((name, ctypes.c_void_p) for name in ("norm", "cos", "sin", *_BUFFERS)),
    ]


class NativeDecoder:
    """Decodes one text at a time with the weights of a packed model, which it shares; `native_decoder` makes it."""

    def __init__(self, library: ctypes.CDLL, model: PackedModel) -> None:
        shape = model.shape
        self._decode = library.decode
        self._decode.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
        self._decode.restype = None
        self._bytes = {"float32": 4, "bfloat16": 2, "int8": 1}[model.precision]
        self._context, self._dtype = model.cos.shape[0], model.dtype
        self._held: list[Tensor] = []  # what the structures point to must live as long as they do
        self._layers = (_Layer * shape.layers)()
        for layer, block in zip(self._layers, model.layers, strict=True):
            assert isinstance(block, PackedBlock)
            self._point(layer, qkv=block.qkv, out=block.out, gate_up=block.gate_up, down=block.down)
            self._point(layer, input_norm=block.input_norm, post_norm=block.post_norm)
            if block.qk_norm is not None:
                self._point(layer, query_norm=block.qk_norm[0], key_norm=block.qk_norm[-1])
        self._model = _Model(*(getattr(shape, name) for name in _SIZES), epsilon=shape.norm_eps)
        self._model.layer = ctypes.addressof(self._layers)
        self._point(self._model, embedding=model.embedding, head=model.head, norm=model.norm)
        self._point(self._model, cos=model.cos, sin=model.sin)
        matrices = [matrix.weight for matrix in model.modules() if isinstance(matrix, Matrix | Int8Matrix)]
        enough = 1 + sum(weight.nbytes for weight in matrices) // _BYTES_A_THREAD
        self._most_threads = sys.maxsize if "OMP_NUM_THREADS" in os.environ else enough
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        for name, size in zip(
            _BUFFERS[:5],
            (shape.width, shape.width, queries + 2 * keys, queries, 2 * shape.ffn_width),
            strict=True,
        ):
            self._point(self._model, **{name: torch.zeros(size)})
        self._scores = torch.zeros(0)
        self._cache = (0, 0, 0)
        self._logits = torch.zeros(1, shape.vocab_size)
        self._model.logits = self._logits.data_ptr()

    @property
    def threads(self) -> int:
        """How many threads a step takes."""
        return min(torch.get_num_threads(), self._most_threads)

    def step(self, token: int, position: int, cache: KVCache) -> Tensor:
        """Read `token` at `position` of a cache of one row; returns the next logits (1, V), float32, which the next
        call overwrites."""
        model = self._model
        sizes = (model.layers, 1, model.kv_heads, cache.capacity, model.head_dim)
        for held in (cache.keys, cache.values):
            assert held.shape == sizes and held.dtype == self._dtype and held.is_contiguous()
        assert 0 <= position < min(cache.capacity, self._context) and 0 <= token < model.vocab_size
        # memory that one cache freed another may get, so addresses alone do not tell them apart
        seen = (cache.capacity, cache.keys.data_ptr(), cache.values.data_ptr())
        if seen != self._cache:
            self._cache = (model.capacity, keys, values) = seen
            self._scores = torch.zeros(model.heads * cache.capacity)
            model.scores = self._scores.data_ptr()
            layer_bytes = cache.keys[0].nbytes
            for index, layer in enumerate(self._layers):
                layer.keys, layer.values = keys + index * layer_bytes, values + index * layer_bytes
        self._decode(ctypes.addressof(model), self._bytes, token, position, self.threads)
        return self._logits

    def _point(self, structure: ctypes.Structure, **tensors: Tensor | Matrix | Int8Matrix) -> None:
        """Set pointers: to a matrix as it is, with its scale; to anything else in float32."""
        for name, given in tensors.items():
            if isinstance(given, Matrix | Int8Matrix):
                tensor = given.weight
                if isinstance(given, Int8Matrix):
                    self._point(structure, **{f"{name}_scale": given.scale})
            else:
                tensor = given.detach().float()
            self._held.append(tensor.contiguous())
            setattr(structure, name, self._held[-1].data_ptr())


def native_decoder(model: PackedModel) -> NativeDecoder | None:
    """A decoder for a model on a CPU; None on other devices, without a C++ compiler and without a cache directory that
    is this user's alone."""
    library = _library() if model.cos.device.type == "cpu" else None
    return NativeDecoder(library, model) if library else None


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled source, from the user's cache directory or a compiler (about a second); None without either."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout
        # "native" means another processor wherever the home directory is shared
        options, processor = repr((_FLAGS, _CHOICES)).encode(), repr(sorted(processor_flags())).encode()
        facts = b"|".join((_SOURCE.read_bytes(), version, options, processor))
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "groundup"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _ours_alone(home):
            return None
        library = home / f"decode-{hashlib.blake2b(facts, digest_size=12).hexdigest()}.so"
        if not (library.exists() and _ours_alone(library)):
            _build(compiler, library)
        return ctypes.CDLL(str(library))
    # a compiler that does not start, no home or none that can be written, or one that may hold no programs
    except (OSError, RuntimeError):
        return None


def _ours_alone(path: Path) -> bool:
    """Whether nobody else can have put this here: what is loaded runs as this user."""
    if not hasattr(os, "getuid"):  # Windows, where a user's folders are closed to others by other means
        return True
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _build(compiler: str, target: Path) -> None:
    """Compile into `target`, at once for everyone who looks; raises OSError where no choice of options works."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        for choice in _CHOICES:
            command = [compiler, *_FLAGS, *choice, str(_SOURCE), "-o", str(built)]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                built.chmod(0o700)  # whatever the umask
                built.replace(target)
                return
    raise OSError(f"{compiler} does not compile {_SOURCE.name}")
