"""`scaling`: a real data curve on a small corpus, what a kill leaves of it, and what is refused."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup import verbs
from groundup.corpus import Corpus
from groundup.errors import Stopped, UserError
from groundup.events import Event, Phase, Progress
from groundup.insight.scaling import ScalingFit, fit_scaling
from groundup.reporting import describe_scaling
from groundup.runs import read_journal
from groundup.training import loop
from groundup.verbs import data_curve, data_points
from groundup.verbs.data_points import CHAIN_SHARE, Points, shares_of_time

How = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def small() -> Any:
    """Four parts of a few thousand tokens, and one run of 40 steps on each."""
    changed = {(data_curve, "FEWEST_TOKENS"): 2500, (data_points, "FIRST_STEPS"): 40}
    changed |= {(data_points, "FIRST_EPOCHS"): 1, (data_points, "PAST"): 1.0, (data_points, "SHORTEST"): 1000}
    before = {place: getattr(*place) for place in changed}
    for place, value in changed.items():
        setattr(*place, value)
    yield
    for place, value in before.items():
        setattr(*place, value)


@pytest.fixture(scope="module")
def how() -> How:
    settings = {
        "model.layers": 1,
        "model.width": 32,
        "model.context": 32,
        "training.tokens_per_update": 256,
        "device.precision": "float32",
        "samples.max_new_tokens": 1,
    }
    return {"minutes": 30, "seeds": 1, "settings": settings}


@pytest.fixture(scope="module")
def curve(corpus_dir: Path, how: How, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A curve that nothing stopped."""
    out = tmp_path_factory.mktemp("curve") / "out"
    return out, verbs.scaling(corpus_dir, out=out, **how)


def finished(out: Path) -> list[dict[str, Any]]:
    """The rows of the runs, without what a clock says."""
    rows = [row for row in read_journal(out / "points.jsonl") if row["event"] == "finished"]
    return [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in rows]


def test_a_small_corpus_gives_points_a_fit_and_says_what_is_left_out(
    curve: tuple[Path, dict[str, Any]], corpus_dir: Path
) -> None:
    out, result = curve
    assert json.loads((out / "scaling.json").read_text()) == result
    assert (out / "scaling.png").read_bytes().startswith(b"\x89PNG")
    assert [row["share"] for row in result["points"]] == ["1/8", "1/4", "1/2", "all"]
    assert [row["share"] for row in result["left_out"]] == ["1/32", "1/16"]
    assert all("fewer than 2,500" in row["why"] for row in result["left_out"])
    assert any(note.startswith("1/32 is left out") for note in result["notes"])
    bits = [row["bits_per_byte"] for row in result["points"]]
    whole = Corpus(corpus_dir)
    assert result["points"][-1]["bytes"] == whole.manifest["train_bytes"]
    fit = fit_scaling([row["bytes"] for row in result["points"]], bits, whole=result["corpus"]["train_bytes"])
    assert (result["no_fit"] or result["fit"]) == (fit.to_json() if isinstance(fit, ScalingFit) else fit)


def test_every_point_is_a_run_on_a_nested_part_with_the_same_held_out_text(
    curve: tuple[Path, dict[str, Any]], corpus_dir: Path
) -> None:
    out, result = curve
    whole, before = Corpus(corpus_dir), set[bytes]()
    for row in result["runs"]:
        run = json.loads((out / row["run"] / "run.json").read_text())
        assert run["status"] == "finished"
        assert row["bits_per_byte"] == run["final"]["validation"]["bits_per_byte"]
        assert run["final"]["validation"]["bytes"] == whole.manifest["validation_bytes"]
        assert row["parameters"] == result["parameters"]
        part = Corpus(Path(json.loads((out / row["run"] / "corpus" / "reference.json").read_text())["path"]))
        documents = {part.train.document(n).tobytes() for n in range(len(part.train.document_ends))}
        assert before < documents
        before = documents


def test_the_same_call_again_does_nothing_and_another_is_refused(
    curve: tuple[Path, dict[str, Any]], corpus_dir: Path, documents: Path, how: How
) -> None:
    out, result = curve
    before = (out / "points.jsonl").read_bytes()
    again = verbs.scaling(corpus_dir, out=out, **{**how, "minutes": 40})
    assert again == result and (out / "points.jsonl").read_bytes() == before
    with pytest.raises(UserError, match=r"another data curve: model\.width is 32 there, 64 here"):
        verbs.scaling(corpus_dir, out=out, **{**how, "settings": how["settings"] | {"model.width": 64}})
    with pytest.raises(UserError, match="another data curve: its documents are"):
        verbs.scaling(documents, out=out, **how)


def test_killed_and_stopped_it_comes_to_the_same_points(
    curve: tuple[Path, dict[str, Any]], corpus_dir: Path, how: How, tmp_path: Path, in_child: Callable[..., int]
) -> None:
    out = tmp_path / "out"

    def at(run: int, number: int) -> Callable[[Event], None]:
        seen = 0

        def listen(event: Event) -> None:
            nonlocal seen
            seen += isinstance(event, Phase) and "steps" in event.name
            if seen == run and isinstance(event, Progress) and event.done == 5:
                os.kill(os.getpid(), number)

        return listen

    assert in_child(lambda: verbs.scaling(corpus_dir, out=out, **how, listen=at(2, signal.SIGKILL))) == -9
    assert len(finished(out)) == 1
    with pytest.raises(Stopped, match="stopped by SIGTERM") as stopped:
        verbs.scaling(corpus_dir, out=out, **how, listen=at(2, signal.SIGTERM))
    assert "run the same command again" in str(stopped.value)
    assert len(finished(out)) == 2
    result = verbs.scaling(corpus_dir, out=out, **how)
    assert finished(out) == finished(curve[0])
    assert result["points"] == curve[1]["points"] and result["fit"] == curve[1]["fit"]


