"""Two runs of four steps that keep every checkpoint: one on Muon, one on AdamW."""

from pathlib import Path
from typing import Any

import pytest

STEPS = 4


def train(name: str, corpus_dir: Path, settings: dict[str, Any], out: Path) -> Path:
    from groundup import verbs

    every = {"checkpoint.every": 1, "checkpoint.keep": STEPS + 1, "evaluation.every": STEPS, "training.log_every": 1}
    # small enough to clip every gradient
    optimizer = {"optimizer.name": name, "optimizer.clip": 0.1, "schedule.warmup": 2}
    verbs.train(corpus_dir, out=out, steps=STEPS, settings=settings | every | optimizer)
    return out


@pytest.fixture(scope="session")
def muon_run(corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On Muon. Not to be changed."""
    return train("muon", corpus_dir, tiny_settings, tmp_path_factory.mktemp("muon") / "run")


@pytest.fixture(scope="session")
def adamw_run(corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On AdamW, with dropout. Not to be changed."""
    settings = tiny_settings | {"model.dropout": 0.2}
    return train("adamw", corpus_dir, settings, tmp_path_factory.mktemp("adamw") / "run")
