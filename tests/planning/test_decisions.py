"""What is decided before the first step: compiling, and going on without it where it fails."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.config import load_config
from groundup.corpus import Corpus
from groundup.events import Event, Notice
from groundup.model import Transformer
from groundup.planning import decide
from groundup.planning.calibrate import Pace
from groundup.planning.decisions import compile_seconds
from groundup.runs import read_entries


def decided(corpus_dir: Path, settings: dict[str, Any], heard: list[Event]) -> tuple[Any, Any]:
    config = load_config(None, {**settings, "training.steps": 3})
    plan, deadline = decide(
        config, Corpus(corpus_dir), began=time.monotonic(), baselines={}, listen=heard.append, poll=lambda: None
    )
    assert deadline is None and plan.steps == 3
    return config, plan


def test_every_value_is_decided_and_has_its_reason(corpus_dir: Path, tiny: dict[str, Any]) -> None:
    config, plan = decided(corpus_dir, tiny, [])
    keys = {row["key"] for row in plan.decisions}
    assert {"device.threads", "device.compile", "optimizer.learning_rate", "schedule.warmup"} <= keys
    assert all(row["reason"] and row["value"] == config.get(row["key"]) for row in plan.decisions)
    assert not keys & set(tiny)


def test_a_compiler_that_fails_costs_a_notice_and_not_the_run(
    corpus_dir: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, compiled: bool, **__: Any) -> Pace:
        if compiled:
            raise RuntimeError("InvalidCxxCompiler: no compiler\nmore")
        return Pace(0.01, 1e-6, 0.01, 0.01)

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("groundup.planning.decisions.calibrate", broken)
    heard: list[Event] = []
    config, _ = decided(corpus_dir, {**tiny, "device.compile": "on"}, heard)
    assert config.device.compile == "off"
    notices = [event.text for event in heard if isinstance(event, Notice) and event.level == "warning"]
    assert any("torch.compile failed" in text and "InvalidCxxCompiler" in text for text in notices)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_learns_what_an_eager_one_does(corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    losses = {}
    for compiled in ("on", "off"):
        settings = {**tiny, "device.compile": compiled, "device.precision": "float32"}
        run = verbs.train(corpus_dir, out=tmp_path / compiled, steps=4, settings=settings)
        assert run.info["compute"]["compiled"] is (compiled == "on")
        losses[compiled] = [entry["train_loss"] for entry in read_entries(run.path)]
    assert losses["on"] == pytest.approx(losses["off"], rel=1e-4)


def test_compiling_needs_more_time_where_the_compiler_has_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    cold = compile_seconds()
    (tmp_path / "fxgraph").mkdir()
    assert compile_seconds() < cold


@pytest.mark.parametrize(("score_seconds", "evaluations"), [(1e-2, 2), (1e-8, 10)])
def test_evaluations_take_a_small_share_of_the_minutes(
    score_seconds: float,
    evaluations: int,
    corpus_dir: Path,
    tiny: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("groundup.planning.decisions.calibrate", lambda *_, **__: Pace(0.01, score_seconds, 0.01, 0.01))
    settings = {key: value for key, value in tiny.items() if not key.startswith("evaluation.")}
    config = load_config(None, {**settings, "training.minutes": 1.0})
    plan, deadline = decide(
        config,
        Corpus(corpus_dir),
        began=time.monotonic(),
        baselines={},
        listen=lambda event: None,
        poll=lambda: None,
    )
    assert deadline is not None and config.evaluation.every
    assert plan.steps // config.evaluation.every == pytest.approx(evaluations, abs=1)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize(("step_seconds", "dropout"), [(1e-4, 0.2), (30.0, 0.0)])
def test_the_step_that_is_compiled_is_the_one_that_is_trained(
    step_seconds: float, dropout: float, corpus_dir: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: dict[bool, float] = {}

    def observed(model: Transformer, *_: Any, compiled: bool, **__: Any) -> Pace:
        timed[compiled] = model.shape.dropout
        step = step_seconds / 3 if compiled else step_seconds
        return Pace(step, 1e-8, step, step)

    monkeypatch.setattr("groundup.planning.decisions.calibrate", observed)
    settings = {key: value for key, value in tiny.items() if key != "model.dropout"}
    config = load_config(None, {**settings, "training.minutes": 2.0, "device.compile": "on"})
    decide(
        config,
        Corpus(corpus_dir),
        began=time.monotonic(),
        baselines={},
        listen=lambda event: None,
        poll=lambda: None,
    )
    assert timed[True] == config.model.dropout == dropout
