import json
import re

from groundup.reporting import describe_curve, summarize
from groundup.reporting.page import render_page
from groundup.reporting.run_files import read_run
from groundup.reporting.summary import summary


def test_the_summary_has_every_figure_of_the_run(finished):
    text = summarize(finished)
    run = json.loads((finished / "run.json").read_text())
    expected = [
        "steps 6,000", "parameters 5,243,136", "tokens 49,152,000", "all 6,000 steps are done",
        "Verdict: healthy", "training loss fell from 8.32 to 2.55", "nothing to repair",
        str(finished / run["best"]["checkpoint"]),
        f"{run['best']['val_loss']:.3f} at step {run['best']['step']:,}",
        f"{run['initial']['train_loss']:.3f}", f"{run['initial']['val_loss']:.3f}",
        f"{run['final']['train_loss']:.3f}",
        f"bits per byte {run['final']['validation']['bits_per_byte']:.3f}", "1,804,212 held-out tokens",
        "26.5", "28.1", "1.45 GB", "1.39 GB", "30,412",
        "' Paris' 61%", "'ę' 0.04%", "The river │ froze early that winter.",
        f'groundup generate {finished} --prompt "', f"groundup chat {finished}",
        f"groundup evaluate {finished}",
        str(finished / "training_metrics.json"), "⠤⠤ training",
    ]  # fmt: skip
    words = " ".join(text.split())
    for part in expected:
        assert part in text or part in words, part
    assert "\x1b" not in text


def test_a_validation_loss_says_of_how_much_text_it_is(own_run):
    final = json.loads((own_run / "run.json").read_text())["final"]["validation"]
    whole = f"of all 1,804,212 held-out tokens: loss {final['loss']:.3f}, perplexity {final['perplexity']:.1f}"
    sampled = "validation while training: of a sample of about 768,000 of the 1,804,212 held-out tokens"
    for tokens, said in ((768_000, True), (1_804_212, False), (0, False)):
        (own_run / "config.toml").write_text(f"[evaluation]\ntokens = {tokens}\n")
        words = " ".join(summarize(own_run).split())
        assert whole in words and (sampled in words) == said
        assert "Against the baselines on the same tokens" in words
        page = render_page(read_run(own_run))
        assert (sampled[1:] in page) == said
        assert ("of a sample of the held-out text" in describe_curve(own_run)) == said


def test_a_final_score_of_a_part_of_the_held_out_text_says_so(own_run):
    run = json.loads((own_run / "run.json").read_text())
    run["corpus"]["validation_tokens"] = 3_200_000
    (own_run / "run.json").write_text(json.dumps(run))
    text = summarize(own_run)
    assert "of 1,804,212 of the 3,200,000 held-out tokens: loss" in text and "of all" not in text


def test_the_baselines_stand_above_the_model_from_weak_to_strong(finished):
    table = summarize(finished).split("Against the baselines")[1].split("\n\n")[0]
    rows = re.findall(r"^  (uniform|unigram|gzip|bigram|5-gram|this model) +(\d\.\d+)", table, re.MULTILINE)
    assert [name for name, _ in rows] == ["uniform", "unigram", "gzip", "bigram", "5-gram", "this model"]
    bits = [float(value) for _, value in rows]
    assert bits == sorted(bits, reverse=True)


def test_the_rich_summary_says_the_same(finished):
    plain = "\n".join(part.plain.rstrip() for part in summary(finished).renderables) + "\n"
    assert plain == summarize(finished)


def test_an_empty_directory_still_has_a_summary(tmp_path):
    text = summarize(tmp_path)
    assert "unknown state" in text and "groundup chat" in text
    assert "Verdict" not in text and "Loss" not in text


def test_without_a_stored_verdict_the_curve_is_read(own_run):
    run = json.loads((own_run / "run.json").read_text())
    del run["verdict"]
    (own_run / "run.json").write_text(json.dumps(run))
    assert "Verdict: healthy" in summarize(own_run)


def test_a_run_path_with_spaces_is_quoted_for_the_shell(own_run):
    moved = own_run.rename(own_run.parent / "my run")
    assert f"groundup chat '{moved}'" in summarize(moved)


def test_hostile_text_cannot_steer_the_terminal(finished):
    assert all(character.isprintable() or character == "\n" for character in summarize(finished))


def test_at_80_columns_nothing_of_our_own_wraps_and_no_word_is_cut(own_run):
    run = json.loads((own_run / "run.json").read_text())
    evidence = "the validation loss stayed below the loss of the training set for every evaluation of this run so far"
    run["verdict"] |= {"evidence": evidence, "advice": "follow the instructions below " * 6}
    (own_run / "run.json").write_text(json.dumps(run))
    text = summarize(own_run, 80)
    best = next(line for line in text.splitlines() if "best checkpoint" in line)
    free = (
        text.split("Plan and actual")[0].split("\n", 1)[1].replace(best, "")
    )  # paths in the tables are as long as they are
    assert max(map(len, free.splitlines())) <= 80
    words = " ".join(text.split())
    assert evidence in words and "follow the instructions below " * 5 in words


def test_the_width_is_the_terminals_where_there_is_one(finished, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    assert summarize(finished) == summarize(finished, 80)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert summarize(finished) == summarize(finished, 50) != summarize(finished, 80)
