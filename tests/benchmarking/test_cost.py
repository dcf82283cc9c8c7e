"""The cost benchmark: the fit finds what the times were made of, and every shape is measured and shown."""

from pathlib import Path
from typing import Any

import pytest

from groundup.benchmarking import Shape, cost, measure_cost
from groundup.benchmarking.cost import LINES, fit_cost
from groundup.cores import usable_cores
from groundup.errors import UserError
from groundup.reporting import describe_cost, draw_cost

TINY = {
    "size": {f"{width} wide": Shape(1, 1, width, context=16, batch=2, vocabulary=65) for width in (16, 32)},
    "batch": {"4 sequences": Shape(1, 1, 16, context=16, batch=4, vocabulary=65)},
}
STARTS = [{"name": "import groundup", "seconds": {"median": 0.1, "min": 0.1, "max": 0.2}, "rounds": [0.1, 0.1, 0.2]}]


def points(efficiency: float, step_seconds: float, noise: tuple[float, ...] = (1.0,) * 6) -> list[dict[str, Any]]:
    made = []
    for place, (tokens, at_peak) in enumerate([(64, 1e-6), (2048, 1e-6), (512, 4e-6), (2048, 3e-5), (8192, 2e-7)]):
        seconds = (step_seconds / tokens + at_peak / efficiency) * noise[place]
        spread = {"median": seconds, "min": seconds, "max": seconds}
        made.append({"batch": 1, "context": tokens, "peak_seconds": at_peak, "seconds_per_token": spread})
    return made


def test_the_fit_finds_the_share_of_the_peak_and_the_seconds_a_step() -> None:
    measured = points(0.4, 3e-3)
    fit = fit_cost(measured)
    assert fit is not None
    assert (fit["efficiency"], fit["step_seconds"]) == (pytest.approx(0.4), pytest.approx(3e-3))
    assert fit["error"] < 1e-9
    assert [p["fitted_seconds"] for p in measured] == pytest.approx(
        [p["seconds_per_token"]["median"] for p in measured]
    )


def test_no_negative_time_is_fitted_and_nothing_to_too_little() -> None:
    fit = fit_cost(points(0.5, 0.0, noise=(0.7, 1.0, 1.0, 1.0, 1.3)))
    assert fit is not None
    assert fit["step_seconds"] == 0.0 and 0.4 < fit["efficiency"] < 0.6 and 0 < fit["error"] < 0.2
    assert fit_cost(points(0.5, 0.0)[:1]) is None
    assert fit_cost([{"status": "died"}]) is None


def test_every_line_changes_one_thing() -> None:
    for name, constant in (("size", ("context", "batch", "vocabulary")), ("batch", ("layers", "width", "context"))):
        assert all(len({getattr(shape, key) for shape in LINES[name].values()}) == 1 for key in constant)
    assert {shape.batch * shape.context for shape in LINES["context"].values()} == {2048}
    assert all(len(set(shapes.values())) == len(shapes) >= 4 for shapes in LINES.values())


def test_every_shape_is_measured_and_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cost, "measure_starts", lambda *_, **__: STARTS)  # measured in its own test
    result = measure_cost(TINY, contestant="groundup-eager", threads=1, rounds=1, seconds=1e-3)
    small, large = result["lines"][0]["points"]
    more = result["lines"][1]["points"][0]
    for point in (small, large, more):
        assert point["status"] == "measured", point["reason"]
        assert 0 < point["peak_seconds"] < point["seconds_per_token"]["median"]
        assert point["fitted_seconds"] > 0
    assert large["parameters"] > small["parameters"] == more["parameters"]
    assert (small["batch"], more["batch"]) == (2, 4)
    assert 0 < result["fit"]["efficiency"] < 1
    shown = describe_cost(result)
    for said in ("by size", "16 wide", "4 sequences", "import groundup", "groundup-eager, 1 thread,"):
        assert said in shown
    draw_cost(result, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").stat().st_size > 10_000


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    dead = {"label": "8 layers", "status": "died", "reason": "ended by signal 9"}
    result = {
        "lines": [{"line": "size", "points": [dead]}],
        "fit": None,
        "starts": STARTS,
        "settings": {"contestant": "groundup", "threads": 2, "rounds": 1, "seconds": 1.0},
        "machine": {"processor": "p", "cores": 2, "versions": {"torch": "2"}},
        "load": {"before": [0.0], "after": [0.0]},
        "seconds": 1.0,
    }
    shown = describe_cost(result)
    assert "8 layers died: ended by signal 9" in shown and "fitted to all" not in shown
    draw_cost(result, tmp_path / "cost.png")


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"contestant": "gpt2"}, "--contestant"),
        ({"contestant": "groundup-int8"}, "--contestant"),
        ({"threads": usable_cores() + 1}, "--threads"),
        ({"rounds": 0}, "--rounds"),
        ({"seconds": 0.0}, "--seconds"),
        ({"starts": 0}, "--starts"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(options: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError) as error:
        measure_cost(**options)
    assert error.value.where == where
