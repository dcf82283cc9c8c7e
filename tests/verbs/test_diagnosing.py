"""`diagnose` reads a run and changes nothing in it; `--try` says with its uncertainty whether a remedy helps."""

import hashlib
import json
import math
import shutil
import statistics
from pathlib import Path

import pytest

import groundup
from groundup import verbs
from groundup.errors import UserError
from groundup.reporting import describe_diagnosis, summarize
from groundup.reporting.diagnosis import trial_sentence
from groundup.verbs import finishing
from groundup.verbs.trials import compare_pairs


def content(path: Path) -> dict[str, str]:
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def slow_run(corpus_dir, tiny_settings, tmp_path_factory) -> Path:
    """60 steps at a rate a thousand times too low."""
    out = tmp_path_factory.mktemp("slow") / "run"
    settings = {"optimizer.name": "adamw", "optimizer.learning_rate": 5e-6, "model.layers": 1, "device.compile": "off"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finishing, "draw", lambda *_: None)
        verbs.train(corpus_dir, out=out, steps=60, settings={**tiny_settings, **settings})
    return out


def test_a_run_is_diagnosed_and_left_as_it_is(slow_run):
    before = content(slow_run)
    found = groundup.diagnose(slow_run)
    assert found["verdict"]["reading"] == "too slow" and found["steps"] == 60
    first = found["findings"][0]
    assert (first["rule"], first["severity"]) == ("not-falling", "severe")
    assert first["figures"]["last"] > 0.9 * first["figures"]["first"]
    json.dumps(found, allow_nan=False)
    text = describe_diagnosis(found, width=80)
    assert "Verdict: too slow" in text and "✗ not-falling (severe)" in text
    assert "--set optimizer.learning_rate=" in " ".join(text.split()) and f"groundup diagnose {slow_run} --try" in text
    assert all(len(line) <= 80 for line in text.splitlines() if str(slow_run) not in line)
    assert content(slow_run) == before


def test_what_the_end_of_the_run_found_is_in_its_summary_and_its_report(slow_run):
    info = json.loads((slow_run / "run.json").read_text())
    assert [row["rule"] for row in info["findings"]] == [row["rule"] for row in verbs.diagnose(slow_run)["findings"]]
    assert "Verdict: too slow" in summarize(slow_run)
    assert "Too slow" in (slow_run / "report.html").read_text()


def test_the_remedy_is_tried_in_pairs_and_helps(slow_run, tmp_path):
    before = content(slow_run)
    out = tmp_path / "trial"
    trial = verbs.diagnose(slow_run, trial=True, pairs=3, steps=40, out=out)["trial"]
    assert trial["tried"] and trial["helped"] is True and trial["steps"] == 40 and trial["from_step"] == 0
    assert trial["high"] < 0 and trial["difference"] < -0.5
    assert len({row["seed"] for row in trial["pairs"]}) == 3
    assert all(row["with"] < row["without"] for row in trial["pairs"])
    assert "it helps" in trial_sentence(trial)
    kept = [json.loads(line) for line in (out / "0-with" / "metrics.jsonl").read_text().splitlines()]
    assert kept[-1]["val_loss"] == trial["pairs"][0]["with"]
    first = [
        json.loads((out / f"0-{arm}" / "metrics.jsonl").read_text().splitlines()[0]) for arm in ("with", "without")
    ]
    assert first[0]["train_loss"] == first[1]["train_loss"], "both start from the same weights, on the same batch"
    assert content(slow_run) == before
    with pytest.raises(UserError, match="is not empty"):
        verbs.diagnose(slow_run, trial=True, out=out)


def test_a_run_that_was_thrown_off_is_tried_from_the_checkpoint_before(corpus_dir, tiny_settings, tmp_path):
    run = tmp_path / "run"
    settings = {"schedule.shape": "constant", "model.layers": 1, "device.compile": "off", "checkpoint.keep": 9}
    verbs.train(corpus_dir, out=run, steps=40, settings={**tiny_settings, **settings})
    thrown = {"training.steps": 80, "optimizer.learning_rate": 20.0, "optimizer.head_rate": 20.0}
    verbs.resume(run, settings=thrown)
    found = verbs.diagnose(run, trial=True, pairs=2, steps=20)
    assert found["findings"][0]["rule"] == "diverging"
    trial = found["trial"]
    assert 0 < trial["from_step"] <= found["findings"][0]["figures"]["last_good_step"]
    assert trial["steps"] == 20 and set(trial["settings"]) >= {"optimizer.learning_rate"}


