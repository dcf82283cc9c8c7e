"""What `explain` prints of gradients, optimizers, a step, the forward pass and attention: whole, and true."""

from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.reporting import describe_explanation

TOPICS = ("gradient", "adamw", "muon", "step", "forward", "attention")
Shown = dict[str, tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def shown(trained: Path) -> Shown:
    """Result and text of each topic, on a run."""
    results = {topic: verbs.explain(topic, trained) for topic in TOPICS}
    return {topic: (result, describe_explanation(result)) for topic, result in results.items()}


@pytest.mark.parametrize("topic", TOPICS)
def test_it_fits_into_80_columns_without_color(shown: Shown, topic: str) -> None:
    text = shown[topic][1]
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text


@pytest.mark.parametrize("topic", ["gradient", "adamw", "muon"])
def test_what_needs_no_run_is_shown_without_one(topic: str) -> None:
    text = describe_explanation(verbs.explain(topic))
    assert "run" not in text.split()
    assert all(len(line) <= 80 for line in text.splitlines())


def headings(text: str, *names: str) -> bool:
    return any(all(name in line for name in names) for line in text.splitlines())


def test_the_measured_slopes_stand_above_the_computed_one(shown: Shown) -> None:
    result, text = shown["gradient"]
    for row in result["weight"]["differences"]:
        assert f"{row['slope']:+.12e}" in text
    assert f"{result['weight']['autograd']:+.12e}" in text
    assert f"{result['weight']['name']}[" in text.replace("\n", "")
    assert headings(text, "L(w + h)", "L(w - h)", "relative error")


def test_every_number_of_adamws_table_is_printed(shown: Shown) -> None:
    result, text = shown["adamw"]
    lines = text.splitlines()
    for row in result["rows"]:
        expected = [f"{row[key]:.5g}" for key in ("step", "weight", "gradient", "m", "v", "m_hat", "v_hat")]
        assert any(line.split()[:7] == expected for line in lines), row


def test_a_matrix_is_printed_before_and_after(shown: Shown) -> None:
    result, text = shown["muon"]
    for side in ("before", "after"):
        assert f"{result[side]['corner'][0][0]:.4g}" in text
        assert f"{result[side]['singular_values'][0]:.4g}" in text


def test_a_step_says_its_losses_its_documents_and_every_layer(shown: Shown) -> None:
    result, text = shown["step"]
    assert f"{result['loss_before']:.5f}" in text and f"{result['loss_after']:.5f}" in text
    assert Path(result["sequences"][0]["sources"][0]).name in text
    lines = text.splitlines()
    for row in result["layers"]:
        assert any(line.startswith(row["layer"]) and f"{row['ratio']:.3%}" in line for line in lines), row["layer"]
    assert headings(text, "weights", "|gradient|", "|weights|", "|update|", "update/weights")


@pytest.mark.parametrize(
    ("before", "after", "predicted", "expected"),
    [
        (3.0, 2.9, -0.2, "changed by 50% of what its gradient says"),
        (3.0, 3.1, -0.2, "did not fall"),
        (3.0, 3.1, 0.1, "against this batch's gradient"),
    ],
)
def test_a_step_is_judged_by_what_came_of_it(
    shown: Shown, before: float, after: float, predicted: float, expected: str
) -> None:
    result = {**shown["step"][0], "loss_before": before, "loss_after": after, "predicted_change": predicted}
    assert expected in " ".join(describe_explanation(result).split())


def test_a_clipped_gradient_is_called_so(shown: Shown) -> None:
    result = {**shown["step"][0], "clip": 0.5, "clip_factor": 0.25}
    assert "clipped to 0.5: every gradient is multiplied by 0.2500" in " ".join(describe_explanation(result).split())
    assert "not clipped" in describe_explanation({**result, "clip_factor": 1.0})
    assert "not clipped" in describe_explanation({**result, "clip": 0.0})


def test_the_first_block_is_printed_room_by_room(shown: Shown) -> None:
    result, text = shown["forward"]
    lines = text.splitlines()
    rooms = [room for room in result["rooms"] if room["block"] in (0, None)]
    for room in rooms:
        shape = f"({', '.join(map(str, room['shape']))})"
        assert any(shape in line and f"{room['rms']:.3g}" in line for line in lines), room
    assert sum("x + fed" in line for line in lines) == result["layers"]


def test_every_head_has_a_line_and_the_clearest_a_map(shown: Shown) -> None:
    result, text = shown["attention"]
    lines = text.splitlines()
    for head in result["heads"]:
        assert any(line.split()[:1] == [f"{head['layer']}.{head['head']}"] for line in lines)
    start = next(number for number, line in enumerate(lines) if line.startswith("head ") and "(" in line)
    drawn = [line.split()[-1] for line in lines[start + 1 : start + 1 + len(result["tokens"])]]
    assert [len(row) for row in drawn] == list(range(1, len(drawn) + 1))
    layer, head = map(int, lines[start].split()[1].split("."))
    weights = next(row["weights"] for row in result["heads"] if (row["layer"], row["head"]) == (layer, head))
    for row, shades in zip(weights, drawn, strict=True):
        for weight, shade in zip(row, shades, strict=False):
            assert (weight >= 0.5) == (shade == "█") and (weight < 0.02) == (shade == "·")


def test_a_table_of_heads_has_whole_headings_and_longer_texts_have_no_maps(shown: Shown) -> None:
    result, _ = shown["attention"]
    heads = [{**head, "label": "after_same"} for head in result["heads"]]
    last = {**result["tokens"][-1], "token": "w" * 20}
    text = describe_explanation({**result, "heads": heads, "tokens": [*result["tokens"][:-1], last]})
    assert headings(text, "head", "looks at", "entropy", "distance", "first", "before", "itself")
    assert "0.…" not in text and "%…" not in text
    unmapped = describe_explanation({**result, "heads": [{**head, "weights": None} for head in heads]})
    assert "Maps are drawn of at most 40 tokens" in unmapped


def test_hostile_texts_do_not_reach_the_terminal(trained: Path) -> None:
    hostile = "a\x1b[2Jb\x07"
    for topic in ("forward", "attention"):
        text = describe_explanation(verbs.explain(topic, trained, text=hostile))
        assert "\x1b" not in text and "\x07" not in text
