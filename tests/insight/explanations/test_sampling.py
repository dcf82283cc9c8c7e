"""Settings of sampling against their definitions in NumPy, and draws against what `generate` writes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groundup import verbs
from groundup.inference import SamplingSettings
from groundup.insight.explanations.sampling import DRAWS, SETTINGS, explain_sampling
from groundup.insight.subject import Subject

PROMPT = "The old river"


@pytest.fixture(scope="module")
def subject(finished: Path) -> Subject:
    return Subject.open(finished)


@pytest.fixture(scope="module")
def found(subject: Subject) -> dict[str, Any]:
    return explain_sampling(subject, text=PROMPT, seed=4)


def by_definition(logits: np.ndarray, settings: SamplingSettings) -> np.ndarray:
    if settings.temperature == 0:
        return np.eye(len(logits))[logits.argmax()]
    order = np.argsort(-logits, kind="stable")
    odds = np.exp((logits - logits.max()) / settings.temperature)
    if settings.top_k:
        odds[logits < logits[order[settings.top_k - 1]]] = 0  # what ties with the last stays
    p = odds / odds.sum()
    if settings.top_p < 1:
        last = int(np.flatnonzero(np.cumsum(p[order]) >= settings.top_p)[0])
        p[order[last + 1 :]] = 0
    if settings.min_p:
        p[p < settings.min_p * p.max()] = 0
    return p / p.sum()


def test_each_setting_does_what_its_definition_says(subject: Subject, found: dict[str, Any]) -> None:
    ids = [subject.tokenizer.eos_id, *subject.tokenizer.encode(PROMPT)]
    with torch.no_grad():
        logits = subject.model(torch.tensor([ids]))[0, -1, : subject.tokenizer.vocab_size].double().numpy()
    plain, shown = by_definition(logits, SETTINGS["plain"]), [row["id"] for row in found["tokens"]]
    assert shown == np.argsort(-plain, kind="stable")[: len(shown)].tolist()
    assert len(found["settings"]) == len(SETTINGS)
    for row in found["settings"]:
        expected = by_definition(logits, SETTINGS[row["name"]])
        kept = expected > 0
        assert row["kept"] == kept.sum(), row["name"]
        assert row["mass"] == pytest.approx(plain[kept].sum(), rel=1e-6)
        assert row["probabilities"] == pytest.approx(expected[shown], rel=1e-6)
        entropy = -(expected[kept] * np.log(expected[kept])).sum()
        assert row["entropy"] == pytest.approx(entropy, abs=1e-6)


@pytest.mark.parametrize("name", ["plain", "T 1.5", "top-k 5", "default"])
def test_the_draws_are_the_first_tokens_of_generated_texts(finished: Path, found: dict[str, Any], name: str) -> None:
    settings = dataclasses.replace(SETTINGS[name], seed=4, max_new_tokens=1)
    texts = verbs.generate(finished, PROMPT, settings, n=DRAWS)
    tokenizer = Subject.open(finished).tokenizer
    written = [tokenizer.piece(*(text.token_ids or [tokenizer.eos_id])) for text in texts]
    assert next(row["drawn"] for row in found["settings"] if row["name"] == name) == written


def test_without_a_prompt_it_is_the_first_half_of_a_held_out_sentence(subject: Subject) -> None:
    found = explain_sampling(subject)
    held_out = subject.corpus.held_out_texts(99)
    assert any(found["prompt"] in text for text in held_out)
    assert found["next"] is not None and any(found["prompt"] + found["next"] in text for text in held_out)