def test_a_run_that_diverges_is_no_point_and_the_others_go_on(
    corpus_dir: Path, how: How, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, honest, now = tmp_path / "out", loop.loss_sums, [""]

    def listen(event: Event) -> None:
        if isinstance(event, Phase) and "steps" in event.name:
            now[:] = [event.name]

    def broken(*arguments: Any) -> Any:
        nll, correct = honest(*arguments)
        return (nll * float("nan") if now[0].startswith("1/4") else nll), correct

    monkeypatch.setattr(loop, "loss_sums", broken)
    result = verbs.scaling(corpus_dir, out=out, **how, listen=listen)
    (lost,) = result["diverged"]
    assert (lost["share"], lost["ended"]) == ("1/4", "not finite")
    assert [row["share"] for row in result["points"]] == ["1/8", "1/2", "all"]
    assert "1/4" not in {row["share"] for row in result["runs"]} and result["no_fit"]
    assert any("diverged after step" in note and note.startswith("1/4") for note in result["notes"])
    assert "diverged" in describe_scaling(result)
    # what a command left that was killed before it wrote of such a run
    rows = (out / "points.jsonl").read_text().splitlines(keepends=True)
    (out / "points.jsonl").write_text("".join(row for row in rows if '"not finite"' not in row))
    again = verbs.scaling(corpus_dir, out=out, **how, listen=listen)
    assert again["points"] == result["points"] and [row["share"] for row in again["diverged"]] == ["1/4"]


class Scripted(Points):
    """Points whose runs are not trained: their losses and best steps are given, by steps."""

    def __init__(self, runs: dict[int, tuple[float, float | None]]) -> None:
        self.runs, self.deadline = runs, float("inf")

    def run(self, part: Any, steps: int, *, until: float | None = None) -> dict[str, Any] | None:
        if steps not in self.runs:
            return None
        bits, best = self.runs[steps]
        ended = "steps" if best else "not finite"
        return {"steps": steps, "bits_per_byte": bits, "best_step": (best or 0) * steps, "ended": ended}


@pytest.mark.parametrize(
    ("runs", "tried", "at_best"),
    [
        ({100: (2.0, 1.0), 200: (1.8, 1.0), 400: (1.7, 0.5), 800: (1, 1)}, [100, 200, 400], True),  # past its best
        ({100: (2.0, 1.0), 200: (1.8, 1.0), 400: (1.799, 1.0), 800: (1, 1)}, [100, 200, 400], True),  # gains nothing
        ({100: (2.0, 1.0), 200: (2.1, 1.0), 400: (1, 1)}, [100, 200], True),  # more dropout than it bears
        ({100: (2.0, 1.0), 200: (1.8, 1.0)}, [100, 200], False),  # no time for 400
        ({100: (2.0, 0.3), 50: (1.9, 0.6), 25: (2.2, 1.0), 12: (1, 1)}, [100, 50, 25], True),  # shorter is better
        ({100: (2.0, 0.3), 50: (1.9, 0.6)}, [100, 50], False),  # no time for 25, which may be better
        ({100: (2.0, 1.0), 200: (1.0, None), 400: (1, 1)}, [100, 200], False),  # diverged: nothing is known of longer
        ({100: (2.0, None), 50: (1, 1), 200: (1, 1)}, [100], False),
        ({}, [], False),
    ],
)
def test_the_length_is_looked_for_until_no_other_is_better(
    runs: dict[int, tuple[float, float | None]], tried: list[int], at_best: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_points, "PAST", 0.8)
    monkeypatch.setattr(data_points, "SHORTEST", 10)
    part: Any = None
    rows, found = Scripted(runs).search(part, 100, 1.0)
    assert [row["steps"] for row in rows] == tried and found is at_best


def test_the_time_is_shared_out_by_size_and_some_of_it_is_left_for_other_seeds() -> None:
    shares, left = shares_of_time([1 / 8, 1 / 4, 1 / 2, 1]), 1.0
    taken = []
    for share in shares:
        taken.append(left * share)
        left -= taken[-1]
    assert taken == sorted(taken) and left == pytest.approx(1 - CHAIN_SHARE)


def test_without_time_it_says_so_and_more_minutes_go_on(corpus_dir: Path, how: How, tmp_path: Path) -> None:
    out = tmp_path / "out"
    short = verbs.scaling(corpus_dir, out=out, **{**how, "minutes": 0.0001})
    assert short["points"] == [] and short["fit"] is None
    assert any("more --minutes" in note for note in short["notes"])
    assert "no fit" in describe_scaling(short)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"settings": {"training.steps": 5}}, "chosen for each part"),
        ({"settings": {"data.validation": 0}}, "nothing is held out"),
        ({"seeds": 0}, "0 seeds"),
    ],
)
def test_what_cannot_be_is_refused(
    documents: Path, tmp_path: Path, how: How, change: dict[str, Any], match: str
) -> None:
    with pytest.raises(UserError, match=match):
        verbs.scaling(documents, out=tmp_path / "out", **{**how, **change})


def test_a_directory_of_something_else_and_a_text_too_short_are_refused(tmp_path: Path, how: How) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader, this is all there is to read here.\n" * 3)
    with pytest.raises(UserError, match="holds no data curve"):
        verbs.scaling(tmp_path / "letter.txt", out=tmp_path, **how)
    with pytest.raises(UserError, match="training text has only"):
        verbs.scaling(tmp_path / "letter.txt", out=tmp_path / "out", **how)
