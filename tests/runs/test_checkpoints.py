import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from groundup.errors import Stopped, UserError
from groundup.runs import link_best, newest_good, prune, publish, published, verify

FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 40, "training/state.json": b'{"step": 1}'}

FULL_DISK = """
import resource, sys
from pathlib import Path
from groundup.corpus import Tokenizer
from groundup.errors import UserError
from groundup.model import ModelShape, Transformer
from groundup.config import load_config
from groundup.runs import publish
from groundup.training import State, build_optimizer
from groundup.training.checkpoint import writer
model = Transformer(ModelShape("llama", 320, 1, 64, 1, 1, 64, 64, 64, True))
settings = load_config(None, {"optimizer.name": "adamw", "optimizer.learning_rate": 1e-3, "optimizer.weight_decay": 0})
tokenizer, optimizers = Tokenizer.of_bytes(), build_optimizer(model, settings.optimizer)
moments = optimizers.state_tensors()
write = writer(model, tokenizer.to_json().encode(), tokenizer.eos_id, model.state_dict(), moments, State())
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    publish(Path(sys.argv[1]), 1, write)
except UserError as error:
    print(error)
"""


def write_files(directory: Path, files: dict[str, bytes] = FILES) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content)


def names(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir())


@pytest.fixture
def run(tmp_path) -> Path:
    for step in (0, 5, 10):
        publish(tmp_path, step, write_files)
    return tmp_path


def test_the_manifest_lists_every_file_with_its_size_and_hash(tmp_path):
    path = publish(tmp_path, 12, write_files)
    assert path == tmp_path / "step-00000012"
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest == {
        "version": 1,
        "step": 12,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in FILES.items()
        },
    }
    assert names(tmp_path) == ["step-00000012"]
    assert verify(path) == []


def test_checkpoints_are_found_in_the_order_of_their_steps(tmp_path):
    for step in (100_000_000, 3, 20):
        publish(tmp_path, step, write_files)
    for name in ("step-3", "step-000000040", "damaged-step-00000009", ".step-00000007.tmp", "step-0000000x"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-00000008").touch()
    shutil.rmtree(tmp_path / "step-000000040")
    assert list(published(tmp_path)) == [3, 20, 100_000_000]


@pytest.mark.parametrize("error", [ZeroDivisionError, Stopped("now"), KeyboardInterrupt, MemoryError])
def test_nothing_is_published_or_left_behind_when_writing_fails(run, error):
    def fail(directory: Path) -> None:
        write_files(directory)
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        publish(run, 15, fail)
    assert names(run) == ["step-00000000", "step-00000005", "step-00000010"]


def test_a_failing_disk_is_the_users_error_and_spares_earlier_checkpoints(run):
    def fail(directory: Path) -> None:
        write_files(directory)
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"step 15.*No space left on device") as caught:
        publish(run, 15, fail)
    assert caught.value.where == str(run)
    assert names(run) == ["step-00000000", "step-00000005", "step-00000010"]
    assert newest_good(run, pytest.fail) == (10, run / "step-00000010")


# the model's file has 180 kB, the optimizer's nothing yet; 1 kB is not enough for tokenizer.json either
@pytest.mark.parametrize("limit", [100_000, 1_000])
def test_a_real_checkpoint_on_a_full_disk_leaves_no_trace(tmp_path, limit):
    arguments = [sys.executable, "-c", FULL_DISK, tmp_path, str(limit)]
    result = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert "step 1 could not be saved" in result.stdout, result.stderr
    assert names(tmp_path) == []


def test_a_published_checkpoint_is_never_written_again(run):
    def fail(directory: Path) -> None:
        raise AssertionError("written again")

    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert publish(run, 5, fail) == run / "step-00000005"
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_what_a_dead_process_left_is_ignored_and_cleared_by_the_next_publication(run):
    stale = run / ".step-00000015.99999.tmp"
    stale.mkdir()
    write_files(stale)
    (run / ".step-00000001.deleted").mkdir()
    assert list(published(run)) == [0, 5, 10]
    assert newest_good(run, pytest.fail) == (10, run / "step-00000010")
    publish(run, 15, write_files)
    assert names(run) == ["step-00000000", "step-00000005", "step-00000010", "step-00000015"]


