"""Timing real steps: enough of them, and not more of a long one than stands for it."""

from pathlib import Path
from typing import Any

import pytest

from groundup.config import load_config
from groundup.corpus import Corpus
from groundup.parallel import decide_compute
from groundup.planning import calibrate, make_plan
from groundup.planning.calibrate import TIMED_MICROBATCHES
from groundup.training import build_batches, build_model, build_optimizers


@pytest.mark.parametrize("microbatch", [8, 4, 3, 1])
def test_three_steps_are_made_each_of_few_microbatches(corpus_dir: Path, tiny: dict[str, Any], microbatch: int) -> None:
    config = load_config(None, {**tiny, "training.steps": 10, "training.microbatch": microbatch})
    corpus = Corpus(corpus_dir)
    shape = make_plan(config, corpus).shape
    compute = decide_compute(config)
    model = build_model(shape, config, compute)
    heard: list[None] = []
    pace = calibrate(
        model,
        build_optimizers(model, config, compute),
        build_batches(config, corpus),
        microbatch,
        compute,
        seconds=0.0,
        threads=1,
        poll=lambda: heard.append(None),
    )
    assert len(heard) == 3 * TIMED_MICROBATCHES  # 256 tokens an update in a context of 32: eight sequences
    assert 0 < pace.fast <= pace.step_seconds <= pace.slow
    assert pace.score_seconds > 0
