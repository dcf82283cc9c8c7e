"""The GPU benchmark without a GPU: it says so, its small run exercises every line, and its figures follow."""

import json
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.benchmarking import Outcome

FILE = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> Any:
    spec = util.spec_from_file_location("gpu_benchmark", FILE)
    assert spec and spec.loader
    module = util.module_from_spec(spec)
    sys.modules["gpu_benchmark"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(FILE), *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "no CUDA device" in done.stderr and "--smoke" in done.stderr


def test_the_small_run_measures_every_kind_and_writes_what_it_shows(tmp_path: Path) -> None:
    done = run("--smoke", "--rounds", 1, "--seconds", 0.01, "--out", tmp_path / "gpu.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "gpu.json").read_text())
    rows = {(row["kind"], row["name"]): row for row in result["rows"]}
    assert rows["train", "litgpt-bf16"]["status"] in ("measured", "not installed")
    trained, wrote = rows["train", "groundup-eager"], rows["decode", "groundup-bf16"]
    assert 0 < trained["mfu"] == trained["share_of_peak"]
    assert wrote["rounds"][0]["tokens"] == 2 * 64 and wrote["share_of_bandwidth"] > 0
    assert rows["decode", "gpt2-bf16"]["rounds"][0]["turns"] == 1
    assert "goal: 1B in bfloat16, 45% MFU in training or more: not measured" in done.stdout
    assert "tiny" in done.stdout and "of copy bandwidth" in done.stdout


def test_what_the_minutes_do_not_suffice_for_is_left_out(gpu: Any, monkeypatch, capsys) -> None:
    peak = Outcome("peak", "measured", rounds=[{"bfloat16": 1e12, "float32": 5e11, "copy": 1e10}])
    monkeypatch.setattr(gpu, "take_turn", lambda *_, **__: peak)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--smoke", "--minutes", "0"])
    gpu.main()
    said = capsys.readouterr().out
    assert said.count("left out: the minutes were over") == len(gpu.planned("cpu", (), smoke=True))


def outcome(name: str, facts: dict[str, Any], *rounds: dict[str, Any]) -> Outcome:
    return Outcome(name, "measured", facts=facts, rounds=list(rounds))


def test_shares_follow_from_the_fastest_round_and_the_goals_from_the_shares(gpu: Any) -> None:
    jobs = {(job.kind, job.model, job.batch, job.entrant.name): job for job in gpu.planned("cuda", (), smoke=False)}
    facts = {"flops_per_token": 6e9, "first_step_seconds": 50.0, "second_step_seconds": 1.0}
    trained = outcome("groundup", facts, {"tokens": 60, "seconds": 1e-3}, {"tokens": 70, "seconds": 1e-3})
    peak = {"bfloat16": 8e14, "float32": 5e13, "copy": 4e12}
    row = gpu.row(jobs["train", "1B", 8, "groundup"], trained, peak, "NVIDIA H200")
    assert row["tokens_per_second"] == pytest.approx(70_000)
    assert row["mfu"] == pytest.approx(70_000 * 6e9 / 989e12)
    assert row["share_of_peak"] == pytest.approx(70_000 * 6e9 / 8e14)
    assert row["compile_seconds"] == 49.0
    assert gpu.row(jobs["train", "1B", 8, "groundup"], trained, peak, "GPU of tomorrow")["mfu"] == row["share_of_peak"]

    turn = {"tokens": 2 * 32 * 256, "turns": 2, "writing_seconds": 1.1, "first_token_seconds": 0.05}
    wrote = outcome("groundup-bf16", {"bytes_per_token": 1.5e8}, turn)
    decoded = gpu.row(jobs["decode", "1B", 32, "groundup-bf16"], wrote, peak, None)
    assert decoded["share_of_bandwidth"] == pytest.approx(2 * 32 * 255 / 1.0 * 1.5e8 / 4e12)
    mfu, bandwidth = gpu.goals([row, decoded])
    assert "42%, not reached" in mfu and "61%, reached" in bandwidth


def test_shapes_have_the_sizes_they_are_named_for(gpu: Any) -> None:
    from groundup.benchmarking.training_ours import model_shape

    for name, millions in (("124M", 124), ("350M", 350), ("1B", 1000)):
        assert model_shape(gpu.sizes(gpu.SHAPES[name])).parameters() / 1e6 == pytest.approx(millions, rel=0.05)
    assert all(gpu.sizes(shape)["ffn_width"] % 128 == 0 for shape in gpu.SHAPES.values())
