"""`evaluate`: equal to what transformers computes from the same files, beside the baselines."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from groundup import verbs
from groundup.documents import Document
from groundup.errors import UserError


def reference(checkpoint: Path, documents: list[list[int]], context: int = 32) -> dict[str, float]:
    """Each token's -ln P by transformers, in windows that do not overlap, each text read from end-of-text on."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    eos = AutoTokenizer.from_pretrained(checkpoint).eos_token_id
    nll, hits, tokens = 0.0, 0, 0
    for ids in documents:
        for start in range(0, len(ids), context):
            targets = torch.tensor(ids[start : start + context])
            inputs = torch.tensor([[eos, *ids][start : start + len(targets)]])
            with torch.no_grad():
                logits = model(inputs).logits[0].double()
            nll -= float(logits.log_softmax(-1)[torch.arange(len(targets)), targets].sum())
            hits += int((logits.argmax(-1) == targets).sum())
            tokens += len(targets)
    return {"loss": nll / tokens, "accuracy": hits / tokens, "tokens": tokens, "nll": nll}


def check(scores: dict, expected: dict[str, float], nbytes: int) -> None:
    assert scores["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(expected["loss"]), rel=1e-4)
    assert scores["accuracy"] == pytest.approx(expected["accuracy"], abs=2 / expected["tokens"])
    assert scores["tokens"] == expected["tokens"]
    assert scores["bytes"] == nbytes
    assert scores["bits_per_byte"] == pytest.approx(expected["nll"] / math.log(2) / nbytes, rel=1e-5)


def test_the_validation_split_scores_as_transformers_scores_it(finished: Path) -> None:
    scores = verbs.evaluate(finished)
    tokens = np.fromfile(finished / "corpus" / "validation-00000.ds", "<u2").tolist()
    ends = np.fromfile(finished / "corpus" / "validation-00000.index", "<u8").tolist()
    documents = [tokens[start : end - 1] for start, end in zip([0, *ends], ends, strict=False)]
    manifest = json.loads((finished / "corpus" / "manifest.json").read_text())
    check(scores, reference(finished / "best", documents), manifest["validation_bytes"])
    assert json.loads((finished / "run.json").read_text())["final"]["validation"]["loss"] == scores["loss"]
    assert scores["checkpoint"] == str((finished / "best").resolve())
    assert set(scores["baselines"]) == {"uniform", "unigram", "bigram", "5-gram", "gzip"}


def test_files_score_as_transformers_scores_what_read_prints(finished: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    (tmp_path / "one.txt").write_text("The lantern opens the gate, naïve and 日本語. " * 8, encoding="utf-8")
    shutil.copy(tmp_path / "one.txt", tmp_path / "same.txt")  # files are not deduplicated
    (tmp_path / "page.html").write_text("<html><body><main><p>A river &amp; its bridge.</p></main></body></html>")
    texts = [item.text for item in verbs.read([tmp_path]) if isinstance(item, Document)]
    assert len(texts) == 3
    tokenizer = AutoTokenizer.from_pretrained(finished / "best")
    documents = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    expected = reference(finished / "best", documents)
    check(verbs.evaluate(finished, [tmp_path]), expected, sum(len(text.encode()) for text in texts))
    alone = verbs.evaluate(finished / "best", [tmp_path / "one.txt", tmp_path / "same.txt", tmp_path / "page.html"])
    assert alone["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_a_trained_model_beats_an_untrained_one_and_the_uniform_guess(finished: Path) -> None:
    best, untrained = verbs.evaluate(finished), verbs.evaluate(finished / "step-00000000")
    assert best["loss"] < untrained["loss"] - 0.5
    assert best["loss"] < best["baselines"]["uniform"]["loss"] - 0.5
    assert best["tokens"] == untrained["tokens"]


def test_what_cannot_be_scored_is_the_users_error(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run"):
        verbs.evaluate(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"missing\.txt"):
        verbs.evaluate(finished, [tmp_path / "missing.txt"])
    (tmp_path / "blank.txt").write_text("\n\n")
    with pytest.raises(UserError, match="no text to score"):
        verbs.evaluate(finished, [tmp_path / "blank.txt"])
    alone = shutil.copytree(finished / "step-00000020", tmp_path / "alone")
    with pytest.raises(UserError, match="no validation split"):
        verbs.evaluate(alone)


def test_a_run_that_moved_and_came_from_another_device_can_be_scored(finished: Path, tmp_path: Path) -> None:
    """A run directory is self-contained: what this machine lacks does not keep it from being used."""
    moved = Path(shutil.copytree(finished, tmp_path / "moved", symlinks=True))
    config = moved / "config.toml"
    config.write_text(config.read_text().replace('device = "cpu"', 'device = "mps"'))
    assert verbs.evaluate(moved)["loss"] == verbs.evaluate(finished)["loss"]


def test_a_damaged_best_checkpoint_is_named(finished: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(finished, tmp_path / "moved", symlinks=True))
    weights = (moved / "best").resolve() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        verbs.evaluate(moved)


def test_fewer_bits_cost_less_than_half_a_percent(corpus_dir: Path, tmp_path: Path, tiny: dict) -> None:
    run = verbs.train(corpus_dir, out=tmp_path / "run", steps=200, settings=tiny | {"model.width": 64})
    exact = verbs.evaluate(run.path)
    assert exact["precision"] == "float32"
    assert exact["bits_per_byte"] < exact["baselines"]["bigram"]["bits_per_byte"]  # it learned something to lose
    for precision in ("bfloat16", "int8"):
        scores = verbs.evaluate(run.path, precision=precision)
        assert scores["precision"] == precision
        assert scores["tokens"] == exact["tokens"]
        assert scores["bits_per_byte"] != exact["bits_per_byte"]
        assert scores["bits_per_byte"] == pytest.approx(exact["bits_per_byte"], rel=0.005)