def test_a_remedy_that_no_short_run_can_show_is_not_tried(slow_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(slow_run, run, symlinks=True)
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines[:2]))
    found = verbs.diagnose(run, trial=True)
    assert [row["rule"] for row in found["findings"]] == ["too-short"]
    assert not found["trial"]["tried"] and "not done" in describe_diagnosis(found)
    (run / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="no figures yet"):
        verbs.diagnose(run)


def test_what_a_run_has_no_more_is_told_and_not_taken_for_health(slow_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(slow_run, run, symlinks=True)
    assert verbs.diagnose(run)["notes"] == []
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"corpus": info["corpus"] | {"fingerprint": "of another"}}))
    (note,) = verbs.diagnose(run)["notes"]
    assert "copied-validation" in note
    (run / "run.json").write_text(json.dumps(info))
    (run / "corpus" / "reference.json").unlink()
    assert verbs.diagnose(run)["notes"] == [note]
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[10:]))
    found = verbs.diagnose(run)
    assert "not-falling" not in {row["rule"] for row in found["findings"]}
    assert "figures begin at step 20" in found["notes"][1]
    shown = " ".join(describe_diagnosis(found).split())
    assert all(text in shown for text in found["notes"])


def test_losses_of_another_corpus_are_not_compared_with_those_before(slow_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(slow_run, run, symlinks=True)
    info = json.loads((run / "run.json").read_text())
    info["changes"] = [{"step": 30, "key": "corpus", "before": None, "now": "other texts"}]
    (run / "run.json").write_text(json.dumps(info))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in lines:
        row["train_loss"] += 3.0 * (row["step"] > 30)  # harder texts
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    assert not {"diverging", "not-falling"} & {row["rule"] for row in verbs.diagnose(run)["findings"]}
    info["changes"] = []
    (run / "run.json").write_text(json.dumps(info))
    assert "diverging" in {row["rule"] for row in verbs.diagnose(run)["findings"]}


def test_an_interval_is_that_of_students_t():
    pairs = [(3.0, 2.9), (3.2, 3.0), (3.1, 2.95), (3.3, 3.25)]
    differences = [after - before for before, after in pairs]
    result = compare_pairs(pairs)
    half = 3.182446 * statistics.stdev(differences) / math.sqrt(4)  # the 97.5% quantile with 3 degrees of freedom
    assert result["difference"] == pytest.approx(statistics.fmean(differences))
    assert result["low"] == pytest.approx(result["difference"] - half, rel=1e-3)
    assert result["high"] == pytest.approx(result["difference"] + half, rel=1e-3)
    assert result["helped"] is True
    assert compare_pairs([(a, b) for b, a in pairs])["helped"] is False
    assert compare_pairs([(3.0, 2.9), (3.0, 3.1)])["helped"] is None


def test_runs_that_are_lost_decide_where_all_are_on_one_side():
    assert compare_pairs([(None, 3.0), (None, 3.1)])["helped"] is True
    assert compare_pairs([(3.0, None), (3.0, None)])["helped"] is False
    assert compare_pairs([(None, 3.0), (3.0, 2.0)])["helped"] is None
    assert compare_pairs([(None, None), (3.0, 2.0)])["helped"] is None
    lost = {"pairs": [0, 0], **compare_pairs([(None, 3.0), (None, 3.1)])}
    assert "2 of 2 runs without it, 0 of 2 with it: it helps" in trial_sentence(lost)


def test_the_command_prints_text_or_json(slow_run, command):
    shown = command("diagnose", slow_run, "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["verdict"]["reading"] == "too slow"
    wrong = command("diagnose", slow_run / "nothing")
    assert wrong.returncode == 2 and "no such run directory" in wrong.stderr
