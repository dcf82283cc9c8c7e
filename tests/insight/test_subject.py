import shutil
from pathlib import Path

import pytest
import torch

from groundup.errors import UserError
from groundup.insight.subject import Subject
from groundup.runs import find_checkpoint


def test_a_run_is_looked_at_through_its_best_checkpoint(finished: Path) -> None:
    subject = Subject.open(finished)
    assert subject.has_run
    assert subject.checkpoint == find_checkpoint(finished)
    assert (
        list(subject.checkpoints) == sorted(subject.checkpoints) and subject.checkpoint in subject.checkpoints.values()
    )
    assert not subject.model.training
    assert {parameter.dtype for parameter in subject.model.parameters()} == {torch.float32}
    assert subject.tokenizer.vocab_size == subject.corpus.tokenizer.vocab_size
    assert subject.metrics[0]["step"] == 0 and subject.config.model.layers == subject.model.shape.layers


def test_another_checkpoint_may_be_chosen(finished: Path) -> None:
    first = Subject.open(finished, checkpoint=finished / "step-00000000")
    assert not any(parameter.any() for name, parameter in first.model.named_parameters() if "o_proj" in name)
    assert Subject.open(finished / "step-00000000").run.path == finished.resolve()


def test_a_checkpoint_without_its_run_has_a_model_and_no_more(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(find_checkpoint(finished), tmp_path / "alone")
    subject = Subject.open(tmp_path / "alone")
    assert not subject.has_run
    assert subject.tokenizer.decode(subject.tokenizer.encode("a b")) == "a b"
    assert sum(parameter.numel() for parameter in subject.model.parameters()) == subject.model.shape.parameters()
    for name in ("run", "corpus", "metrics", "checkpoints", "config"):
        with pytest.raises(UserError, match="outside its run"):
            getattr(subject, name)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError):
            Subject.open(path)


def test_a_run_that_has_only_begun_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"version": 1, "status": "preparing"}', encoding="utf-8")
    subject = Subject.open(tmp_path)
    for name, lacks in (("config", "not planned"), ("metrics", "no figures"), ("checkpoint", "no checkpoint")):
        with pytest.raises(UserError, match=lacks):
            getattr(subject, name)
