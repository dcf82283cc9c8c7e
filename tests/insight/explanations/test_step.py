"""The step against what the run recorded when it took it, and the weights that it came to; and that nothing changes."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from groundup.corpus import Batches, Corpus
from groundup.errors import UserError
from groundup.insight.explanations.step import explain_step
from groundup.insight.subject import Subject
from groundup.model import load_model
from groundup.runs import Run

STEP = 2


def entries(run: Path) -> dict[int, dict]:
    return {
        row["step"]: row
        for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        if "loss" not in row
    }


def names(part: str, all_names: list[str]) -> list[str]:
    """The parameters of a part of the model."""
    ends = {"embedding": "embed_tokens.weight", "final norm": "model.norm.weight", "head": "lm_head.weight"}
    if part in ends:
        return [name for name in all_names if name.endswith(ends[part])]
    _, number, what = part.split()
    inside = ("mlp.", "post_attention_layernorm") if what == "feed-forward" else ("self_attn.", "input_layernorm")
    return [name for name in all_names if name.startswith(tuple(f"model.layers.{number}.{word}" for word in inside))]


@pytest.mark.parametrize("kind", ["muon_run", "adamw_run"])
def test_it_is_the_step_that_training_took(kind: str, request: pytest.FixtureRequest) -> None:
    run: Path = request.getfixturevalue(kind)
    found = explain_step(Subject.open(run / f"step-{STEP:08d}"))
    recorded = entries(run)[STEP + 1]
    assert (found["step"], found["taken"]) == (STEP, True)
    assert found["gradient_norm"] == recorded["grad_norm"]
    assert next(iter(found["rates"].values())) == recorded["learning_rate"]
    if not found["dropout"]:
        assert found["loss_before"] == pytest.approx(recorded["train_loss"], rel=1e-6)
    before, after = (load_file(run / f"step-{step:08d}" / "model.safetensors") for step in (STEP, STEP + 1))
    everything = []
    for row in found["layers"]:
        inside = names(row["layer"], list(before))
        everything += inside
        update = torch.cat([(after[name] - before[name]).double().flatten() for name in inside]).norm().item()
        weight = torch.cat([before[name].double().flatten() for name in inside]).norm().item()
        assert (row["update"], row["weight"]) == pytest.approx((update, weight), rel=1e-6)
        assert row["ratio"] == pytest.approx(update / weight, rel=1e-6)
        assert row["weights"] == sum(before[name].numel() for name in inside)
    assert sorted(everything) == sorted(before)


def test_gradients_and_losses_are_those_of_autograd(muon_run: Path) -> None:
    found = explain_step(Subject.open(muon_run / f"step-{STEP:08d}"))
    config, corpus = Run.open(muon_run).config(), Corpus(Run.open(muon_run).corpus)
    context, tokens = config.model.context, config.training.tokens_per_update
    batches = Batches(corpus.train, context=context, batch=tokens // context, seed=config.training.seed)
    inputs, targets = batches.at(STEP)
    models = [load_model(muon_run / f"step-{step:08d}").double() for step in (STEP, STEP + 1)]
    losses = [F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()) for model in models]
    losses[0].backward()
    assert [found["loss_before"], found["loss_after"]] == pytest.approx([loss.item() for loss in losses], rel=1e-6)
    slopes = {name: p.grad for name, p in models[0].named_parameters()}
    for row in found["layers"]:
        norm = torch.cat([slopes[name].flatten() for name in names(row["layer"], list(slopes))]).norm().item()
        assert row["gradient"] == pytest.approx(norm, rel=1e-4)
    after = dict(models[1].named_parameters())
    change = sum(((after[n] - p) * slopes[n]).sum().item() for n, p in models[0].named_parameters())
    assert found["predicted_change"] == pytest.approx(change, rel=1e-4)
    assert found["total"]["gradient"] == pytest.approx(found["gradient_norm"], rel=1e-6)
    assert found["clip_factor"] == pytest.approx(min(1, found["clip"] / found["gradient_norm"]), rel=1e-4)
    assert found["clip_factor"] < 1  # the fixture's limit is low enough to clip


def test_dropout_is_left_out_of_both_losses(adamw_run: Path) -> None:
    found, again = (explain_step(Subject.open(adamw_run / f"step-{STEP:08d}")) for _ in range(2))
    assert found["dropout"] > 0
    following = explain_step(Subject.open(adamw_run / f"step-{STEP + 1:08d}"))
    assert found == again
    assert following["loss_before"] != found["loss_after"]  # of another batch
    assert found["loss_before"] != entries(adamw_run)[STEP + 1]["train_loss"]


def test_the_texts_are_those_of_the_batch(muon_run: Path) -> None:
    from groundup import verbs

    found = explain_step(Subject.open(muon_run))
    assert found["sequences"] == verbs.batch(muon_run, found["batch"])
    assert all(row["sources"] for row in found["sequences"])


def test_a_run_is_shown_before_its_last_step_and_a_checkpoint_at_its_own(muon_run: Path) -> None:
    total = Run.open(muon_run).info["horizon"][-1][1]
    assert explain_step(Subject.open(muon_run))["step"] == total - 1
    last = explain_step(Subject.open(muon_run / f"step-{total:08d}"))
    assert (last["step"], last["taken"]) == (total, False)


def test_nothing_of_the_run_changes(muon_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(muon_run, tmp_path / "run", symlinks=True)

    def state() -> dict[str, tuple[int, str]]:
        files = [path for path in sorted(run.rglob("*")) if path.is_file()]
        return {str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}

    before = state()
    explain_step(Subject.open(run))
    assert state() == before


def test_a_checkpoint_without_its_training_state_is_refused(muon_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(muon_run, tmp_path / "run", symlinks=True)
    shutil.rmtree(run / f"step-{STEP:08d}" / "training")
    with pytest.raises(UserError, match="training"):
        explain_step(Subject.open(run / f"step-{STEP:08d}"))
