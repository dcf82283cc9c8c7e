"""`compare`: which settings differ, which run is better, and a picture of the curves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from groundup import verbs
from groundup.errors import UserError


@pytest.fixture(scope="module")
def others(corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs on one corpus that differ in depth and rate."""
    home = tmp_path_factory.mktemp("compared")
    slow = tiny_settings | {"optimizer.learning_rate": 0.0001, "optimizer.embedding_rate": 0.0001}
    deep = tiny_settings | {"model.layers": 3}
    return [
        verbs.train(corpus_dir, out=home / name, steps=10, settings=settings).path
        for name, settings in (("slow", slow), ("deep", deep))
    ]


def test_settings_that_differ_and_the_better_run_are_named(others: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    comparison = verbs.compare(others, picture=picture)
    assert comparison["settings"]["model.layers"] == [2, 3]
    assert comparison["settings"]["optimizer.learning_rate"][0] == 0.0001
    assert "model.width" not in comparison["settings"]
    slow, deep = comparison["runs"]
    assert deep["val_bits_per_byte"] < slow["val_bits_per_byte"]
    assert deep["parameters"] > slow["parameters"]
    assert deep["best_step"] == deep["steps"] == 10
    assert str(others[1]) in comparison["note"]
    assert "luck of a seed" in comparison["note"]
    with Image.open(picture) as image:
        image.load()
        assert image.format == "PNG"
        assert len(np.unique(np.asarray(image.convert("L")))) > 10  # something is drawn


def test_runs_on_different_texts_are_not_compared_silently(
    others: list[Path], documents: Path, tiny: dict[str, Any], tmp_path: Path
) -> None:
    other = verbs.train(documents / "text-00.txt", out=tmp_path / "other", steps=1, settings=tiny).path
    assert "different corpora" in verbs.compare([others[0], other], picture=tmp_path / "x.png")["note"]


def test_one_run_or_none_cannot_be_compared(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two different runs"):
        verbs.compare([finished], picture=tmp_path / "x.png")
    with pytest.raises(UserError, match="no such run"):
        verbs.compare([finished, tmp_path / "nowhere"], picture=tmp_path / "x.png")
    with pytest.raises(UserError, match="two different runs"):
        verbs.compare([finished, finished], picture=tmp_path / "x.png")


def test_a_picture_that_cannot_be_written_is_the_users_error(others: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        verbs.compare(others, picture=tmp_path / "no folder" / "x.png")
