"""The commands that make runs and corpora: train, resume, plan, demo."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from groundup.cli.app import (
    Arch,
    Budget,
    Deterministic,
    Json,
    Paths,
    Sets,
    Size,
    StopAfter,
    app,
    as_json,
    settings,
    show_run,
)
from groundup.cli.started import STARTED


@app.command
def train(
    paths: Paths,
    *,
    out: Path = Path("checkpoints"),
    minutes: Budget = None,
    steps: int | None = None,
    epochs: float | None = None,
    tokens: int | None = None,
    size: Size = None,
    arch: Arch = None,
    deterministic: Deterministic = None,
    config: Path | None = None,
    set_: Sets = None,
    stop_after: StopAfter = None,
    json_: Json = False,
) -> None:
    """Read documents, train a tokenizer and a model on them, evaluate it, and write a report.

    Run it again with the same arguments and it continues where it was stopped.

    Parameters
    ----------
    paths
        Files, folders, archives, or a corpus that `groundup prepare` made.
    out
        The run directory.
    steps
        Optimizer steps.
    epochs
        Passes over the training text.
    tokens
        Training tokens.
    config
        A TOML file of settings, such as the config.toml of another run.
    """
    from groundup import verbs
    from groundup.reporting import terminal_listener

    with terminal_listener() as listen:
        run = verbs.train(
            paths,
            out=out,
            minutes=minutes,
            steps=steps,
            epochs=epochs,
            tokens=tokens,
            size=size,
            config=config,
            settings=settings(set_, arch, deterministic),
            listen=listen,
            started=STARTED,
            stop_after=stop_after,
        )
    show_run(run.path, run.info, json_)


@app.command
def resume(
    run: Path,
    *,
    set_: Sets = None,
    stop_after: StopAfter = None,
    accept_corpus: Annotated[bool, Parameter(negative=())] = False,
    json_: Json = False,
) -> None:
    """Continue a run that was stopped or killed, or, with `--set training.steps=N`, make it longer.

    Parameters
    ----------
    run
        The run directory.
    accept_corpus
        Go on although the corpus is another than the one the run began with.
    """
    from groundup import verbs
    from groundup.reporting import terminal_listener

    with terminal_listener() as listen:
        resumed = verbs.resume(
            run,
            settings=settings(set_),
            accept_corpus=accept_corpus,
            listen=listen,
            started=STARTED,
            stop_after=stop_after,
        )
    show_run(resumed.path, resumed.info, json_)


@app.command
def plan(
    paths: Paths,
    *,
    minutes: Budget = None,
    steps: int | None = None,
    epochs: float | None = None,
    tokens: int | None = None,
    size: Size = None,
    arch: Arch = None,
    deterministic: Deterministic = None,
    config: Path | None = None,
    set_: Sets = None,
    json_: Json = False,
) -> None:
    """Say what `train` would do with the same arguments, and why, without training.

    Parameters
    ----------
    paths
        Files, folders, archives, or a corpus that `groundup prepare` made.
    steps
        Optimizer steps.
    epochs
        Passes over the training text.
    tokens
        Training tokens.
    config
        A TOML file of settings.
    """
    from groundup import verbs
    from groundup.reporting import describe_plan, terminal_listener

    with terminal_listener() as listen:
        made, corpus = verbs.plan(
            paths,
            minutes=minutes,
            steps=steps,
            epochs=epochs,
            tokens=tokens,
            size=size,
            config=config,
            settings=settings(set_, arch, deterministic),
            listen=listen,
            started=STARTED,
        )
    facts = {"plan": made.to_json(), "corpus": corpus, "notices": made.notices + made.warnings}
    width = min(shutil.get_terminal_size().columns, 110) if sys.stdout.isatty() else 80
    print(as_json(facts) if json_ else describe_plan(facts, width))


@app.command
def demo(*, out: Path = Path("demo-run"), minutes: float = 4.0) -> None:
    """Train on documents that come with groundup and with Python, and show what was learned.

    Parameters
    ----------
    out
        The run directory.
    minutes
        Wall clock of the whole command, in minutes.
    """
    from groundup import verbs
    from groundup.reporting import terminal_listener

    with terminal_listener() as listen:
        run = verbs.demo(out=out, minutes=minutes, listen=listen, started=STARTED)
    show_run(run.path, run.info, False)
