"""The commands that show what training does and what a model has learned: explain."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from groundup.cli.app import Budget, Json, Paths, Sets, Size, app, as_json, settings
from groundup.verbs.explaining import TOPICS

_LIST = "; ".join(f"`{name}`: {topic.shows}" for name, topic in TOPICS.items())


@app.command
def explain(
    topic: Annotated[str, Parameter(help=f"What is shown. {_LIST}.")],
    run: Path | None = None,
    *,
    text: str | None = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Show how training and models work, with real figures of your own run, or of a toy small enough for a pencil.

    Parameters
    ----------
    run
        A run directory (its best checkpoint is used) or a checkpoint; some topics need none.
    text
        What it is shown on; without it, a sentence that was held out of training.
    seed
        Chooses that sentence, and names random draws.
    """
    from groundup import verbs
    from groundup.reporting import describe_explanation
    from groundup.reporting.terminal import draws_live

    found = verbs.explain(topic, run, text=text, seed=seed)
    if json_:
        print(as_json(found))
        return
    terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size().columns, 110) if terminal else 80
    print(describe_explanation(found, color=draws_live(terminal, os.environ), width=width))


@app.command
def diagnose(
    run: Path,
    *,
    try_: Annotated[bool, Parameter(name="--try", negative=())] = False,
    pairs: int = 4,
    steps: int | None = None,
    out: Path | None = None,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Say what is wrong with a run: each sign with the figures it was read from, and the setting to change.

    Parameters
    ----------
    run
        A run directory, finished or not; nothing in it is changed.
    try_
        Train briefly with the first remedy and without, several times, and say whether it helps, and how sure that is.
    pairs
        Pairs of short runs, 2 to 10; both of a pair have the same seed.
    steps
        Steps of each short run; by default what is done in about a minute and a half in all.
    out
        A new directory for the short runs; by default they are thrown away.
    seed
        Names the seeds of the pairs.
    """
    from groundup import verbs
    from groundup.reporting import describe_diagnosis, terminal_listener

    with terminal_listener() as listen:
        found = verbs.diagnose(run, trial=try_, pairs=pairs, steps=steps, out=out, seed=seed, listen=listen)
    width = min(shutil.get_terminal_size().columns, 110) if sys.stdout.isatty() else 80
    print(as_json(found) if json_ else describe_diagnosis(found, width=width))


@app.command
def scaling(
    paths: Paths,
    *,
    minutes: Budget = None,
    out: Path = Path("scaling"),
    seeds: int = 3,
    size: Size = None,
    config: Path | None = None,
    set_: Sets = None,
    json_: Json = False,
) -> None:
    """Measure how the loss falls with the amount of text, and what twice the documents would bring.

    Trains on 1/32, 1/16, ... and all of the documents. Run it again with the same arguments and it continues where it
    was stopped.

    Parameters
    ----------
    paths
        Files, folders, archives, or a corpus that `groundup prepare` made.
    out
        The directory of the runs, scaling.json and scaling.png.
    seeds
        Runs of each part that differ in the draw of documents, weights and batches; on large parts while there is time.
    config
        A TOML file of settings.
    """
    from groundup import verbs
    from groundup.cli.started import STARTED
    from groundup.reporting import describe_scaling, terminal_listener
    from groundup.reporting.canvas import unicode_shown
    from groundup.reporting.terminal import draws_live

    with terminal_listener() as listen:
        found = verbs.scaling(
            paths,
            minutes=minutes,
            out=out,
            seeds=seeds,
            size=size,
            config=config,
            settings=settings(set_),
            listen=listen,
            started=STARTED,
        )
    if json_:
        print(as_json(found))
        return
    terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size().columns, 110) if terminal else 80
    unicode = unicode_shown(os.environ, sys.stdout.encoding)
    print(describe_scaling(found, width=width, color=draws_live(terminal, os.environ), unicode=unicode))
