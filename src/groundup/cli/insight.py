"""The commands that show what training does and what a model has learned: explain."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from groundup.cli.app import Json, app, as_json
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
