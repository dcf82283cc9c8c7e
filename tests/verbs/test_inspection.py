"""`doctor`: what is damaged is named, nothing else is, and nothing is changed."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import groundup
from groundup import runs
from groundup.cli import main
from groundup.errors import UserError
from groundup.reporting import describe_damage


@pytest.fixture(scope="module")
def own_corpus(documents: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that holds its corpus. Not to be changed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return groundup.train(documents, out=out, steps=20, settings=tiny_settings).path


@pytest.fixture
def run(own_corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(own_corpus, tmp_path / "a run", symlinks=True))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def state(run: Path) -> dict[str, Any]:
    return {str(path): (path.lstat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in run.rglob("*")}


def test_a_good_run_is_called_good_and_nothing_is_changed(run: Path) -> None:
    before = state(run)
    found = groundup.doctor(run)
    assert state(run) == before
    assert (found["good"], found["can_continue"], found["damaged"], found["left_over"]) == (True, True, [], [])
    assert [row["step"] for row in found["checkpoints"] if row["good"]] == [0, 16, 20] or found["newest_good"] == 20
    assert found["best"] == (run / "best").resolve().name
    assert "every one holds" in describe_damage(found)


def hashed_files(run: Path) -> list[Path]:
    corpus = [path for path in (run / "corpus").iterdir() if path.suffix in (".ds", ".index")]
    checkpoints = [path for path in run.glob("step-*/**/*") if path.is_file()]
    return [path for path in (*corpus, run / "corpus" / "tokenizer.json", *checkpoints) if path.stat().st_size]


def test_a_flipped_bit_in_any_hashed_file_is_found_and_named(run: Path) -> None:
    files = hashed_files(run)
    assert len(files) > 25
    for path in files:
        content = path.read_bytes()
        flip(path)
        found = groundup.doctor(run)
        assert not found["good"]
        # a manifest may now name another file
        named = [row["file"] + row["what"] for row in found["damaged"]]
        assert path.name == "manifest.json" or any(path.name in text for text in named), path
        path.write_bytes(content)
    assert groundup.doctor(run)["good"]


@pytest.mark.parametrize(
    "name",
    ["run.json", "config.toml", "metrics.jsonl", "probes.jsonl", "training_metrics.json", "corpus/manifest.json"],
)
@pytest.mark.parametrize("content", [None, b"", b"[1, 2\n", b"\x80\x04\n"])
def test_a_file_that_is_missing_or_unreadable_is_named(run: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)
    if (name, content) in (("config.toml", b""), ("probes.jsonl", b"")):
        return  # a configuration of nothing but defaults; a run that has not evaluated yet
    found = groundup.doctor(run)
    assert not found["good"]
    assert any(Path(name).name in row["file"] + row["what"] for row in found["damaged"]), found["damaged"]


def test_figures_that_were_cut_off_at_a_line_are_noticed(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert any("ends at step" in row["what"] for row in groundup.doctor(run)["damaged"])


def test_what_crashes_leave_is_listed_and_is_no_damage(run: Path) -> None:
    (run / ".step-00000024.99.tmp").mkdir()
    (run / ".step-00000004.deleted").mkdir()
    (run / ".run.json.99.tmp").touch()
    (run / "damaged-step-00000004").mkdir()
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20, "tr')
    found = groundup.doctor(run)
    assert found["good"]
    assert len(found["left_over"]) == 5


def test_a_best_that_leads_nowhere_or_out_of_the_run_is_damaged(run: Path, tmp_path: Path) -> None:
    (run / "best").unlink()
    assert [row["file"] for row in groundup.doctor(run)["damaged"]] == ["best"]
    for target in ("step-00000777", str(tmp_path)):
        (run / "best").symlink_to(target)
        assert [row["file"] for row in groundup.doctor(run)["damaged"]] == ["best"]
        (run / "best").unlink()


def test_an_unfinished_run_with_a_damaged_checkpoint_can_go_on_as_doctor_says(
    documents: Path, tiny: dict[str, Any], tmp_path: Path, in_child: Callable[..., int]
) -> None:
    def killed(event: Any) -> None:
        if getattr(event, "entry", {}).get("step") == 14:
            os.kill(os.getpid(), 9)

    tiny["checkpoint.asynchronous"] = False
    work = {"out": tmp_path / "run", "steps": 20, "settings": tiny, "listen": killed}
    assert in_child(lambda: groundup.train(documents, **work)) == -9
    flip(tmp_path / "run" / "step-00000012" / "model.safetensors")
    found = groundup.doctor(tmp_path / "run")
    assert (found["good"], found["can_continue"], found["newest_good"]) == (False, True, 8)
    assert found["next"] == f"`groundup resume {tmp_path / 'run'}` continues from step 8"
    assert "DAMAGED" in describe_damage(found)
    groundup.resume(tmp_path / "run")
    after = groundup.doctor(tmp_path / "run")
    assert after["good"] and "damaged-step-00000012" in [row["file"] for row in after["left_over"]]


def test_the_command_exits_with_0_1_or_2(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def code(*words: object) -> int:
        try:
            main(["doctor", *map(str, words)])
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    assert code(run) == 0
    flip(run / "step-00000000" / "model.safetensors")
    capsys.readouterr()
    assert code(run, "--json") == 1
    assert json.loads(capsys.readouterr().out)["damaged"][0]["file"] == "step-00000000/model.safetensors"
    assert code(tmp_path / "nowhere") == code(tmp_path) == 2
    assert "groundup: " in capsys.readouterr().err
    for path in run.glob("step-*/model.safetensors"):
        path.write_bytes(b"")
    assert code(run) == 2
    with pytest.raises(UserError):
        groundup.doctor(tmp_path)


def test_who_is_training_in_it_is_who_holds_its_lock_and_no_process_that_has_the_number_of_one_that_died(
    run: Path,
) -> None:
    name = f"process {os.getpid()} on {socket.gethostname()}"
    (run / ".lock-holder").write_text(f"{name}\n")  # left by one that was killed; another has its number by now
    found = groundup.doctor(run)
    assert found["in_use"] is None and found["left_over"] == [{"file": ".lock-holder", "what": "its process has died"}]
    with runs.locked(run):
        held = groundup.doctor(run)
        assert held["in_use"] == name and held["next"].startswith(f"{name} is training in it")
        (run / ".lock-holder").unlink()
        assert groundup.doctor(run)["in_use"] == "another process"
    with runs.locked(run):  # looking has left the lock free
        pass
