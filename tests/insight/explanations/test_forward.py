"""Every tensor against a transformer written here in NumPy, from the checkpoint's files alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from groundup.insight.explanations.forward import FIRST, explain_forward
from groundup.insight.subject import Subject
from groundup.insight.trace import trace

TEXT = "The old clock follows a river."
Rooms = dict[str, np.ndarray]


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def numpy_rooms(checkpoint: Path, ids: list[int]) -> Rooms:
    """What `forward` names, of one text, without the batch: `0.q` is q of block 0."""
    config = json.loads((checkpoint / "config.json").read_text())
    w = {name: tensor.astype(np.float64) for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    heads, groups, size = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    eps, tokens = config["rms_norm_eps"], len(ids)
    rates = config["rope_theta"] ** (-np.arange(0, size, 2) / size)
    angles = np.outer(np.arange(tokens), rates)

    def rotate(x: np.ndarray) -> np.ndarray:
        a, b = x[..., : size // 2], x[..., size // 2 :]
        return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], -1)

    rooms: Rooms = {}
    x = rooms["embedding"] = w["model.embed_tokens.weight"][ids]
    for number in range(config["num_hidden_layers"]):
        of = {name.removeprefix(f"model.layers.{number}."): t for name, t in w.items() if f".{number}." in name}
        block: Rooms = {}
        block["norm1"] = rms_norm(x, of["input_layernorm.weight"], eps)
        for name, count in (("q", heads), ("k", groups), ("v", groups)):
            projected = block["norm1"] @ of[f"self_attn.{name}_proj.weight"].T
            block[name] = projected.reshape(tokens, count, size).transpose(1, 0, 2)
        for name in "qk":
            block[f"{name}_rotated"] = rotate(rms_norm(block[name], of[f"self_attn.{name}_norm.weight"], eps))
        mixed = np.empty((tokens, heads, size))
        block["weights"] = np.zeros((heads, tokens, tokens))
        for head in range(heads):
            group = head // (heads // groups)
            for t in range(tokens):
                scores = block["k_rotated"][group, : t + 1] @ block["q_rotated"][head, t] / np.sqrt(size)
                odds = np.exp(scores - scores.max())
                block["weights"][head, t, : t + 1] = odds / odds.sum()
                mixed[t, head] = block["weights"][head, t, : t + 1] @ block["v"][group, : t + 1]
        block["mixed"] = mixed.reshape(tokens, heads * size)
        block["attended"] = block["mixed"] @ of["self_attn.o_proj.weight"].T
        block["stream1"] = x + block["attended"]
        block["norm2"] = rms_norm(block["stream1"], of["post_attention_layernorm.weight"], eps)
        block["gate"], block["up"] = (block["norm2"] @ of[f"mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        block["gated"] = block["gate"] / (1 + np.exp(-block["gate"])) * block["up"]
        block["fed"] = block["gated"] @ of["mlp.down_proj.weight"].T
        x = block["stream2"] = block["stream1"] + block["fed"]
        rooms |= {f"{number}.{name}": value for name, value in block.items()}
    rooms["norm"] = rms_norm(x, w["model.norm.weight"], eps)
    rooms["logits"] = rooms["norm"] @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T
    return rooms


@pytest.fixture(scope="module")
def found(finished: Path) -> dict:
    return explain_forward(Subject.open(finished), text=TEXT)


@pytest.fixture(scope="module")
def expected(finished: Path, found: dict) -> Rooms:
    return numpy_rooms(finished / "best", [row["id"] for row in found["tokens"]])


def test_every_room_has_the_shape_and_the_values_of_the_numpy_model(found: dict, expected: Rooms) -> None:
    assert len(found["rooms"]) == len(expected)
    for room in found["rooms"]:
        values = expected[room["room"] if room["block"] is None else f"{room['block']}.{room['room']}"]
        assert room["shape"] == [1, *values.shape], room
        assert room["rms"] == pytest.approx(np.sqrt((values**2).mean()), rel=1e-4), room
        assert room["mean"] == pytest.approx(values.mean(), rel=1e-3, abs=1e-5), room
        newest = values[0, -1] if values.ndim == 3 else values[-1]
        assert room["first"] == pytest.approx(newest[:FIRST].tolist(), rel=1e-3, abs=1e-4), room


def test_logits_are_those_of_the_numpy_model_and_of_the_model_in_one_go(
    finished: Path, found: dict, expected: Rooms
) -> None:
    import torch

    subject = Subject.open(finished)
    logits = trace(subject.model, torch.tensor([[row["id"] for row in found["tokens"]]])).logits[0].numpy()
    assert logits == pytest.approx(expected["logits"], abs=1e-4)
    assert found["check"] < 1e-4


def test_probabilities_are_the_softmax_of_the_last_logits(found: dict, expected: Rooms) -> None:
    odds = np.exp(expected["logits"][-1] - expected["logits"][-1].max())
    shares = odds / odds.sum()
    rows = found["probabilities"]
    assert [row["probability"] for row in rows] == pytest.approx(sorted(shares, reverse=True)[: len(rows)], rel=1e-3)
    for row in rows:
        assert row["probability"] == pytest.approx(shares[row["id"]], rel=1e-3)


def test_the_newest_token_changes_nothing_before_it(found: dict) -> None:
    assert found["causal"]["before"] < 1e-5 < 1e-3 < found["causal"]["at"]


def test_a_text_is_read_from_the_end_of_text_token_and_up_to_the_context(finished: Path, found: dict) -> None:
    subject = Subject.open(finished)
    assert found["tokens"][0] == {"id": subject.tokenizer.eos_id, "token": "<|endoftext|>"}
    assert "".join(row["token"] for row in found["tokens"][1:]) == TEXT
    assert found["cut"] == 0
    long = explain_forward(subject, text=TEXT * 20)
    assert len(long["tokens"]) == subject.model.shape.context
    assert long["cut"] == 1 + len(subject.tokenizer.encode(TEXT * 20)) - len(long["tokens"])
