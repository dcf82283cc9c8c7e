"""The queue of experiments: runs once, continues, gives all seeds the same steps, and its table and fit say what is."""

import json
import math
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from groundup import verbs
from groundup.config import Optimizer, load_config
from groundup.events import Phase, Progress
from groundup.model.transformer import Embedding
from groundup.training import build
from groundup.training.optimizers import Optimizers, build_optimizer

ROOT = Path(__file__).parents[1]
LIST = """
cpu_seconds = 0.3
threads = 1
validation_bytes = 2_000

[baseline]
"data.tokenizer" = "bytes"
"model.layers" = 1
"model.context" = 32
"model.dropout" = 0.0
"training.tokens_per_update" = 256
"device.compile" = "off"
"optimizer.name" = "muon"

[widths.32]
"model.width" = 32

[[runs]]
name = "baseline"
corpora = ["small"]
widths = [32]

[[runs]]
name = "adamw"
corpora = ["absent"]
widths = [32]
set = { "optimizer.name" = "adamw" }
"""


@pytest.fixture(scope="module")
def experiments() -> Iterator[Any]:
    folder = ROOT / "benchmarks" / "experiments"
    sys.path.insert(0, str(folder))
    try:
        spec = util.spec_from_file_location("experiments", folder / "__main__.py")
        assert spec and spec.loader
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        import recipe

        import results

        module.recipe, module.results = recipe, results
        yield module
    finally:
        sys.path.remove(str(folder))


def test_what_is_missing_runs_once_and_other_seeds_take_the_same_steps(
    experiments: Any, documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trial.toml").write_text(LIST)
    command = ["run", "trial", "--folder", str(tmp_path), "--work", str(tmp_path / "work")]
    with pytest.raises(SystemExit):
        experiments.main([*command, "--corpus", f"small={documents}"])
    assert "has no time of baseline, 32 wide, small, seed 0" in capsys.readouterr().err
    experiments.main(["time", *command[1:], "--corpus", f"small={documents}"])
    assert "baseline, 32 wide" in capsys.readouterr().out and not experiments.rows_of(tmp_path, "trial")
    experiments.main([*command, "--corpus", f"small={documents}"])
    assert "left out, no --corpus absent=PATH" in capsys.readouterr().out
    (first,) = experiments.rows_of(tmp_path, "trial")
    (timed,) = experiments.rows_of(tmp_path, "trial.times")
    assert first["steps"] == max(10, round(0.3 / timed["seconds"]))
    assert first["entry"] == "baseline" and first["settings"]["optimizer.name"] == "muon"
    assert first["steps"] >= 10 and first["tokens"] == 256 * first["steps"]
    assert first["cpu_seconds"] > 0 and first["wall_seconds"] > 0 and first["compute"]["threads"] == 1
    assert 0 < first["bits_per_byte"] < 8 and first["baselines"]["5-gram"] > 0

    experiments.main([*command, "--corpus", f"small={documents}", "--only", "baseline", "--seeds", "0", "1"])
    assert "1 of 2 runs are done" in capsys.readouterr().out
    rows = experiments.rows_of(tmp_path, "trial")
    assert [row["seed"] for row in rows] == [0, 1]
    assert rows[1]["steps"] == first["steps"] and rows[1]["bits_per_byte"] != first["bits_per_byte"]

    experiments.main([*command, "--corpus", f"small={documents}", "--limit-minutes", "0", "--seeds", "7"])
    assert "the time is up" in capsys.readouterr().out
    assert len(experiments.rows_of(tmp_path, "trial")) == 2
    assert len(experiments.rows_of(tmp_path, "trial.times")) == 1

    other = tmp_path / "other"
    other.mkdir()
    (other / "text.txt").write_text("another text, and nothing but that " * 300)
    fresh = ["--work", str(tmp_path / "fresh"), "--corpus", f"small={other}", "--seeds", "7"]
    with pytest.raises(SystemExit) as stop:
        experiments.main([*command, *fresh])
    assert stop.value.code == 2 and "--corpus small: is another text than in" in capsys.readouterr().err
    assert len(experiments.rows_of(tmp_path, "trial")) == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["run", "trial", "--only", "adam"], "unknown entry 'adam'"),
        (["run", "trial", "--corpus", "small"], "--corpus: is 'small'"),
        (["run", "nothing"], "nothing.toml"),
        (["fit", "trial"], "0 finished runs of 0 texts are too few: 15 of 3 at least"),
        (["table", "trial", "--write", "trial.toml"], "has no marks <!-- table: trial -->"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    experiments: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    said: str,
) -> None:
    (tmp_path / "trial.toml").write_text(LIST)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        experiments.main([*command, "--folder", str(tmp_path)])
    assert stop.value.code == 2 and said in capsys.readouterr().err
    assert (tmp_path / "trial.toml").read_text() == LIST


def test_the_committed_lists_name_settings_and_variants_that_exist(experiments: Any) -> None:
    variants = import_module("variants").VARIANTS
    for file in (ROOT / "benchmarks" / "experiments").glob("*.toml"):
        listed = tomllib.loads(file.read_text(encoding="utf-8"))
        runs = list(experiments.runs_of(listed, None, None))
        assert len({json.dumps(run, sort_keys=True) for run in runs}) == len(runs) > 5
        for run in runs:
            load_config(None, run["settings"])
            assert run["variant"] in {"", *variants}


def trained(experiments: Any, corpus: Path, variant: str) -> dict[str, Any]:
    listed = tomllib.loads(LIST)
    settings = listed["baseline"] | listed["widths"]["32"]
    return experiments.recipe.train_once(
        {"settings": settings, "path": str(corpus), "steps": 12, "seed": 0, "variant": variant}
    )


