"""`train`: every file of a run, the budgets, equality of repeated runs, and what is refused."""

import json
import math
import os
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundup import verbs
from groundup.config import load_config
from groundup.errors import UserError
from groundup.events import Event, Logged, Notice, Phase
from groundup.runs import verify

FIGURES = ("metrics.jsonl", "training_metrics.json", "probes.jsonl", "samples.jsonl")


def entries_of(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "event" not in row]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


def results(run: Path) -> dict[str, bytes]:
    """What must be byte-equal in two runs with the same settings."""
    checkpoints = {f"{path.name}/{name}": data for path in run.glob("step-*") for name, data in contents(path).items()}
    best = {"best": (run / "best").resolve().name.encode()}
    return {name: (run / name).read_bytes() for name in FIGURES} | checkpoints | best


def test_a_run_holds_every_file_of_the_design(finished: Path) -> None:
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.toml", "run.json", "corpus", "metrics.jsonl", "events.jsonl", "probes.jsonl", "samples.jsonl",
        "training_metrics.json", "training_curve.png", "loss_by_epoch.png", "progress.log", "report.html", "best",
        "step-00000000", "step-00000008", "step-00000016", "step-00000020",
    }  # fmt: skip
    assert {path.name for path in (finished / "corpus").iterdir()} >= {
        "manifest.json",
        "tokenizer.json",
        "ledger.jsonl",
    }
    for picture in ("training_curve.png", "loss_by_epoch.png"):
        assert (finished / picture).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    for checkpoint in finished.glob("step-*"):
        assert verify(checkpoint) == []
        assert [path.name for path in checkpoint.glob("*.safetensors")] == ["model.safetensors"]
        assert {path.name for path in (checkpoint / "training").iterdir()} == {
            "optimizer.safetensors",
            "state.json",
        }
    lowest = min((e for e in entries_of(finished) if e["val_loss"] is not None), key=lambda entry: entry["val_loss"])
    assert (finished / "best").readlink().name == f"step-{lowest['step']:08d}"


def test_training_metrics_are_exactly_five_parallel_arrays(finished: Path) -> None:
    metrics, entries = json.loads((finished / "training_metrics.json").read_text()), entries_of(finished)
    assert set(metrics) == {"train_loss", "val_loss", "learning_rate", "epochs", "steps"}
    assert metrics["steps"] == [0, *range(2, 21, 2)]
    for name, key in {"epochs": "epoch", "steps": "step"}.items():
        assert metrics[name] == [entry[key] for entry in entries]
    for name in ("train_loss", "val_loss", "learning_rate"):
        assert metrics[name] == [entry[name] for entry in entries]
    assert [step for step, loss in zip(metrics["steps"], metrics["val_loss"], strict=True) if loss is not None] == [
        0,
        8,
        16,
        20,
    ]
    assert metrics["epochs"][0] == 0
    assert min(metrics["learning_rate"]) > 0


def test_run_json_says_what_was_planned_what_happened_and_what_must_be_beaten(finished: Path) -> None:
    info, entries = json.loads((finished / "run.json").read_text()), entries_of(finished)
    assert (info["version"], info["status"], info["stop_reason"]) == (1, "finished", "complete")
    assert info["plan"]["steps"] == info["actual"]["steps"] == entries[-1]["step"] == 20
    assert info["actual"]["tokens"] == entries[-1]["tokens"]
    assert info["horizon"] == [[0, 20]]
    assert all(row["reason"] for row in info["plan"]["decisions"])
    assert set(info["baselines"]) == {"uniform", "unigram", "bigram", "5-gram", "gzip"}
    # 257 byte tokens, of which the end of a text is never a target
    assert info["baselines"]["uniform"]["loss"] == pytest.approx(math.log(257), abs=0.01)
    assert info["initial"]["val_loss"] == entries[0]["val_loss"]
    assert info["final"]["validation"]["bits_per_byte"] > 0
    assert info["best"]["val_loss"] == min(entry["val_loss"] for entry in entries if entry["val_loss"] is not None)
    assert (finished / info["best"]["checkpoint"]).is_dir()
    assert info["verdict"]["reading"]
    assert info["machine"]["cores"] >= 1


