"""`explain` on the command line and as a function: topics, what they need, what is refused; runs stay as they are."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import groundup
from groundup.cli import main
from groundup.cli.insight import explain as command
from groundup.errors import UserError
from groundup.verbs.explaining import TOPICS


def test_topics_are_listed_where_one_is_unknown_and_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError) as told:
        groundup.explain("magic")
    with pytest.raises(SystemExit):
        main(["explain", "--help"])
    helped = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert command.__doc__
    for name, topic in TOPICS.items():
        assert name in str(told.value)
        assert f"{name}: {topic.shows}" in helped


def test_a_topic_that_needs_a_run_says_how_to_give_one() -> None:
    for name in ("tokens", "loss", "memory", "cost"):
        with pytest.raises(UserError, match=f"groundup explain {name} RUN"):
            groundup.explain(name)


@pytest.mark.parametrize(
    ("topic", "option"), [("schedule", {"text": "a"}), ("cost", {"seed": 1}), ("cost", {"text": ""})]
)
def test_an_option_that_a_topic_has_no_use_of_is_refused(finished: Path, topic: str, option: dict[str, object]) -> None:
    with pytest.raises(UserError, match="no use of it"):
        groundup.explain(topic, finished, **option)  # pyright: ignore[reportArgumentType]


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["explain", "loss", str(tmp_path)])
    assert end.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_topic_explains_a_run_without_changing_it(finished: Path) -> None:
    before = digests(finished)
    for name in TOPICS:
        found = groundup.explain(name, finished)
        assert (found["topic"], found["run"]) == (name, str(finished))
        assert json.loads(json.dumps(found, allow_nan=False)) == found, name
    assert digests(finished) == before


def test_a_topic_is_explained_as_text_and_as_json(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ([], ["--json"]):
        main_exits(["explain", "loss", str(finished), "--text", "The old river.", *form])
    out = capsys.readouterr().out
    text, found = out[: out.index("{\n")], json.loads(out[out.index("{\n") :])
    assert found["text"] == "The old river."
    assert f"{found['mean']['loss']:.4f}" in text and "\x1b" not in text


@pytest.mark.parametrize("text", ["", "a\udc80"])
def test_a_text_that_is_none_is_refused_by_every_topic_that_takes_one(finished: Path, text: str) -> None:
    for topic in ("tokens", "loss", "forward", "attention", "sampling", "memory", "predictions", "embeddings"):
        with pytest.raises(UserError, match=r"the text is (empty|not Unicode)"):
            groundup.explain(topic, finished, text=text)


def main_exits(arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code


def test_a_checkpoint_outside_its_run_is_explained_as_far_as_it_goes(finished: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(finished / "step-00000020", alone)
    found = groundup.explain("loss", alone, text="The old river.")
    assert found["mean"]["tokens"] > 0 and found["baselines"] == {}
    with pytest.raises(UserError, match="outside its run"):
        groundup.explain("loss", alone)
