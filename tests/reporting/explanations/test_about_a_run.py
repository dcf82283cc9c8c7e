"""What `explain` prints of tokens, loss, sampling, predictions, embeddings, memory, cost and the schedule."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.reporting import describe_explanation

TOPICS = ("tokens", "loss", "sampling", "predictions", "embeddings", "memory", "cost", "schedule")
Shown = dict[str, tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def shown(trained: Path) -> Shown:
    """Result and text of each topic."""
    results = {topic: verbs.explain(topic, trained) for topic in TOPICS}
    return {topic: (result, describe_explanation(result)) for topic, result in results.items()}


@pytest.mark.parametrize("topic", TOPICS)
def test_it_fits_into_80_columns_and_needs_no_color(shown: Shown, topic: str) -> None:
    result, text = shown[topic]
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text
    assert "\x1b" not in describe_explanation(result, width=110)


@pytest.mark.parametrize("topic", ["tokens", "loss", "memory"])
def test_color_adds_nothing_but_color(shown: Shown, topic: str) -> None:
    result, text = shown[topic]
    colored = describe_explanation(result, color=True)
    assert "\x1b[" in colored
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines()] == text.splitlines()


def row_of(text: str, *words: str) -> str:
    return next(line for line in text.splitlines() if all(word in line for word in words))


def test_figures_of_the_text_are_printed(shown: Shown) -> None:
    loss, text = shown["loss"]
    for row in loss["tokens"][:10]:
        assert any(f"{row['probability']:#.5g}" in line and f"{row['loss']:.3f}" in line for line in text.splitlines())
    assert f"{loss['mean']['loss']:.4f}" in text and f"{loss['mean']['bits_per_byte']:.4f}" in text
    tokens, text = shown["tokens"]
    for piece in tokens["pieces"][:10]:
        assert row_of(text, f" {piece['id']} ", " ".join(f"{byte:02x}" for byte in piece["bytes"][:10]))


@pytest.mark.parametrize("p", [0.9, 0.0123456, 1.3679e-05, 2.5e-12])
def test_minus_ln_of_a_printed_probability_is_the_printed_loss(shown: Shown, p: float) -> None:
    loss = shown["loss"][0]
    token = {**loss["tokens"][0], "token": "x" * 30, "likeliest": "y" * 30, "probability": p, "loss": -math.log(p)}
    text = describe_explanation({**loss, "tokens": [token | {"rank": 32_000}]})
    _, printed, nats, *_ = row_of(text, "xxx", "yyy").split()
    assert -math.log(float(printed)) == pytest.approx(float(nats), abs=6e-4)
    assert max(map(len, text.splitlines())) <= 80


def test_an_output_of_more_rows_than_tokens_says_where_an_untrained_model_begins(shown: Shown) -> None:
    loss = shown["loss"][0]
    padded = {**loss, "vocab_size": 320, "padding": 60, "uniform": math.log(320)}
    words = " ".join(describe_explanation(padded).split())
    assert "320 rows, a whole multiple of 64, for 260 tokens" in words
    assert "its loss is ln 320 = 5.768, not ln 260 = 5.561" in words
    assert "rows" not in describe_explanation(padded | {"padding": 0})


def test_a_token_that_can_be_drawn_is_not_printed_as_impossible(shown: Shown) -> None:
    sampling = shown["sampling"][0]
    settings = [{**row, "probabilities": [1.4e-5, *row["probabilities"][1:]]} for row in sampling["settings"]]
    text = describe_explanation({**sampling, "settings": settings})
    assert text.count("0.0014%") == 1 + len(settings)


def test_figures_of_distributions_are_printed(shown: Shown) -> None:
    sampling, text = shown["sampling"]
    for row in sampling["settings"]:
        assert row_of(text, row["name"], f"{row['entropy']:.3f}")
    predictions, text = shown["predictions"]
    for prompt in predictions["prompts"]:
        assert prompt["prompt"][:40] in text
    assert row_of(text, "bigram", f"{predictions['losses']['bigram']:.3f}")


def test_sums_and_phases_are_printed(shown: Shown) -> None:
    cost, text = shown["cost"]
    assert row_of(text, "sum", f"{cost['parameters']:,}", f"{cost['operations']:,}")
    for row in cost["seconds"]:
        assert row_of(text, row["part"], f"{row['seconds']:,.2f}")
    schedule, text = shown["schedule"]
    for row in schedule["named"]:
        assert row_of(text, row["name"], f"{100 * row['multiplier']:.1f}%")


def test_an_honest_word_stands_beside_embeddings(shown: Shown) -> None:
    embeddings, text = shown["embeddings"]
    verdict = {"chance": "No:", "faint": "A little:", "clear": "Yes:"}[embeddings["test"]["this checkpoint"]["reading"]]
    assert verdict in text and "before training" in text


def test_what_documents_hold_cannot_move_the_cursor(trained: Path) -> None:
    for topic in ("tokens", "loss", "sampling", "memory"):
        text = describe_explanation(verbs.explain(topic, trained, text="a\x1b[2J\r\x07 The old river"))
        assert not {"\x1b", "\r", "\x07"} & set(text)


def test_long_texts_are_shown_by_their_beginning(trained: Path) -> None:
    for topic in ("tokens", "loss", "memory", "predictions"):
        text = describe_explanation(verbs.explain(topic, trained, text="The old river. " * 800))
        assert len(text.splitlines()) < 90
