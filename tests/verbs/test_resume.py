"""`resume`: what is no run, and a run whose corpus is gone or another, are refused. tests/faults has its exactness."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.errors import UserError
from groundup.events import Event, Logged

InChild = Callable[..., int]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run"):
        verbs.resume(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"run\.json"):
        verbs.resume(tmp_path)
    (tmp_path / "run.json").write_text("[1, 2")
    with pytest.raises(UserError, match="JSON"):
        verbs.resume(tmp_path)
    (tmp_path / "run.json").write_text('{"version": 1}')
    with pytest.raises(UserError, match="no request"):
        verbs.resume(tmp_path)


def test_another_corpus_in_the_place_of_the_first_is_refused(
    documents: Path, corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path, in_child: InChild
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "run"
    shutil.copytree(corpus_dir, corpus)

    def killed(event: Event) -> None:
        if isinstance(event, Logged) and event.entry["step"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: verbs.train(corpus, out=out, steps=4, settings=tiny, listen=killed)) == -9
    shutil.rmtree(corpus)
    with pytest.raises(UserError):
        verbs.resume(out)
    verbs.prepare([documents / "text-00.txt"], out=corpus)
    with pytest.raises(UserError, match="not the corpus this run began with"):
        verbs.resume(out)
    shutil.rmtree(corpus)
    shutil.copytree(corpus_dir, corpus)
    assert verbs.resume(out).info["status"] == "finished"