def test_weights_do_not_depend_on_the_documents_folder_and_config_toml_repeats_the_run(
    finished: Path, documents: Path, tmp_path: Path
) -> None:
    """Trained again elsewhere from the resolved configuration alone: every figure and every weight is the same."""
    again = verbs.train(documents, out=tmp_path / "again", config=finished / "config.toml").path
    assert results(again) == results(finished)
    values = load_config(finished / "config.toml").values()
    assert {"model.heads", "optimizer.learning_rate", "schedule.warmup", "training.microbatch"} <= set(values)


def test_figures_can_be_read_at_every_moment(corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    run, seen = tmp_path / "run", []

    def listen(event: Event) -> None:
        if isinstance(event, Logged):
            metrics = json.loads((run / "training_metrics.json").read_text())
            assert len({len(values) for values in metrics.values()}) == 1
            assert len(metrics) == 5
            last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
            assert last == event.entry
            seen.append(event.entry["step"])
            if event.entry["val_loss"] is not None:
                assert metrics["steps"][-1] == event.entry["step"]

    verbs.train(corpus_dir, out=run, steps=9, settings=tiny, listen=listen)
    assert seen == [0, 2, 4, 6, 8, 9]


@pytest.mark.parametrize(
    ("budget", "steps"),
    [({"steps": 5}, 5), ({"tokens": 1_000}, 4), ({"tokens": 1_024}, 4), ({"epochs": 0.1}, None)],
    ids=str,
)
def test_budgets(
    corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path, budget: dict[str, Any], steps: int | None
) -> None:
    run = verbs.train(corpus_dir, out=tmp_path / "run", settings=tiny, **budget)
    stream = run.info["corpus"]["train_tokens"] + len((corpus_dir / "train-00000.index").read_bytes()) // 8
    expected = steps or round(0.1 * stream / 256)
    assert entries_of(run.path)[-1]["step"] == run.info["plan"]["steps"] == expected


def test_minutes_choose_a_length_that_training_then_follows_to_its_end(
    documents: Path, tiny: dict[str, Any], tmp_path: Path
) -> None:
    for key in ("training.log_every", "evaluation.every", "checkpoint.every"):
        tiny.pop(key)
    horizons: list[Any] = []

    def listen(event: Event) -> None:
        if isinstance(event, Logged):
            horizons.append((event.total_steps, json.loads((tmp_path / "run" / "run.json").read_text())["horizon"]))

    run = verbs.train(
        documents, out=tmp_path / "run", minutes=0.1, settings=tiny | {"training.patience": 0}, listen=listen
    )
    assert run.info["stop_reason"] == "complete"
    entries, config = entries_of(run.path), run.config()
    # on the disk before it took effect
    assert all(total == horizon[-1][1] for total, horizon in horizons)
    assert entries[-1]["step"] == run.info["horizon"][-1][1] == run.info["actual"]["steps"]
    peak = config.optimizer.learning_rate
    assert peak
    assert entries[-1]["learning_rate"] == pytest.approx(config.schedule.minimum * peak)
    assert run.info["horizon"][0][0] == 0
    assert config.training.minutes == 0.1


def test_a_finished_run_is_left_as_it_is(finished: Path, documents: Path, tiny: dict[str, Any]) -> None:
    before, notices = contents(finished), []
    verbs.train(documents, out=finished, steps=20, settings=tiny, listen=notices.append)
    assert contents(finished) == before
    assert any(isinstance(notice, Notice) and "finished" in notice.text for notice in notices)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"settings": {"optimizer.learning_rate": 0.5}},
            "optimizer.learning_rate is not set there, 0.5 here",
        ),
        ({"settings": {"model.layers": 3}}, "model.layers is 2 there, 3 here"),
        ({"settings": {"data.tokenizer": "bpe"}}, "data.tokenizer"),
        ({"steps": 30}, "training.steps is 20 there, 30 here"),
        ({"size": "tiny"}, "size is not set there, tiny here"),
    ],
    ids=["rate", "architecture", "tokenizer", "budget", "size"],
)
def test_other_settings_are_refused_and_named(
    finished: Path, documents: Path, tiny: dict[str, Any], changes: dict[str, Any], named: str
) -> None:
    before = contents(finished)
    arguments: dict[str, Any] = {"steps": 20, **changes, "settings": tiny | changes.get("settings", {})}
    with pytest.raises(UserError, match="another run") as error:
        verbs.train(documents, out=finished, **arguments)
    assert named in str(error.value)
    assert error.value.fix
    assert contents(finished) == before


