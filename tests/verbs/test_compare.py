"""`compare`: which settings differ, which run is better or was only luckier, and a picture of the curves."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest
from PIL import Image

from groundup import verbs
from groundup.errors import UserError
from groundup.reporting import describe_comparison


@pytest.fixture(scope="module")
def train(corpus_dir: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of 10 steps on the corpus with other settings."""
    home = tmp_path_factory.mktemp("compared")

    def work(name: str, settings: dict[str, Any], paths: Path = corpus_dir) -> Path:
        return verbs.train(paths, out=home / name, steps=10, settings=tiny_settings | settings).path

    return work


SLOW = {"optimizer.learning_rate": 0.0001, "optimizer.embedding_rate": 0.0001}


@pytest.fixture(scope="module")
def others(train: Callable[..., Path]) -> list[Path]:
    """Two runs on one corpus that differ in depth and rate."""
    return [train("slow", SLOW), train("deep", {"model.layers": 3})]


@pytest.fixture(scope="module")
def seeds(train: Callable[..., Path]) -> list[Path]:
    """Slow and deep with another seed each."""
    return [train("slow-1", SLOW | {"training.seed": 1}), train("deep-1", {"model.layers": 3, "training.seed": 1})]


def test_settings_that_differ_and_the_better_run_are_named(others: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    comparison = verbs.compare(others, picture=picture)
    assert comparison["settings"]["model.layers"] == [2, 3]
    assert comparison["settings"]["optimizer.learning_rate"][0] == 0.0001
    assert "model.width" not in comparison["settings"]
    slow, deep = comparison["runs"]
    assert deep["val_bits_per_byte"] < slow["val_bits_per_byte"]
    assert deep["parameters"] > slow["parameters"]
    assert deep["best_step"] == deep["steps"] == 10
    assert deep["seconds"] > 0
    with Image.open(picture) as image:
        image.load()
        assert image.format == "PNG"
        assert len(np.unique(np.asarray(image.convert("L")))) > 10  # something is drawn
    json.dumps(comparison, allow_nan=False)


def test_one_run_each_cannot_tell_a_better_setting_from_luck(others: list[Path], tmp_path: Path) -> None:
    comparison = verbs.compare(others, picture=tmp_path / "x.png")
    assert comparison["noise"] is None
    (judged,) = comparison["judgements"]
    assert (judged["better"], judged["worse"]) == (str(others[1]), str(others[0]))
    assert judged["verdict"] == "cannot tell" and "plus_minus" not in judged
    assert "luck of a seed" in comparison["note"]
    assert "luck of a seed" in describe_comparison(comparison)


def test_runs_that_differ_only_in_the_seed_are_the_noise_of_a_judgement(
    others: list[Path], seeds: list[Path], tmp_path: Path
) -> None:
    runs = [others[0], seeds[0], others[1], seeds[1]]
    comparison = verbs.compare(runs, picture=tmp_path / "x.png")
    bits = [row["bits_per_byte"] for row in comparison["runs"]]
    noise, (judged,) = comparison["noise"], comparison["judgements"]
    assert noise["freedom"] == 2
    assert noise["deviation"] == pytest.approx(((stdev(bits[:2]) ** 2 + stdev(bits[2:]) ** 2) / 2) ** 0.5)
    assert judged["difference"] == pytest.approx((bits[0] + bits[1] - bits[2] - bits[3]) / 2)
    # Student's t with 2 degrees of freedom, two runs each
    assert judged["plus_minus"] == pytest.approx(4.303 * noise["deviation"], rel=1e-3)
    more = judged["difference"] > judged["plus_minus"]
    assert judged["verdict"] == ("more than seeds do" if more else "within what seeds do")
    assert f"± {judged['plus_minus']:.4f} bits per byte (95%): {judged['verdict']}" in comparison["note"]


def edited(run: Path, out: Path, bits: float, **settings: Any) -> Path:
    """A copy of a run that was asked for other settings, has another seed, and came to `bits`."""
    copy = Path(shutil.copytree(run, out, symlinks=True))
    info = json.loads((copy / "run.json").read_text())
    info["request"]["settings"] |= settings
    info["final"]["validation"]["bits_per_byte"] = bits
    (copy / "run.json").write_text(json.dumps(info))
    seed = settings["training.seed"]
    config = re.sub(r"(?m)^seed = \d+", f"seed = {seed}", (copy / "config.toml").read_text())
    (copy / "config.toml").write_text(config)
    return copy


def test_of_three_settings_each_pair_could_have_been_shown(others: list[Path], tmp_path: Path) -> None:
    bits = {"a": (2.0, 2.02), "b": (2.1, 2.12), "c": (2.2, 2.22)}
    runs = []
    for name, figures in bits.items():
        for seed, figure in enumerate(figures):
            settings = {"samples.temperature": ord(name), "training.seed": seed}
            runs.append(edited(others[0], tmp_path / f"{name}{seed}", figure, **settings))
    comparison = verbs.compare(runs, picture=tmp_path / "x.png")
    assert comparison["noise"]["freedom"] == 3
    deviation = 0.02 / 2**0.5
    # Student's t with 3 degrees of freedom, 5% shared out over the three pairs of three settings
    assert [row["plus_minus"] for row in comparison["judgements"]] == pytest.approx([4.857 * deviation] * 2, rel=1e-3)


def test_equal_figures_make_none_the_better_one(others: list[Path], tmp_path: Path) -> None:
    same = edited(others[0], tmp_path / "same", 2.5, **{"training.seed": 0})
    other = edited(others[0], tmp_path / "other", 2.5, **{"samples.temperature": 2.0, "training.seed": 0})
    comparison = verbs.compare([same, other], picture=tmp_path / "x.png")
    assert comparison["judgements"][0]["verdict"] == "equal"
    assert "have the same bits per byte" in comparison["note"] and "better by" not in comparison["note"]


def test_a_run_changed_on_its_way_is_no_seed_of_one_that_was_not(others: list[Path], tmp_path: Path) -> None:
    changed = edited(others[0], tmp_path / "changed", 2.5, **{"training.seed": 1})
    info = json.loads((changed / "run.json").read_text())
    info["changes"] = [
        {"step": 4, "key": "optimizer.learning_rate", "before": 1e-4, "now": 1.0},
        {"step": 5, "key": "optimizer.learning_rate", "before": 1.0, "now": 1e-4},
    ]
    (changed / "run.json").write_text(json.dumps(info))
    comparison = verbs.compare([others[0], changed], picture=tmp_path / "x.png")
    assert comparison["noise"] is None and len(comparison["judgements"]) == 1


def test_runs_are_told_apart_by_the_ends_of_their_paths(others: list[Path], tmp_path: Path) -> None:
    text = describe_comparison(verbs.compare(others, picture=tmp_path / "x.png"))
    head = next(line for line in text.splitlines() if line.startswith("figure"))
    assert head.split()[1].endswith("slow") and head.split()[2].endswith("deep")


def test_seeds_alone_make_none_the_better_one(others: list[Path], seeds: list[Path], tmp_path: Path) -> None:
    comparison = verbs.compare([others[0], seeds[0]], picture=tmp_path / "x.png")
    assert comparison["judgements"] == [] and "differ only in the seed" in comparison["note"]
    copy = Path(shutil.copytree(others[0], tmp_path / "copy", symlinks=True))
    repeated = verbs.compare([others[0], copy], picture=tmp_path / "x.png")
    assert "counts once" in repeated["note"] and repeated["noise"] is None


def test_runs_on_different_texts_are_not_judged(
    others: list[Path], documents: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    other = train("other", {}, documents / "text-00.txt")
    comparison = verbs.compare([others[0], other], picture=tmp_path / "x.png")
    assert "different corpora" in comparison["note"] and comparison["judgements"] == []


def test_another_tokenizer_on_the_same_text_is_judged_by_its_bytes(
    finished: Path, documents: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    merged = train("merged", {"data.tokenizer": "bpe", "data.vocab_size": 300}, documents)
    comparison = verbs.compare([finished, merged], picture=tmp_path / "x.png")
    assert comparison["settings"]["data.tokenizer"] == ["bytes", "bpe"]
    assert len(comparison["judgements"]) == 1 and "held out is the same" in comparison["note"]


def test_an_unfinished_run_is_shown_and_not_judged(others: list[Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(others[0], tmp_path / "unfinished", symlinks=True))
    info = json.loads((run / "run.json").read_text())
    info |= {"status": "training"}
    info.pop("final")
    (run / "run.json").write_text(json.dumps(info))
    (run / "events.jsonl").unlink()
    comparison = verbs.compare([others[1], run], picture=tmp_path / "x.png")
    assert f"{run} is not finished (training)" in comparison["note"] and comparison["judgements"] == []
    assert comparison["runs"][1]["seconds"] is None
    assert comparison["runs"][1]["val_bits_per_byte"] is not None


def test_a_run_without_validation_is_shown_and_not_judged(
    others: list[Path], documents: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    blind = train("blind", {"data.validation": 0}, documents)
    note = verbs.compare([others[0], blind], picture=tmp_path / "x.png")["note"]
    assert f"{blind} has no validation text" in note


def test_one_run_or_none_cannot_be_compared(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two different runs"):
        verbs.compare([finished], picture=tmp_path / "x.png")
    with pytest.raises(UserError, match="no such run"):
        verbs.compare([finished, tmp_path / "nowhere"], picture=tmp_path / "x.png")
    with pytest.raises(UserError, match="two different runs"):
        verbs.compare([finished, finished], picture=tmp_path / "x.png")


def test_a_picture_that_cannot_be_written_is_the_users_error(others: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        verbs.compare(others, picture=tmp_path / "no folder" / "x.png")
