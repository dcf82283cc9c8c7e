"""What the processes of a group do beside the main one: wait for its decisions, then train and score with it."""

import tempfile
from pathlib import Path

from groundup import runs
from groundup.corpus import Corpus
from groundup.events import Event, Listener, Notice
from groundup.parallel import Group
from groundup.runs import Run
from groundup.verbs.finishing import finish
from groundup.verbs.fitting import train_model


def follow(group: Group, listen: Listener) -> Run:
    """Take this process's share of the run that the main one trains, whatever verb that runs; return the run.

    Only warnings are told to `listen`. Raises SystemExit with the main process's code where it ends early.
    """

    def warned(event: Event) -> None:
        if isinstance(event, Notice) and event.level != "info":
            listen(Notice(f"process {group.rank}: {event.text}", event.level))

    with runs.stop_on_signals() as stop, tempfile.TemporaryDirectory() as scratch:
        group.heed(stop)
        facts = group.hear()
        group.give_up_after(facts["timeout"])
        deadline = group.hear()  # once everything is read and decided
        run = Run.open(Path(facts["run"]))
        config, corpus = run.config(), Corpus(run.corpus)
        reason = train_model(run, config, corpus, group, deadline=deadline, figures=Path(scratch), listen=warned)
        finish(run, corpus, reason, group, listen=warned, began=0.0)
        return run
