import json
import shutil
from pathlib import Path

import pytest

from groundup.config import dump_config, load_config
from groundup.errors import UserError
from groundup.runs import Run, find_checkpoint, link_best, publish


def write_model(directory: Path) -> None:
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(b"weights")


@pytest.fixture
def run(tmp_path) -> Run:
    run = Run(tmp_path / "run")
    run.path.mkdir()
    run.update(status="training")
    return run


def test_facts_survive_closing_and_opening(run):
    run.update(status="finished", note="é\n", best={"step": 5, "val_loss": 1 / 3})
    run.update(stop_reason="complete")
    again = Run.open(run.path)
    assert again.info == {
        "version": 1,
        "status": "finished",
        "note": "é\n",
        "best": {"step": 5, "val_loss": 1 / 3},
        "stop_reason": "complete",
    }


def test_numbers_that_json_does_not_know_leave_the_file_intact(run):
    with pytest.raises(ValueError):
        run.update(loss=float("inf"))
    assert Run.open(run.path).info["status"] == "training"


@pytest.mark.parametrize("content", ["", "[]", '{"version": 2}', "{}", '{"version": "1"}'])
def test_a_damaged_or_unknown_run_json_is_named(run, content):
    (run.path / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json"):
        Run.open(run.path)


def test_what_is_no_run_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError) as caught:
            Run.open(path)
        assert caught.value.where == str(path) and caught.value.fix


def test_the_configuration_of_a_run_is_read_from_its_folder(run):
    (run.path / "config.toml").write_text(dump_config(load_config(None, {"model.layers": 7})))
    assert run.config().model.layers == 7


def test_the_corpus_is_inside_the_run_or_where_it_refers_to(run, tmp_path):
    assert run.corpus == run.path / "corpus"
    (run.path / "corpus").mkdir()
    (run.path / "corpus" / "reference.json").write_text(json.dumps({"path": str(tmp_path / "shared")}))
    assert run.corpus == tmp_path / "shared"


def test_the_best_checkpoint_is_used_else_the_newest(run):
    for step in (0, 5, 10):
        publish(run.path, step, write_model)
    assert find_checkpoint(run.path).name == "step-00000010"
    link_best(run.path, run.path / "step-00000005")
    assert find_checkpoint(run.path).name == "step-00000005"
    shutil.rmtree(run.path / "step-00000005")
    assert find_checkpoint(run.path).name == "step-00000010"


def test_a_checkpoint_may_be_given_itself(run):
    path = publish(run.path, 5, write_model)
    link_best(run.path, path)
    assert find_checkpoint(path) == path
    assert find_checkpoint(run.path / "best").resolve() == path.resolve()


def test_a_model_directory_without_manifest_is_taken_as_it_is(tmp_path):
    write_model(tmp_path)
    assert find_checkpoint(tmp_path) == tmp_path


def test_a_damaged_checkpoint_is_refused_by_name(run):
    path = publish(run.path, 5, write_model)
    link_best(run.path, path)
    (path / "model.safetensors").write_bytes(b"weightz")
    for given in (run.path, path):
        with pytest.raises(UserError, match=r"damaged: .*model\.safetensors"):
            find_checkpoint(given)


def test_a_run_without_checkpoint_says_how_to_go_on(run):
    with pytest.raises(UserError, match="no checkpoint yet") as caught:
        find_checkpoint(run.path)
    assert f"groundup resume {run.path}" in caught.value.fix