@pytest.mark.parametrize("name", FILES)
def test_verify_names_a_file_that_is_cut_short_changed_or_missing(run, name):
    checkpoint = run / "step-00000005"
    path, content = checkpoint / name, FILES[name]
    for damaged in (content[:-1], content + b"\0", b"", bytes([content[0] ^ 1]) + content[1:]):
        path.write_bytes(damaged)
        problems = verify(checkpoint)
        assert len(problems) == 1 and problems[0].startswith(f"{path}: "), damaged[:20]
    path.unlink()
    assert verify(checkpoint) == [f"{path}: missing"]
    path.mkdir()
    assert verify(checkpoint) == [f"{path}: missing"]
    path.rmdir()
    path.write_bytes(content)
    assert verify(checkpoint) == []


def test_every_flipped_bit_is_noticed(tmp_path):
    checkpoint = publish(tmp_path, 0, lambda directory: write_files(directory, {"a": bytes(range(64))}))
    for bit in range(512):
        content = bytearray(range(64))
        content[bit // 8] ^= 1 << bit % 8
        (checkpoint / "a").write_bytes(content)
        assert len(verify(checkpoint)) == 1, bit


def test_verify_names_every_damaged_file(run):
    for name in FILES:
        (run / "step-00000005" / name).unlink()
    assert len(verify(run / "step-00000005")) == len(FILES)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/hostname", "training/../../x", "a\0b", "\ud800", ".", "x" * 5000, "loop"]
)
def test_a_manifest_that_leads_out_of_the_checkpoint_or_nowhere_is_refused(run, name):
    checkpoint = run / "step-00000005"
    outside = b"secret"
    (run / "x").write_bytes(outside)
    (checkpoint / "loop").symlink_to("loop")
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"] = {name: {"bytes": len(outside), "sha256": hashlib.sha256(outside).hexdigest()}}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    assert len(verify(checkpoint)) == 1


def test_a_link_that_leads_out_of_the_checkpoint_is_refused(run):
    checkpoint = run / "step-00000005"
    (run / "outside").write_bytes(FILES["config.json"])
    (checkpoint / "config.json").unlink()
    (checkpoint / "config.json").symlink_to(run / "outside")
    assert "leads out" in verify(checkpoint)[0]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "null", '{"version": 1}', '{"version": 1, "files": []}', '{"version": 1, "files": {"a": 3}}',
     '{"version": 1, "files": {"a": {"bytes": "x", "sha256": ""}}}', '{"version": 99, "files": {}}', "[" * 100_000],
)  # fmt: skip
def test_a_damaged_manifest_is_named(run, content):
    manifest = run / "step-00000005" / "manifest.json"
    manifest.write_text(content)
    problems = verify(manifest.parent)
    assert len(problems) == 1 and str(manifest) in problems[0]


def test_a_missing_manifest_is_named(run):
    (run / "step-00000005" / "manifest.json").unlink()
    assert str(run / "step-00000005" / "manifest.json") in verify(run / "step-00000005")[0]


def test_the_newest_good_checkpoint_is_found_and_damaged_ones_are_set_aside(run):
    (run / "step-00000010" / "model.safetensors").write_bytes(b"")
    (run / "step-00000005" / "manifest.json").unlink()
    (run / "damaged-step-00000010").mkdir()  # from an earlier time
    notices: list[str] = []
    assert newest_good(run, notices.append) == (0, run / "step-00000000")
    assert names(run) == ["damaged-step-00000005", "damaged-step-00000010", "step-00000000"]
    assert "step 10" in notices[0] and "model.safetensors" in notices[0]
    assert "step 5" in notices[1] and "manifest.json" in notices[1]
    assert (run / "damaged-step-00000010" / "model.safetensors").exists()
    # the steps can be published again
    publish(run, 10, write_files)
    assert newest_good(run, pytest.fail) == (10, run / "step-00000010")


