"""The data curve as text and as a picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from groundup.insight.scaling import ScalingFit, fit_scaling
from groundup.reporting import describe_scaling, draw_scaling

SHARES = {"1/32": 1 / 32, "1/16": 1 / 16, "1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2, "all": 1.0}


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    runs = [
        {"share": name, "bytes": round(2e6 * share), "bits_per_byte": 1 + 0.4 * share**-0.4, "at_best": share < 1}
        for name, share in SHARES.items()
    ]
    points = [
        row | {"documents": 9, "tokens": 9, "seeds": 1, "lowest": 1.0, "highest": 1.0, "epochs": 7.5, "dropout": 0.1}
        for row in runs
    ]
    fit = fit_scaling([row["bytes"] for row in runs], [row["bits_per_byte"] for row in runs], draws=50)
    assert isinstance(fit, ScalingFit)
    return {
        "corpus": {"train_bytes": 2_000_000, "documents": 61, "validation_bytes": 200_000},
        "parameters": 210_000,
        "points": points,
        "runs": runs,
        "diverged": [],
        "left_out": [],
        "fit": fit.to_json(),
        "no_fit": None,
        "notes": ["all: longer runs would still gain"],
        "picture": str(tmp_path / "scaling.png"),
    }


def test_the_text_names_the_parts_the_fit_and_what_twice_the_documents_bring(found: dict[str, Any]) -> None:
    text = describe_scaling(found)
    assert all(len(line) <= 80 for line in text.splitlines()[:-1])  # the last is a path
    assert "L(D) = 1.000 + (202 KB / D)^0.400" in text  # 2 MB x 0.4^(1 / 0.4)
    text = " ".join(text.split())
    gain = 0.4 * (1 - 2**-0.4)
    assert f"about {gain:.3f} bits per byte" in text and f"from 1.400 to {1.4 - gain:.3f}" in text
    assert text.count("yes") == 5 and "note: all: longer runs" in text
    assert text.count("●") == 1 + len(SHARES)


def test_a_run_that_diverged_has_a_row_without_a_figure(found: dict[str, Any], tmp_path: Path) -> None:
    lost = {"share": "1/4", "bytes": 500_000, "documents": 9, "epochs": 0.5, "steps": 100, "seed": 1}
    text = describe_scaling({**found, "diverged": [lost]}).splitlines()
    (row,) = (n for n, line in enumerate(text) if line.endswith("diverged"))
    assert text[row].split() == ["1/4", "9", "500", "KB", "1", "–", "0.5", "diverged"]
    assert text[row - 1].startswith("1/4") and text[row + 1].startswith("1/2")
    draw_scaling(found, tmp_path / "without.png")
    draw_scaling({**found, "diverged": [lost]}, tmp_path / "with.png")
    assert (tmp_path / "without.png").read_bytes() != (tmp_path / "with.png").read_bytes()
    nothing = {**found, "points": [], "runs": [], "fit": None, "no_fit": "0 sizes", "diverged": [lost]}
    assert "diverged" in describe_scaling(nothing)
    draw_scaling(nothing, tmp_path / "nothing.png")


def test_without_unicode_or_fit_it_can_be_read_as_well(found: dict[str, Any]) -> None:
    plain = describe_scaling(found, unicode=False)
    assert plain.isascii()
    assert sum(line.count("o") for line in plain.splitlines() if line.lstrip()[:1] in "|+" or " +" in line) >= 6
    without = describe_scaling({**found, "fit": None, "no_fit": "3 sizes are too few"})
    assert "no fit: 3 sizes are too few" in without and "twice" not in without


@pytest.mark.parametrize("fit", [True, False])
def test_a_picture_is_drawn(found: dict[str, Any], tmp_path: Path, fit: bool) -> None:
    draw_scaling(found if fit else {**found, "fit": None}, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
