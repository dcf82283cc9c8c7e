"""`plan`: what would be trained and why, before anything is."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from groundup.corpus import Corpus, prepare_corpus
from groundup.documents import check_servers
from groundup.evaluation import reference_models
from groundup.events import Listener, nobody
from groundup.parallel import decide_compute
from groundup.planning import TRAINING_SHARE, Plan, make_plan, matrix_flops_per_second
from groundup.planning.prediction import BASELINE, FITTED, Fit, Prediction, predict
from groundup.runs import stop_on_signals
from groundup.verbs.request import PathLike, Paths, adopt_corpus, as_inputs, configure, prepared_corpus


def plan(
    paths: Paths,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    tokens: int | None = None,
    size: str | None = None,
    config: PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    listen: Listener = nobody,
) -> tuple[Plan, dict[str, Any]]:
    """The plan that `train` would follow with the same arguments, and facts of the corpus it is made for.

    The documents are read into a temporary directory. `estimated_minutes` of the facts is, where no budget in minutes
    is given, an estimate from the speed of this machine's matrix products; `predicted` is, once runs have been
    fitted, the loss that the run will end at with its interval, or the reason why that cannot be said. Raises
    UserError as `train` does.
    """
    began = time.monotonic()
    given = as_inputs(paths)
    resolved = configure(
        config, settings, size, {"minutes": minutes, "steps": steps, "epochs": epochs, "tokens": tokens}
    )
    check_servers(given, resolved.data.query)
    with tempfile.TemporaryDirectory(prefix="groundup-plan-") as scratch, stop_on_signals() as stop:
        if path := prepared_corpus(given):
            corpus = Corpus(path)
            adopt_corpus(resolved, corpus)
        else:
            corpus = prepare_corpus(given, Path(scratch) / "corpus", resolved, listen=listen, poll=stop.poll)
        compute = decide_compute(resolved)
        speed = matrix_flops_per_second(compute) * TRAINING_SHARE
        left = resolved.training.minutes * 60 - (time.monotonic() - began) if resolved.training.minutes else None
        made = make_plan(resolved, corpus, flops_per_second=speed if left is not None else None, seconds_left=left)
        minutes = made.minutes or made.tokens * made.shape.flops_per_token() / speed / 60
        facts = {key: value for key, value in corpus.manifest.items() if key not in ("version", "shards", "settings")}
        facts["estimated_minutes"] = round(minutes, 2)
        if FITTED is not None:
            facts["predicted"] = _predicted(FITTED, made, corpus)
    return made, facts


def _predicted(fit: Fit, made: Plan, corpus: Corpus) -> dict[str, Any]:
    """`bits_per_byte`, `low` and `high` of the held-out text at the end, or `none`, the reason why there are none."""
    baseline = None
    if held_out := corpus.validation_documents():
        baseline = reference_models(corpus, held_out)[BASELINE]["bits_per_byte"]
    found = predict(
        fit,
        bytes_seen=made.tokens * corpus.manifest["train_bytes"] / max(corpus.manifest["train_tokens"], 1),
        parameters=made.shape.parameters(),
        epochs=made.epochs,
        baseline=baseline,
    )
    return asdict(found) if isinstance(found, Prediction) else {"none": found}
