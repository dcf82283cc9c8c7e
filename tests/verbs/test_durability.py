"""What a power cut must not take from a run: its directory, and the figures that it is said to have finished with."""

import os
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.runs import Run


def test_the_directories_that_were_made_and_the_final_figures_are_on_the_disk_before_they_are_relied_on(
    corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, figures = list[str](), list[bytes]()
    fsync, rename, update = os.fsync, Path.rename, Run.update

    def synchronizing(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        log.append(str(path))
        if path.name.startswith(".training_metrics.json."):
            figures.append(path.read_bytes())
        fsync(descriptor)

    def renaming(path: Path, target: Path) -> Path:
        log.append(f"publishes {Path(target).name}")
        return rename(path, target)

    def updating(run: Run, **facts: Any) -> None:
        if facts.get("status") == "finished":
            assert figures[-1:] == [(run.path / "training_metrics.json").read_bytes()]
            log.append("finished")
        update(run, **facts)

    monkeypatch.setattr(os, "fsync", synchronizing)
    monkeypatch.setattr(Path, "rename", renaming)
    monkeypatch.setattr(Run, "update", updating)
    out = tmp_path / "new" / "deep" / "run"
    verbs.train(corpus_dir, out=out, steps=3, settings=tiny)
    made = log[: log.index("publishes step-00000000")]
    assert {str(tmp_path), str(tmp_path / "new"), str(out.parent)} <= {*made}
    assert "finished" in log
