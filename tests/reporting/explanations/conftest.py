"""One run that all explanations are printed of."""

from pathlib import Path
from typing import Any

import pytest

from groundup import verbs


@pytest.fixture(scope="session")
def trained(corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps. Not to be changed."""
    out = tmp_path_factory.mktemp("shown") / "run"
    verbs.train(corpus_dir, out=out, steps=6, settings=tiny_settings)
    return out
