import math
import random

import pytest

from groundup.errors import UserError
from groundup.planning.prediction import FEWEST_RUNS, Prediction, fit_runs, predict, student_quantile


def runs(count: int, noise: float, seed: int = 0, texts: int = 10, of_text: float = 0.0) -> list[dict]:
    """Finished runs whose loss follows a line exactly, but for Gaussian noise of each run and each text."""
    draw, rows = random.Random(seed), []
    shift = [draw.gauss(0, of_text) for _ in range(texts)]
    for number in range(count):
        seen, weights, epochs = 10 ** draw.uniform(5, 7), int(10 ** draw.uniform(5, 7)), 10 ** draw.uniform(-1, 1)
        steps = int(10 ** draw.uniform(1, 4))
        line = 2.0 - 0.1 * math.log(seen) - 0.05 * math.log(weights) + 0.04 * math.log(epochs) + steps**-0.5
        baseline, text = draw.uniform(1, 3), number % texts
        rows.append(
            {
                "corpus": f"text {text}",
                "tokens": seen / 2,
                "bytes_per_token": 2.0,
                "parameters": weights,
                "epochs": epochs,
                "steps": steps,
                "baselines": {"5-gram": baseline},
                "bits_per_byte": baseline * math.exp(line + shift[text] + draw.gauss(0, noise)),
            }
        )
    return rows


def of(row: dict) -> dict:
    return {
        "bytes_seen": row["tokens"] * row["bytes_per_token"],
        "parameters": row["parameters"],
        "epochs": row["epochs"],
        "steps": row["steps"],
        "baseline": row["baselines"]["5-gram"],
    }


def test_a_line_without_noise_is_found_exactly() -> None:
    fit = fit_runs(runs(40, 0.0), "made up")
    assert fit.coefficients == pytest.approx((2.0, -0.1, -0.05, 0.04, 1.0), abs=1e-9)
    assert (fit.runs, fit.texts) == (40, 10)
    row = runs(40, 0.0)[7]
    found = predict(fit, **of(row))
    assert isinstance(found, Prediction)
    assert found.low == pytest.approx(found.bits_per_byte) == pytest.approx(row["bits_per_byte"])


@pytest.mark.parametrize("of_text", [0.0, 0.1])
def test_nine_of_ten_runs_of_new_texts_end_inside_their_interval(of_text: float) -> None:
    inside = told = 0
    for seed in range(150):
        fit = fit_runs(runs(40, 0.05, seed, of_text=of_text), "made up")
        for row in runs(20, 0.05, 1000 + seed, texts=20, of_text=of_text):
            found = predict(fit, **of(row))
            if isinstance(found, Prediction):
                assert found.low < found.bits_per_byte < found.high
                inside += found.low <= row["bits_per_byte"] <= found.high
                told += 1
    assert told > 1500
    assert inside / told == pytest.approx(0.9, abs=0.05)


def test_nothing_is_predicted_outside_of_what_was_measured() -> None:
    fit = fit_runs(runs(40, 0.1), "made up")
    inner = {"bytes_seen": 1e6, "parameters": 10**6, "epochs": 2.0, "steps": 500, "baseline": 2.0}
    assert isinstance(predict(fit, **inner), Prediction)
    assert "weights are outside" in str(predict(fit, **inner | {"parameters": 10**8}))
    assert "bytes of training are outside" in str(predict(fit, **inner | {"bytes_seen": 1e3}))
    assert "epochs are outside" in str(predict(fit, **inner | {"epochs": 50.0}))
    assert "3 updates are outside of the runs that were measured" in str(predict(fit, **inner | {"steps": 3}))
    assert "held out" in str(predict(fit, **inner | {"baseline": None}))


def test_too_few_runs_or_texts_or_runs_all_alike_are_not_fitted() -> None:
    failed = [row | {"bits_per_byte": None} for row in runs(30, 0.1)]
    with pytest.raises(UserError, match="too few"):
        fit_runs(runs(FEWEST_RUNS - 1, 0.1) + failed, "made up")
    with pytest.raises(UserError, match="40 finished runs of 2 texts are too few"):
        fit_runs(runs(40, 0.1, texts=2), "made up")
    with pytest.raises(UserError, match="differ"):
        fit_runs([row | {"parameters": 1000} for row in runs(30, 0.1)], "made up")


@pytest.mark.parametrize(
    ("probability", "freedom", "tabled"),
    [(0.95, 5, 2.0150), (0.95, 8, 1.8595), (0.95, 30, 1.6973), (0.975, 10, 2.2281), (0.975, 6, 2.4469)],
)
def test_students_quantile_is_that_of_the_tables(probability: float, freedom: int, tabled: float) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(tabled, rel=0.005)
