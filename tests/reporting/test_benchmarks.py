"""The table and the picture of the training benchmark."""

from typing import Any

import pytest

from groundup.reporting.benchmarks import describe_training_benchmark, training_benchmark_figure


def spread(value: float) -> dict[str, float]:
    return {"median": value, "min": value * 0.9, "max": value * 1.2}


@pytest.fixture
def result() -> dict[str, Any]:
    def row(name: str, speed: float) -> dict[str, Any]:
        return {
            "name": name,
            "status": "measured",
            "reason": "",
            "tokens_per_second": spread(speed),
            "ratios": {"gpt2": spread(speed / 1000)},
            "share_of_peak": {"bfloat16": spread(0.5), "float32": spread(1.1)},
            "peak_memory_bytes": 500_000_000,
            "parameters_ratio": 0.988,
            "flops_per_token_ratio": 1.005,
        }

    rows = [
        row("gpt2", 1000.0),
        {"name": "litgpt", "status": "not installed", "reason": "python has no litgpt"},
        row("groundup", 2800.0) | {"compile_seconds": 12.3},
    ]
    contest = {
        "shape": "a",
        "layers": 4,
        "heads": 4,
        "width": 128,
        "context": 64,
        "batch": 12,
        "vocabulary": 65,
        "threads": 2,
        "rows": rows,
        "peak": {"float32": spread(1.8e11), "bfloat16": spread(4e11), "copy": spread(2e10)},
        "notes": ["something of note"],
        "goals": [
            {"what": "tokens per second beside gpt2", "goal": 2.7, "measured": 2.8, "reached": True},
            {"what": "share of the bfloat16 peak", "goal": 0.6, "measured": None, "reached": False},
            {"what": "peak memory beside gpt2", "goal": 1.0, "measured": 1.1, "reached": False},
        ],
    }
    return {
        "settings": {"rounds": 3, "seconds": 2.0, "contestants": ["gpt2", "litgpt", "groundup"]},
        "machine": {"processor": "a machine", "cores": 2, "versions": {"torch": "2.13"}},
        "load": {"before": [0.1, 0, 0], "after": [1.0, 0, 0]},
        "seconds": 100.0,
        "contests": [contest],
    }


def test_the_table_has_figures_gaps_and_goals(result: dict[str, Any]) -> None:
    lines = describe_training_benchmark(result).splitlines()
    assert max(map(len, lines)) <= 125
    row = next(line for line in lines if line.startswith("groundup "))
    figures = "groundup 2,800 (2,520 to 3,360) 2.80 50% 110% 500 MB 12 s 0.988 1.005"
    assert " ".join(row.split()) == figures
    assert "litgpt not installed: python has no litgpt" in lines
    assert "note: something of note" in lines
    assert "goal: tokens per second beside gpt2 at least 2.70: 2.80, reached" in lines
    assert "goal: share of the bfloat16 peak at least 60%: not measured" in lines
    assert "goal: peak memory beside gpt2 at most 1.00: 1.10, not reached" in lines


def test_the_picture_has_a_bar_for_each_that_was_measured(result: dict[str, Any]) -> None:
    [axes] = training_benchmark_figure(result).axes
    heights = [bar.get_height() for container in axes.containers if hasattr(container, "patches") for bar in container]
    assert heights == [1.0, 2.8]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a, 2 threads"]
    assert axes.get_ylabel() == "training tokens per second, gpt2 = 1"


def test_a_picture_without_a_baseline_has_no_bars(result: dict[str, Any]) -> None:
    for row in result["contests"][0]["rows"]:
        row.pop("ratios", None)
    assert not training_benchmark_figure(result).axes[0].patches
