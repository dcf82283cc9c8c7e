"""Runs made to fail in one way each, as small as the sign allows: one layer, 32 wide, bytes for tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.verbs import finishing

SMALL = {
    "data.tokenizer": "bytes",
    "model.layers": 1,
    "model.width": 32,
    "model.context": 32,
    "model.tied": False,
    "optimizer.name": "muon",
    "training.tokens_per_update": 256,
    "training.log_every": 4,
    "training.patience": 0,
    "evaluation.every": 24,
    "evaluation.tokens": 2_000,
    "samples.max_new_tokens": 1,
    "device.precision": "float32",
    "device.compile": "off",
    "checkpoint.asynchronous": False,
}


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Train a small run on a folder, or on a prepared corpus; its pictures, which take longer, are not drawn."""

    def make(documents: Path, steps: int = 120, **settings: Any) -> Path:
        out = tmp_path_factory.mktemp("run") / "run"
        named = {key.replace("__", "."): value for key, value in settings.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(finishing, "draw", lambda *_: None)
            verbs.train(documents, out=out, steps=steps, settings={**SMALL, **named})
        return out

    return make


@pytest.fixture(scope="session")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], Path]:
    """A folder with these texts, one file each."""

    def make(texts: list[str]) -> Path:
        folder = tmp_path_factory.mktemp("texts")
        for number, text in enumerate(texts):
            (folder / f"text-{number:02d}.txt").write_text(text, encoding="utf-8")
        return folder

    return make


@pytest.fixture(scope="session")
def texts(write_text: Callable[[int, int], str]) -> list[str]:
    """30 texts of a grammar, about 80 KB."""
    return [write_text(number, 14) for number in range(30)]


@pytest.fixture(scope="session")
def prose(texts: list[str], write: Callable[[list[str]], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, prepared once with bytes for tokens."""
    out = tmp_path_factory.mktemp("prepared") / "corpus"
    verbs.prepare([write(texts)], out=out, settings={"data.tokenizer": "bytes"})
    return out