def test_without_any_good_checkpoint_there_is_none(run, tmp_path_factory):
    for path in published(run).values():
        (path / "config.json").unlink()
    notices: list[str] = []
    assert newest_good(run, notices.append) is None
    assert len(notices) == 3
    assert newest_good(tmp_path_factory.mktemp("empty"), pytest.fail) is None


def test_best_is_a_relative_link_that_moves_with_the_run(run, tmp_path_factory):
    link_best(run, run / "step-00000005")
    link_best(run, run / "step-00000010")
    assert (run / "best").readlink() == Path("step-00000010")
    moved = tmp_path_factory.mktemp("elsewhere") / "run"
    shutil.move(run, moved)
    assert verify(moved / "best") == []
    moved.rename(run)


def test_best_replaces_the_copy_that_a_program_made_of_the_link(run, tmp_path_factory):
    link_best(run, run / "step-00000005")
    copied = tmp_path_factory.mktemp("elsewhere") / "run"
    shutil.copytree(run, copied)  # follows links
    assert (copied / "best").is_dir() and not (copied / "best").is_symlink()
    link_best(copied, copied / "step-00000010")
    assert (copied / "best").resolve() == (copied / "step-00000010").resolve()
    assert (copied / "step-00000005").is_dir()


def test_best_replaces_a_link_to_a_checkpoint_that_is_gone(run):
    (run / "best").symlink_to("step-00000077")
    link_best(run, run / "step-00000005")
    assert (run / "best" / "config.json").is_file()


def test_where_links_cannot_be_made_best_is_a_copy(run, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for step in (5, 10):
        link_best(run, run / f"step-{step:08d}")
        assert json.loads((run / "best" / "manifest.json").read_text())["step"] == step
        assert verify(run / "best") == []
    assert names(run) == ["best", "step-00000000", "step-00000005", "step-00000010"]


@pytest.mark.parametrize(
    ("keep", "spare", "interval", "left"),
    [
        (2, {0}, 5, [0, 15, 20]),
        (1, {0}, 5, [0, 20]),
        (2, {0, 5}, 5, [0, 5, 15, 20]),
        (9, {0}, 5, [0, 5, 10, 15, 20]),
        (2, {0, 20}, 5, [0, 15, 20]),
        (1, {0}, 10, [0, 20]),
        (1, {0}, 7, [0, 20]),  # none but step 0 was scheduled: the newest stays all the same
    ],
)
def test_prune_keeps_the_newest_scheduled_ones_and_those_to_spare(tmp_path, keep, spare, interval, left):
    for step in (0, 5, 10, 15, 20):
        publish(tmp_path, step, write_files)
    for _ in range(2):
        prune(tmp_path, keep=keep, spare=spare, every=lambda step: step % interval == 0)
        assert names(tmp_path) == [f"step-{step:08d}" for step in left]


def test_a_checkpoint_made_by_a_signal_stays_until_a_newer_one_stands(tmp_path):
    def keep_two() -> list[int]:
        prune(tmp_path, keep=2, spare={0}, every=lambda step: step % 10 == 0)
        return list(published(tmp_path))

    for step in (0, 10, 20, 23):
        publish(tmp_path, step, write_files)
    assert keep_two() == [0, 10, 20, 23]
    publish(tmp_path, 30, write_files)
    assert keep_two() == [0, 20, 30]


def test_pruning_touches_nothing_but_checkpoints(run):
    for name in ("metrics.jsonl", "best"):
        (run / name).touch()
    prune(run, keep=1, spare=(), every=lambda step: True)
    assert names(run) == ["best", "metrics.jsonl", "step-00000010"]
