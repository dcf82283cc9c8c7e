"""Predictions against probes.jsonl and a softmax, counts against counting the shards one token after another."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from groundup.insight.explanations.predictions import explain_predictions
from groundup.insight.subject import Subject


def stream_of(run: Path) -> list[int]:
    return np.concatenate([np.fromfile(shard, "<u2") for shard in sorted((run / "corpus").glob("train-*.ds"))]).tolist()


def test_checkpoints_say_what_the_run_recorded(finished: Path) -> None:
    found = explain_predictions(Subject.open(finished))
    rows = [json.loads(line) for line in (finished / "probes.jsonl").read_text().splitlines()]
    recorded = {(row["step"], shown["prompt"]): shown["top"] for row in rows for shown in row["probes"]}
    assert [prompt["prompt"] for prompt in found["prompts"]] == [shown["prompt"] for shown in rows[0]["probes"]]
    asked = 0
    for prompt in found["prompts"]:
        steps = [moment["step"] for moment in prompt["moments"]]
        assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == 20
        assert {row["step"] for row in rows} <= set(steps)  # there are few: none is left out
        for moment in prompt["moments"]:
            asked += moment["checkpoint"] is not None
            if top := recorded.get((moment["step"], prompt["prompt"])):
                assert [row["probability"] for row in moment["top"]] == pytest.approx(
                    [row["probability"] for row in top], abs=2e-6
                )
    assert asked == len(found["prompts"]) * len(Subject.open(finished).checkpoints)
    assert found["recorded"]["compared"] > 0 and found["recorded"]["largest_difference"] <= 2e-6


def test_a_prompt_of_ones_own_is_asked_of_every_kept_checkpoint(finished: Path) -> None:
    subject = Subject.open(finished)
    (prompt,) = explain_predictions(subject, text="The old")["prompts"]
    assert [moment["step"] for moment in prompt["moments"]] == list(subject.checkpoints)
    ids = [subject.tokenizer.eos_id, *subject.tokenizer.encode("The old")]
    for moment in prompt["moments"]:
        with torch.no_grad():
            logits = subject.load(subject.checkpoints[moment["step"]])(torch.tensor([ids]))[0, -1]
        p = logits[: subject.tokenizer.vocab_size].softmax(-1)  # what follows are padding rows, which are never drawn
        expected = sorted(p.tolist(), reverse=True)[: len(moment["top"])]
        assert [row["probability"] for row in moment["top"]] == pytest.approx(expected, abs=1e-6)


def test_unigram_and_bigram_are_counts_of_the_training_text(finished: Path) -> None:
    subject = Subject.open(finished)
    (prompt,) = explain_predictions(subject, text="The old river")["prompts"]
    stream, last = stream_of(finished), subject.tokenizer.encode("The old river")[-1]
    assert prompt["last"] == subject.tokenizer.decode([last])
    after = Counter(second for first, second in pairwise(stream) if first == last)
    alone = Counter(token for token in stream if token != subject.tokenizer.eos_id)
    for name, counts in (("bigram", after), ("unigram", alone)):
        assert prompt[name]["total"] == counts.total()
        assert [row["count"] for row in prompt[name]["top"]] == [n for _, n in counts.most_common(5)]
        for row in prompt[name]["top"]:
            assert row["probability"] == row["count"] / counts.total()


def test_losses_are_those_of_the_run(finished: Path) -> None:
    losses = explain_predictions(Subject.open(finished))["losses"]
    info = json.loads((finished / "run.json").read_text())
    assert losses["bigram"] == info["baselines"]["bigram"]["loss"]
    assert losses["this model, at its best"] == info["best"]["val_loss"]
