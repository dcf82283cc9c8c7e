"""Row 6: a pickle in the place of any file of a run, or of a tokenizer, is refused and nothing is executed."""

import os
import pickle
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzz import USES

import groundup
from groundup.corpus import Tokenizer
from groundup.errors import UserError
from groundup.inference import SamplingSettings
from groundup.runs import publish, verify


class Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.fuse),)


def seal(checkpoint: Path) -> None:
    """Make the manifest fit, as a stranger would who gives a checkpoint away."""
    files = {path.relative_to(checkpoint): path.read_bytes() for path in checkpoint.rglob("*.*")}
    del files[Path("manifest.json")]
    shutil.rmtree(checkpoint)

    def write(directory: Path) -> None:
        (directory / "training").mkdir()
        for name, content in files.items():
            (directory / name).write_bytes(content)

    publish(checkpoint.parent, int(checkpoint.name.removeprefix("step-")), write)


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("model.safetensors", 0),
        ("training/optimizer.safetensors", pickle.HIGHEST_PROTOCOL),
        ("training/state.json", 0),
        ("tokenizer.json", 0),
        ("config.json", pickle.HIGHEST_PROTOCOL),
    ],
)
def test_row_06_a_pickle_bomb_in_a_checkpoint_is_refused_and_nothing_executed(
    run: Path, tmp_path: Path, name: str, protocol: int
) -> None:
    fuse, checkpoint = tmp_path / "exploded", run / "step-00000012"
    for path in (run / "step-00000000", run / "step-00000008"):
        shutil.rmtree(path)
    bomb = pickle.dumps(Bomb(fuse), protocol=protocol)
    (checkpoint / name).write_bytes(bomb)
    for decoy in ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "tokenizer.pkl"):
        (checkpoint / decoy).write_bytes(bomb)
    seal(checkpoint)
    assert verify(checkpoint) == []
    (run / "best").unlink()
    (run / "best").symlink_to(checkpoint.name)
    with nullcontext() if name.startswith("training/") else pytest.raises(UserError):
        groundup.generate(checkpoint, ["a"], SamplingSettings(max_new_tokens=1))
    # resuming reads neither tokenizer.json nor config.json; finishing the run may
    with pytest.raises(UserError) if name.endswith(("safetensors", "state.json")) else suppress(UserError):
        groundup.resume(run)
    assert not fuse.exists()
    pickle.loads(bomb)  # it would have
    assert fuse.exists()


def test_row_06_a_pickle_bomb_offered_as_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path / "tokenizer.json")
    assert not (tmp_path / "exploded").exists()


def test_row_06_a_pickle_bomb_as_any_file_of_a_run_is_refused_and_nothing_executed(
    finished: Path, tmp_path: Path
) -> None:
    run, fuse, bomb = tmp_path / "run", tmp_path / "exploded", tmp_path / "bomb"
    shutil.copytree(finished, run, symlinks=True)
    torch.save({"weights": Bomb(fuse)}, bomb)
    files = sorted(path for path in run.rglob("*") if path.is_file() and not path.is_symlink())
    assert {"model.safetensors", "optimizer.safetensors", "tokenizer.json", "run.json"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        path.write_bytes(bomb.read_bytes())
        for use in USES:
            with suppress(UserError):
                use(run, finished)
        path.write_bytes(content)
    assert not fuse.exists()
