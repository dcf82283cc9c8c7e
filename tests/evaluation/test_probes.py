import pytest
import torch

from groundup.corpus import Tokenizer
from groundup.evaluation import choose_prompts, few_shot_prompt, probe
from groundup.model import ModelShape, Transformer

TOKENIZER = Tokenizer.of_bytes()
CONTEXT = 8


@pytest.fixture(scope="module")
def model() -> Transformer:
    model = Transformer(ModelShape("llama", 320, 1, 16, 1, 1, 16, 16, CONTEXT, True))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(2))
    return model


def test_the_five_likeliest_next_tokens_are_recorded_likeliest_first(model):
    (row,) = probe(model, TOKENIZER, ["ab"])
    assert row["prompt"] == "ab"
    ids = [TOKENIZER.eos_id, *TOKENIZER.encode("ab")]
    with torch.no_grad():
        # rows of the embedding beyond the vocabulary are no tokens
        expected = model.eval()(torch.tensor([ids]))[0, -1, :257].softmax(-1)
    order = expected.argsort(descending=True)[:5].tolist()
    bytes_of = {index: TOKENIZER.decode_bytes([index]) for index in order}
    assert any(byte and byte[0] > 127 for byte in bytes_of.values())  # one that is no character by itself
    shown = [
        "<end>" if index == TOKENIZER.eos_id else chr(byte[0]) if byte[0] < 128 else f"\\x{byte[0]:02x}"
        for index, byte in bytes_of.items()
    ]
    assert [entry["token"] for entry in row["top"]] == shown
    assert [entry["probability"] for entry in row["top"]] == pytest.approx(expected[order].tolist(), abs=1e-6)
    assert set(row["top"][0]) == {"token", "probability"}


def test_a_prompt_longer_than_the_context_keeps_its_end(model):
    rows = probe(model, TOKENIZER, ["x" * 50 + "abcdefgh", "abcdefgh", ""])
    assert rows[0]["top"] == rows[1]["top"]
    assert len(rows[2]["top"]) == 5


def test_probing_leaves_the_mode_of_the_model_alone(model):
    for training in (True, False):
        model.train(training)
        probe(model, TOKENIZER, ["a"])
        assert model.training is training


LINE = "The {} watches the quiet river every morning before it leaves again."
TEXTS = [f"# Title\n\n{LINE.format(name)}\n" for name in ("teacher", "engine", "clock", "forest")]


def test_prompts_are_openings_of_six_words_one_a_text():
    assert choose_prompts(TEXTS, 3) == [
        f"The {name} watches the quiet river" for name in ("teacher", "engine", "clock")
    ]
    assert len(choose_prompts(TEXTS, 99)) == 4
    assert choose_prompts(TEXTS[:1] * 5, 3) == choose_prompts(TEXTS[:1], 3)


@pytest.mark.parametrize(
    ("texts", "prompts"), [([], ["The"]), (["short"], ["short"]), (["東京で会いましょう。" * 9], None)]
)
def test_there_is_always_a_prompt(texts, prompts):
    chosen = choose_prompts(texts, 3)
    assert chosen == prompts or (prompts is None and chosen == [texts[0][:20]])


def test_blank_lines_are_no_prompts():
    assert choose_prompts([" " * 30 + "\n" + LINE.format("clock")], 2) == ["The clock watches the quiet river"]


def test_the_few_shot_prompt_shows_two_examples_and_begins_a_third():
    prompt = few_shot_prompt(TEXTS)
    assert prompt is not None
    assert prompt.splitlines() == [
        "Begin: The teacher watches the",
        "Go on: quiet river every morning before it",
        "",
        "Begin: The engine watches the",
        "Go on: quiet river every morning before it",
        "",
        "Begin: The clock watches the",
        "Go on:",
    ]


def test_without_three_fitting_paragraphs_there_is_no_few_shot_prompt():
    assert few_shot_prompt(TEXTS[:2]) is None
    assert few_shot_prompt(["word " * 100] * 5) is None
    assert few_shot_prompt([]) is None
