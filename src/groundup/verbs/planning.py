"""`plan`: what would be trained and why, before anything is."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundup.corpus import Corpus, prepare_corpus
from groundup.documents import check_servers
from groundup.evaluation import reference_models
from groundup.events import Listener, Phase, nobody
from groundup.planning import Plan, decide
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
    started: float | None = None,
) -> tuple[Plan, dict[str, Any]]:
    """The plan that `train` would follow with the same arguments, and facts of the corpus it is made for.

    It does what `train` does before its first step, in a temporary directory: reads the documents, measures the
    baselines and times real steps, compiled where the run's are (which fills the compiler's cache for it). `expected`
    of the plan says what the run will take and reach. `started` is the time.monotonic() from which its time counts.
    Raises UserError as `train` does.
    """
    began = time.monotonic() if started is None else started
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
        listen(Phase("measuring baselines"))
        held_out = corpus.validation_documents()
        baselines = reference_models(corpus, held_out) if held_out else {}
        made, _ = decide(resolved, corpus, began=began, baselines=baselines, listen=listen, poll=stop.poll)
        facts = {key: value for key, value in corpus.manifest.items() if key not in ("version", "shards", "settings")}
    return made, facts