def test_other_and_changed_documents_are_refused(
    finished: Path, documents: Path, tiny: dict[str, Any], tmp_path: Path
) -> None:
    before = contents(finished)
    with pytest.raises(UserError, match="its documents are"):
        verbs.train(documents / "text-00.txt", out=finished, steps=20, settings=tiny)
    extra = documents / "text-99.txt"
    extra.write_text("A late addition.\n")
    try:
        with pytest.raises(UserError, match="documents changed"):
            verbs.train(documents, out=finished, steps=20, settings=tiny)
    finally:
        extra.unlink()
    assert contents(finished) == before


def test_a_foreign_directory_is_refused_and_left_alone(documents: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        verbs.train(documents, out=tmp_path, steps=1)
    assert contents(tmp_path) == {"thesis.txt": b"mine"}


@pytest.mark.parametrize("end", ["killed", "killed at once", "failed"])
def test_a_run_that_never_finished_reading_can_be_begun_with_other_settings(
    documents: Path,
    tiny: dict[str, Any],
    tmp_path: Path,
    in_child: Callable[..., int],
    end: str,
) -> None:
    out = tmp_path / "run"
    if end == "killed":

        def killed(event: Event) -> None:
            if isinstance(event, Phase) and event.name == "tokenizing":
                os.kill(os.getpid(), signal.SIGKILL)

        assert in_child(lambda: verbs.train(documents, out=out, steps=2, settings=tiny, listen=killed)) == -9
    elif end == "killed at once":

        def before() -> None:
            def fsync(number: int) -> None:
                if stat.S_ISREG(os.fstat(number).st_mode):  # of run.json; the directory was before
                    os.kill(os.getpid(), signal.SIGKILL)

            os.fsync = fsync
            verbs.train(documents, out=out, steps=2, settings=tiny)

        assert in_child(before) == -9
        assert {path.suffix for path in out.iterdir() if not path.name.startswith(".lock")} == {".tmp"}
    else:
        blank = tmp_path / "blank.txt"
        blank.write_text(" \n")
        with pytest.raises(UserError):
            verbs.train(blank, out=out, steps=2, settings=tiny)
    run = verbs.train(documents / "text-01.txt", out=out, steps=3, settings=tiny | {"model.layers": 1})
    assert run.info["actual"]["steps"] == 3
    assert run.info["request"]["paths"] == [str((documents / "text-01.txt").resolve())]
    assert run.config().model.layers == 1
    assert [path.name for path in out.glob(".*preparing*")] == []


def test_two_kilobytes_train_with_notices(write_text: Callable[[int, int], str], tmp_path: Path) -> None:
    source, notices = tmp_path / "documents", []
    source.mkdir()
    (source / "short.txt").write_text(write_text(3, 12)[:2_000])
    run = verbs.train(
        source, out=tmp_path / "run", steps=4, size="tiny",
        listen=lambda event: notices.append(event.text) if isinstance(event, Notice) else None,
    )  # fmt: skip
    assert run.info["status"] == "finished"
    assert any("the corpus is small" in text for text in notices)
    assert any("blocks" in text for text in notices)
    entries = entries_of(run.path)
    assert entries[-1]["val_loss"] < entries[0]["val_loss"]


def test_text_too_short_to_hold_any_out_trains_without_validation(tiny: dict[str, Any], tmp_path: Path) -> None:
    source, notices = tmp_path / "words.txt", []
    source.write_text("Forty characters of text, hardly enough. " * 2)
    tiny.pop("model.context")
    run = verbs.train(
        source, out=tmp_path / "run", steps=2, settings=tiny,
        listen=lambda event: notices.append(event.text) if isinstance(event, Notice) else None,
    )  # fmt: skip
    assert any("no validation" in text for text in notices) == (run.info["corpus"]["validation_tokens"] == 0)
    assert run.info["status"] == "finished"


def test_nothing_held_out_trains_and_scores_nothing(documents: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    settings = tiny | {
        "data.validation": 0,
        "training.patience": 1,
        "data.tokenizer": "bpe",
        "data.vocab_size": 300,
    }
    run = verbs.train(documents, out=tmp_path / "run", steps=12, settings=settings)
    assert run.info["stop_reason"] == "complete"
    metrics = json.loads((run.path / "training_metrics.json").read_text())
    assert metrics["steps"][-1] == 12
    assert set(metrics["val_loss"]) == {None}
    assert run.info["final"]["validation"] is None
    assert (run.path / "best").resolve().name == "step-00000012"
    assert (run.path / "report.html").is_file()


def test_a_context_larger_than_the_corpus_is_refused_with_one_that_fits(documents: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.context = 4096 is more than") as error:
        verbs.train(documents / "text-00.txt", out=tmp_path / "run", steps=1, settings={"model.context": 4096})
    assert "model.context=" in error.value.fix


def test_a_folder_without_text_is_the_users_error(tmp_path: Path) -> None:
    source = tmp_path / "documents"
    source.mkdir()
    with pytest.raises(UserError, match="no text could be read"):
        verbs.train(source, out=tmp_path / "empty", steps=1)
    (source / "blank.txt").write_text(" \n\n")
    (source / "random.bin").write_bytes(bytes(np.random.default_rng(0).integers(0, 256, 5_000, dtype=np.uint8)))
    with pytest.raises(UserError, match="no text could be read") as error:
        verbs.train(source, out=tmp_path / "run", steps=1)
    assert "blank.txt" in str(error.value)


def test_missing_documents_are_refused_before_anything_is_made(documents: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean"):
        verbs.train(documents.with_name("documnets"), out=tmp_path / "run", steps=1)
    with pytest.raises(UserError, match="no documents"):
        verbs.train([], out=tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()


def test_a_run_inside_its_documents_folder_does_not_read_itself(
    documents: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "documents"
    source.mkdir()
    for number in range(3):
        shutil.copy(documents / f"text-0{number}.txt", source)
    monkeypatch.chdir(source)
    first = verbs.train(".", out="checkpoints", steps=2, settings=tiny)
    assert {Path(row["path"]).name for row in ledger(first.path) if row["status"] == "read"} == {
        f"text-0{n}.txt" for n in range(3)
    }
    # and is itself again: its own files are not changed documents
    before = contents(source / "checkpoints")
    verbs.train(".", out="checkpoints", steps=2, settings=tiny)
    assert contents(source / "checkpoints") == before
    second = verbs.train(".", out="others", steps=2, settings=tiny)
    assert second.info["corpus"]["fingerprint"] == first.info["corpus"]["fingerprint"]


def ledger(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "corpus" / "ledger.jsonl").read_text().splitlines()]


def test_losses_that_stay_not_finite_end_the_run_with_advice_and_a_good_best(
    corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundup.training import loop

    honest, calls = loop.loss_sums, [0]

    def broken(model: Any, inputs: Any, targets: Any) -> Any:
        calls[0] += 1
        nll, correct = honest(model, inputs, targets)
        return (nll * math.nan if calls[0] > 5 else nll), correct

    monkeypatch.setattr(loop, "loss_sums", broken)
    with pytest.raises(UserError, match="not finite") as error:
        verbs.train(corpus_dir, out=tmp_path / "run", steps=30, settings=tiny | {"training.max_bad_steps": 4})
    assert "learning_rate" in error.value.fix
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (info["status"], info["stop_reason"]) == ("finished", "not finite")
    assert verify(tmp_path / "run" / "best") == []
    monkeypatch.undo()
    assert math.isfinite(verbs.evaluate(tmp_path / "run")["loss"])


def test_an_absurd_rate_ends_in_advice_not_in_a_traceback(
    corpus_dir: Path, tiny: dict[str, Any], tmp_path: Path
) -> None:
    rates = {f"optimizer.{name}": 1e30 for name in ("learning_rate", "embedding_rate", "head_rate")}
    with pytest.raises(UserError, match="not finite"):
        verbs.train(corpus_dir, out=tmp_path / "run", steps=20, settings=tiny | rates)
    assert (tmp_path / "run" / "best").resolve().name == "step-00000000"


def test_special_tokens_spelled_in_documents_stay_text(documents: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    source = tmp_path / "special.txt"
    source.write_text((documents / "text-00.txt").read_text() + "<|endoftext|> is spelled here. " * 20)
    run = verbs.train(source, out=tmp_path / "run", steps=1, settings=tiny)
    info = run.info["corpus"]
    # one byte, one token: the spelling became 13 tokens
    assert info["train_tokens"] + info["validation_tokens"] == info["train_bytes"] + info["validation_bytes"]


def test_the_recorded_command_repeats_the_run(finished: Path, documents: Path) -> None:
    import shlex

    words = shlex.split(json.loads((finished / "run.json").read_text())["command"])
    assert words[:3] == ["groundup", "train", str(documents.resolve())]
    assert words[words.index("--steps") + 1] == "20"
    assert "model.layers=2" in words
    assert not any(word.startswith("schedule.") for word in words)