def test_each_variant_changes_what_is_learned(
    experiments: Any, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = verbs.prepare([documents], out=tmp_path / "corpus", settings={"data.tokenizer": "bytes"}).path
    found = {"": trained(experiments, corpus, "")["bits_per_byte"]}
    for variant in import_module("variants").VARIANTS:
        with monkeypatch.context() as patch:  # so that what the variant replaces comes back
            for owner, name in ((Embedding, "forward"), (build, "initialize"), (Optimizers, "step")):
                patch.setattr(owner, name, getattr(owner, name))
            found[variant] = trained(experiments, corpus, variant)["bits_per_byte"]
    assert len(set(found.values())) == len(found) == 6, found
    assert trained(experiments, corpus, "")["bits_per_byte"] == found[""]


def test_averaged_weights_are_the_weighted_mean_of_all_steps(experiments: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Optimizers, "step", Optimizers.step)
    experiments.recipe.change("averaged", 40)
    weight = nn.Linear(3, 2, bias=False)
    config = Optimizer(name="adamw", learning_rate=0.1, weight_decay=0.0)
    optimizers, mean = build_optimizer(weight, config), weight.weight.detach().clone()
    for number in range(40):
        weight.weight.grad = torch.full((2, 3), 1.0 + number % 3)
        before = weight.weight.detach().clone()
        optimizers.step(1.0)
        if number < 39:
            mean = mean * 0.75 + weight.weight.detach() * 0.25
            assert not torch.equal(weight.weight, before)
    assert (weight.weight - mean).abs().max() < 0.1  # the last step itself is of no more than the rate
    assert weight.weight.detach().max() > before.max()  # behind the weights, which fall


def row(entry: str, bits: float | None, seed: int = 0) -> dict[str, Any]:
    return {"entry": entry, "corpus": "c", "width": 8, "seed": seed, "bits_per_byte": bits} | dict.fromkeys(
        ("steps", "tokens", "bytes_per_token", "cpu_seconds"), 10
    )


def test_the_table_compares_with_the_baseline_and_the_page_keeps_the_rest(experiments: Any, tmp_path: Path) -> None:
    rows = [row("baseline", 2.0), row("baseline", 2.2, 1), row("better", 1.5), row("better", 1.7, 1), row("bad", None)]
    lines = experiments.table_of(rows, markdown=False).splitlines()
    assert lines[1].split()[2:5] == ["better", "1.6000", "±"] and "-0.5000" in lines[1] and "-3.5 (df 2)" in lines[1]
    assert "baseline" in lines[2] and "not finite" in lines[3]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: trial -->\nold\n<!-- end -->\nafter\n")
    (tmp_path / "trial.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    experiments.main(["table", "trial", "--folder", str(tmp_path), "--write", str(page)])
    text = page.read_text()
    assert text.startswith("before\n<!-- table: trial -->\n| corpus |") and text.endswith("|\n<!-- end -->\nafter\n")
    assert "old" not in text


def test_welchs_t_is_that_of_an_example_worked_by_hand(experiments: Any) -> None:
    # means 4 and 1, variances 4 and 1, of 3 and 4: t = 3 / sqrt(4/3 + 1/4), df by Welch's formula
    t, freedom = experiments.results.welch([2, 4, 6], [1 - math.sqrt(1.5), 1, 1, 1 + math.sqrt(1.5)])
    assert t == pytest.approx(3 / math.sqrt(4 / 3 + 1 / 4))
    assert freedom == pytest.approx((4 / 3 + 1 / 4) ** 2 / ((4 / 3) ** 2 / 2 + (1 / 4) ** 2 / 3))
    assert (
        experiments.results.welch([1.0], [2.0, 3.0]) is None
        and experiments.results.welch([1.0, 1.0], [2.0, 2.0]) is None
    )


def test_the_fit_that_is_printed_predicts_the_runs_it_was_made_from(
    experiments: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    rows = []
    for number in range(40):
        tokens, weights, epochs = (int(value) for value in np.exp(draw.uniform((12, 12, 0), (16, 16, 3))))
        bits = 6 * tokens**-0.1 * weights**-0.02 * math.exp(draw.normal(0, 0.05))
        facts = {"corpus": f"text {number % 8}", "steps": tokens // 64, "parameters": weights, "epochs": epochs}
        rows.append(row("baseline", bits) | facts | {"tokens": tokens, "baselines": {"5-gram": 1.5}})
    rows += [row("baseline", None), row("another", 9.0)]
    (tmp_path / "trial.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    experiments.main(["fit", "trial:base", "--folder", str(tmp_path)])
    *told, verdict, constants = capsys.readouterr().out.splitlines()
    assert len(told) == 40
    inside, predicted = [int(word) for word in verdict.split() if word.isdigit()][:2]
    assert 25 < predicted <= 40 and inside >= 0.75 * predicted
    assert constants.startswith("FITTED = Fit(coefficients=(")
    found = [float(part) for part in constants.split("(")[2].split(")")[0].split(",")]
    assert found[1:3] == pytest.approx([-0.1, -0.02], abs=0.02)


def test_a_clock_counts_updates_only(experiments: Any) -> None:
    clock = experiments.recipe.Clock()
    clock(Phase("reading"))
    clock(Progress(1))
    clock(Phase("training"))
    for _ in range(3):
        sum(math.sqrt(n) for n in np.arange(20_000))
        clock(Progress(1))
    clock(Phase("reporting"))
    clock(Progress(1))
    assert len(clock.marks) == 3
    cpu, wall = clock.seconds(4)
    assert cpu == pytest.approx((clock.marks[-1][0] - clock.marks[0][0]) * 2) and cpu > 0 and wall > 0
