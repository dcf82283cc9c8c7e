"""The command line: exit codes, messages without tracebacks, and what goes to which stream."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import groundup
from groundup import verbs
from groundup.cli import main
from groundup.inference import SamplingSettings

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `groundup` in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code: Any = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def sets(tiny: dict[str, Any]) -> list[str]:
    return [word for key, value in tiny.items() for word in ("--set", f"{key}={value}")]


def test_help_lists_every_verb_and_each_has_its_own(cli: Cli) -> None:
    code, out, _ = cli("--help")
    assert code == 0
    for verb in groundup.__all__:
        assert f" {verb} " in out
        code, help_text, err = cli(verb, "--help")
        assert (code, err) == (0, "")
        assert f"groundup {verb}" in help_text
    assert cli("--version")[:2] == (0, f"{groundup.__version__}\n")


def test_help_and_import_load_nothing_heavy() -> None:
    script = (
        "import sys, groundup\n"
        "from groundup.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'transformers', 'tokenizers'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_train_prints_a_summary_or_json(corpus_dir: Path, sets: list[str], tmp_path: Path, cli: Cli) -> None:
    code, out, _ = cli("train", corpus_dir, "--out", tmp_path / "run", "--steps", 2, *sets, "--json")
    info = json.loads(out)
    assert code == 0
    assert (info["status"], info["actual"]["steps"], info["run"]) == ("finished", 2, str(tmp_path / "run"))
    code, out, _ = cli("train", corpus_dir, "--out", tmp_path / "run", "--steps", 2, *sets)
    assert code == 0
    assert str(tmp_path / "run") in " ".join(out.split())
    assert json.loads(cli("resume", tmp_path / "run", "--json")[1])["status"] == "finished"


def test_tokenize_prints_tokens_above_ids_or_json(finished: Path, cli: Cli) -> None:
    code, out, err = cli("tokenize", finished, "the <|endoftext|> é\n", "--json")
    found = json.loads(out)
    assert (code, err, "".join(found["tokens"]).startswith("the <|endoftext|> "), found["round_trip"]) == (
        0,
        "",
        True,
        True,
    )
    code, out, _ = cli("tokenize", finished, "the <|endoftext|> é\n")
    assert code == 0 and "\x1b" not in out
    assert out.splitlines()[1].split() == [str(index) for index in found["ids"]]
    assert cli("tokenize", finished, "a", "--file", "b")[0] == 2


def test_what_is_not_read_on_a_terminal_is_80_columns_wide(
    finished: Path, corpus_dir: Path, sets: list[str], cli: Cli
) -> None:
    for arguments in (("tokenize", finished, "many words of text " * 9), ("plan", corpus_dir, "--steps", 2, *sets)):
        code, out, _ = cli(*arguments)
        assert code == 0 and max(map(len, out.splitlines())) in range(60, 81)


def test_evaluate_prints_an_object_with_the_promised_keys(finished: Path, documents: Path, cli: Cli) -> None:
    code, out, _ = cli("evaluate", finished, "--json")
    scores = json.loads(out)
    assert code == 0
    assert {"loss", "perplexity", "accuracy", "bits_per_byte", "tokens", "bytes", "baselines"} <= set(scores)
    assert scores["loss"] == verbs.evaluate(finished)["loss"]
    code, out, _ = cli("evaluate", finished, documents / "text-00.txt")
    assert code == 0
    assert "bits per byte" in out


def test_generate_writes_the_text_and_nothing_else(finished: Path, cli: Cli) -> None:
    settings = SamplingSettings(max_new_tokens=12, seed=3)
    expected = verbs.generate(finished, ["The old"], settings)[0].text
    words = ["generate", finished, "--prompt", "The old", "--max-new-tokens", 12, "--seed", 3]
    assert cli(*words) == (0, expected + "\n", "")
    assert cli(*words, "--no-cache") == (0, expected + "\n", "")
    rows = json.loads(cli(*words, "--json")[1])
    assert [(row["prompt"], row["text"]) for row in rows] == [("The old", expected)]
    code, out, _ = cli(*words, "--prompt", "A river", "--n", 2)
    assert code == 0
    several = verbs.generate(finished, ["The old", "A river"], settings, n=2)
    assert out == "\n---\n".join(text.text for text in several) + "\n"


def test_plan_prepare_read_report_and_compare(
    documents: Path, corpus_dir: Path, sets: list[str], finished: Path, tmp_path: Path, cli: Cli
) -> None:
    code, out, _ = cli("plan", corpus_dir, "--steps", 5, *sets, "--json")
    assert code == 0
    assert json.loads(out)["plan"]["steps"] == 5
    assert "model.heads" in cli("plan", corpus_dir, "--steps", 5, *sets)[1]

    code, out, _ = cli("prepare", documents, "--out", tmp_path / "corpus")
    assert code == 0
    assert f"groundup train {tmp_path / 'corpus'}" in out

    text = documents / "text-00.txt"
    assert cli("read", text)[1] == text.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in cli("read", text, "--json")[1].splitlines()]
    assert rows[0]["text"] == text.read_text(encoding="utf-8")
    assert rows[1]["status"] == "read"

    run = shutil.copytree(finished, tmp_path / "run", symlinks=True)
    code, out, _ = cli("report", run)
    assert code == 0
    assert "finished" in out
    code, out, _ = cli("compare", finished, run, "--out", tmp_path / "curves.png", "--json")
    assert code == 0
    assert json.loads(out)["picture"] == str(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian", "DOCS"], "train"),
        (["train", "DOCS", "--stpes", "3"], "--steps"),
        (["train", "DOCS", "--steps", "many"], "steps"),
        (["train", "DOCS", "--steps", "0"], "training.steps = 0"),
        (["train", "DOCS", "--steps", "3", "--minutes", "1"], "training.minutes and training.steps are both set"),
        (["train", "DOCS", "--set", "model.layer=3"], "did you mean model.layers?"),
        (["train", "DOCS", "--set", "model.layers"], "no value"),
        (["train", "DOCS", "--set", "model.layers=three"], "model.layers = 'three'"),
        (["train", "DOCS", "--set", "optimizer.learning_rate=nan"], "optimizer.learning_rate"),
        (["train", "DOCS", "--size", "huge"], "size = 'huge'"),
        (["train", "DOCS", "--arch", "rnn"], "model.arch = 'rnn'"),
        (["train", "DOCS", "--config", "HERE/missing.toml"], "no such configuration file"),
        (["train", "DOCS", "--config", "HERE/bad.toml"], "bad.toml:2"),
        (["train", "HERE/nowhere"], "nowhere"),
        (["train"], "paths"),
        (["train", "HERE/blank.txt", "--out", "HERE/blank-run", "--steps", "1"], "no text could be read"),
        (["train", "DOCS", "--out", "HERE", "--steps", "1"], "is not empty"),
        (["resume", "HERE/nowhere"], "no such run directory"),
        (["plan", "HERE/nowhere"], "nowhere"),
        (["prepare", "DOCS"], "--out"),
        (["read", "HERE/missing.txt"], "missing.txt"),
        (["evaluate", "HERE/nowhere"], "no such run directory"),
        (["evaluate", "RUN", "HERE/missing.txt"], "missing.txt"),
        (["generate", "HERE"], "is not a run directory"),
        (["generate", "RUN", "--temperature", "-1"], "temperature"),
        (["generate", "RUN", "--max-new-tokens", "-5"], "max_new_tokens"),
        (["generate", "RUN", "--n", "0"], "n: is 0"),
        (["report", "HERE/nowhere"], "no such run directory"),
        (["compare", "RUN"], "two different runs"),
        (["compare", "RUN", "RUN"], "two different runs"),
        (["chat", "HERE/nowhere"], "no such run directory"),
        (["read", "HERE/blank.txt"], "no text could be read"),
        (["prepare", "DOCS", "--out", "HERE/c", "--duplicates", "-1"], "--duplicates"),
        (["prepare", "DOCS", "--out", "HERE/c", "--tasks", "0"], "--tasks"),
        (["benchmark", "train", "--shape", "z"], "unknown shape 'z'"),
        (["benchmark", "train", "--contestants", "gpt9"], "unknown contestant 'gpt9'"),
        (["benchmark", "train", "--out", "HERE/none/x.json"], "folder does not exist"),
        (["benchmark", "sleep"], "sleep"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_users_errors_exit_with_2_and_a_message(
    documents: Path,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cli: Cli,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "bad.toml").write_text("[model]\nlayers = 0\n")
    places = {"DOCS": documents, "HERE": tmp_path, "RUN": finished}
    for name, place in places.items():
        words = [word.replace(name, str(place)) for word in words]
    code, out, err = cli(*words)
    assert code == 2
    assert out == ""
    assert said in err
    assert "groundup: " in err
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, write_text: Callable[[int, int], str]) -> None:
    (tmp_path / "long.txt").write_text(write_text(0, 1_500))
    assert (tmp_path / "long.txt").stat().st_size > 200_000  # more than a pipe holds
    groundup_read = [sys.executable, "-m", "groundup", "read", str(tmp_path / "long.txt")]
    process = subprocess.Popen(groundup_read, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    assert process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(60) == 0
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


@pytest.mark.parametrize(("words", "decided"), [(["--deterministic"], True), (["--no-deterministic"], False)])
def test_deterministic_kernels_can_be_asked_for_by_name(
    corpus_dir: Path, sets: list[str], tmp_path: Path, cli: Cli, words: list[str], decided: bool
) -> None:
    code, out, err = cli("train", corpus_dir, "--out", tmp_path / "run", "--steps", 1, *sets, *words, "--json")
    assert code == 0, err
    info = json.loads(out)
    assert info["compute"]["deterministic"] is decided
    assert f"device.deterministic={str(decided).lower()}" in info["command"]
