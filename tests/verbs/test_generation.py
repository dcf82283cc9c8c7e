"""`generate`: the best checkpoint writes; what is no checkpoint is refused, and never executed."""

import pickle
import shutil
from pathlib import Path

import pytest

from groundup import verbs
from groundup.errors import UserError
from groundup.inference import Precision, SamplingSettings

SHORT = SamplingSettings(max_new_tokens=12, seed=5)


def test_the_same_seed_gives_the_same_text_and_another_another(finished: Path) -> None:
    texts = [verbs.generate(finished, ["The old"], SHORT)[0].text for _ in range(2)]
    assert texts[0] == texts[1]
    other = verbs.generate(finished, ["The old"], SamplingSettings(max_new_tokens=12, seed=6))
    assert other[0].text != texts[0]


def test_a_run_stands_for_its_best_checkpoint(finished: Path) -> None:
    best = (finished / "best").resolve()
    text = verbs.generate(finished, ["The old"], SHORT)
    assert verbs.generate(best, ["The old"], SHORT) == text
    assert verbs.generate(finished / "best", ["The old"], SHORT) == text
    assert verbs.generate(finished / "step-00000000", ["The old"], SHORT) != text


def test_streamed_pieces_make_up_the_texts(finished: Path) -> None:
    pieces: dict[int, str] = {}

    def listen(index: int, piece: str) -> None:
        pieces[index] = pieces.get(index, "") + piece

    prompts = ["The old", "", "Q: Is the river old?\nA:"]
    streamed = verbs.generate(finished, prompts, SHORT, n=2, on_text=listen)
    assert len(streamed) == 6
    assert [pieces.get(index, "") for index in range(6)] == [text.text for text in streamed]
    assert streamed == verbs.generate(finished, prompts, SHORT, n=2)
    assert streamed == verbs.generate(finished, prompts, SHORT, n=2, use_cache=False)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_fewer_bits_write_too_and_another_number_is_refused(finished: Path, precision: Precision) -> None:
    settings = SamplingSettings(max_new_tokens=80, temperature=0)
    text = verbs.generate(finished, ["The old"], settings, precision=precision)
    assert len(text[0].token_ids) > 0
    assert verbs.generate(finished, ["The old"], settings, precision=precision) == text
    with pytest.raises(UserError, match="precision: is 'int4'"):
        verbs.generate(finished, ["The old"], settings, precision="int4")  # pyright: ignore[reportArgumentType]


def test_without_a_checkpoint_there_is_nothing_to_write_with(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run"):
        verbs.generate(tmp_path / "nowhere", [""], SHORT)
    shutil.copy(finished / "run.json", tmp_path)
    with pytest.raises(UserError, match="no checkpoint yet") as error:
        verbs.generate(tmp_path, [""], SHORT)
    assert "groundup resume" in error.value.fix


class Bomb:
    """Unpickling it makes the file that `trace` names."""

    trace = ""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path(self.trace),))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pickle_offered_as_a_checkpoint_is_refused_and_not_executed(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    checkpoint = Path(shutil.copytree(finished / "step-00000020", tmp_path / "checkpoint"))
    (checkpoint / "manifest.json").unlink()  # nothing vouches for the files
    trace = tmp_path / "executed"
    monkeypatch.setattr(Bomb, "trace", str(trace))
    bomb = pickle.dumps(Bomb())
    pickle.loads(bomb)
    assert trace.exists()  # it is one
    trace.unlink()
    (checkpoint / name).write_bytes(bomb)
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        verbs.generate(checkpoint, [""], SHORT)
    assert not trace.exists()
