import math

import numpy as np
import pytest
import torch

from groundup.corpus import IGNORE
from groundup.errors import Stopped
from groundup.evaluation import Scores, Windows, score
from groundup.evaluation import windows as module
from groundup.model import ModelShape, Transformer
from groundup.parallel import Compute

EOS, VOCAB, CONTEXT = 0, 13, 8
COMPUTE = Compute(torch.device("cpu"), torch.float32, 1, False, "sdpa")
BYTES = torch.tensor([0, *range(1, VOCAB)])


@pytest.fixture(scope="module")
def model() -> Transformer:
    model = Transformer(ModelShape("qwen3", VOCAB, 2, 16, 2, 1, 8, 32, CONTEXT, False))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)
    return model


def documents_of(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.integers(1, VOCAB, length) for length in lengths]


LENGTHS = [1, 5, CONTEXT - 1, CONTEXT, CONTEXT + 1, 3 * CONTEXT, 3 * CONTEXT + 2, 0]


def scores_of(model: Transformer, documents: list[np.ndarray], windows: Windows | None = None) -> Scores:
    windows = windows or Windows.of(documents, CONTEXT)
    return score(model, windows, eos_id=EOS, byte_lengths=BYTES, compute=COMPUTE)


@torch.no_grad()
def one_token_at_a_time(model: Transformer, documents: list[np.ndarray]) -> tuple[float, int, int, int]:
    """Summed -ln P, hits, tokens and bytes in float64, by a forward pass for every single token."""
    exact = Transformer(model.shape)
    exact.load_state_dict(model.state_dict())
    exact.double().eval()
    nll, hits, count, size = 0.0, 0, 0, 0
    for document in documents:
        text = [EOS, *document.tolist()]
        for place, token in enumerate(document.tolist()):
            window = place // CONTEXT * CONTEXT
            logits = exact(torch.tensor([text[window : place + 1]]))[0, -1]
            nll -= (logits[token] - logits.logsumexp(0)).item()
            hits += int(logits.argmax()) == token
            count += 1
            size += int(BYTES[token])
    return nll, hits, count, size


def test_scores_equal_those_of_predicting_each_token_alone(model):
    documents = documents_of(LENGTHS)
    nll, hits, count, size = one_token_at_a_time(model, documents)
    scores = scores_of(model, documents)
    assert (scores.tokens, scores.bytes) == (count, size) == (sum(LENGTHS), size)
    assert scores.loss == pytest.approx(nll / count, rel=1e-6)
    assert scores.perplexity == pytest.approx(math.exp(nll / count), rel=1e-5)
    assert scores.accuracy == hits / count
    assert scores.bits_per_byte == pytest.approx(nll / size / math.log(2), rel=1e-6)


def test_every_token_is_in_exactly_one_window_after_the_token_before_it():
    documents = [np.arange(100 * number, 100 * number + length) for number, length in enumerate(LENGTHS, 1)]
    windows = Windows.of(documents, CONTEXT)
    assert windows.tokens == sum(LENGTHS)
    seen = []
    for first in range(0, len(windows.starts), 3):
        inputs, targets = windows.rows(slice(first, first + 3), EOS)
        assert inputs.shape == targets.shape and inputs.shape[1] <= CONTEXT
        for row in range(len(inputs)):
            scored = targets[row][targets[row] != IGNORE].tolist()
            before = inputs[row, : len(scored)].tolist()
            assert before == [EOS if token % 100 == 0 else token - 1 for token in scored]
            assert set(inputs[row, len(scored) :].tolist()) <= {EOS}
            seen += scored
    assert sorted(seen) == np.concatenate(documents).tolist()


def test_the_first_token_is_predicted_from_end_of_text_alone(model):
    document = np.array([7])
    model.eval()
    expected = -model(torch.tensor([[EOS]]))[0, 0].log_softmax(-1)[7].item()
    assert scores_of(model, [document]).loss == pytest.approx(expected, rel=1e-6)


def test_a_document_does_not_see_the_others(model):
    documents = documents_of([5, 20, 30])
    alone = [scores_of(model, [document]) for document in documents]
    together = scores_of(model, documents)
    assert together.loss * together.tokens == pytest.approx(sum(s.loss * s.tokens for s in alone), rel=1e-6)
    others = [documents[0], *documents_of([20, 30], seed=9)]
    first = [Windows.of(texts, CONTEXT) for texts in (documents, others)]
    rows = [w.rows(slice(0, len(w.starts)), EOS)[1][w.which == 0] for w in first]
    assert torch.equal(*rows)
    assert scores_of(model, documents[::-1]).loss == pytest.approx(together.loss, rel=1e-6)


@pytest.mark.parametrize("elements", [1, 3 * CONTEXT * VOCAB, 10**9])
def test_the_number_of_windows_in_a_batch_changes_nothing(model, monkeypatch, elements):
    documents = documents_of(LENGTHS)
    usual = scores_of(model, documents)
    monkeypatch.setattr(module, "LOGITS_AT_ONCE", elements)
    other = scores_of(model, documents)
    assert other.loss == pytest.approx(usual.loss, rel=1e-6)
    assert (other.accuracy, other.tokens, other.bytes) == (usual.accuracy, usual.tokens, usual.bytes)


def test_scoring_twice_gives_the_same_to_the_last_bit_and_leaves_the_model_alone(model):
    documents = documents_of(LENGTHS)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for training in (True, False):
        model.train(training)
        assert scores_of(model, documents) == scores_of(model, documents)
        assert model.training is training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_dropout_plays_no_part():
    shape = ModelShape("llama", VOCAB, 1, 16, 2, 2, 8, 32, CONTEXT, True, dropout=0.9)
    model = Transformer(shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    model.train()
    assert scores_of(model, documents_of([30])) == scores_of(model, documents_of([30]))


def test_rows_of_the_model_beyond_the_vocabulary_have_no_bytes_but_count_in_the_softmax(model):
    # byte_lengths has one entry for each row of the embedding; the last may be padding
    document = np.full(4, VOCAB - 1)
    scores = score(
        model,
        Windows.of([document], CONTEXT),
        eos_id=EOS,
        byte_lengths=torch.ones(VOCAB, dtype=torch.int64),
        compute=COMPUTE,
    )
    assert scores.bytes == 4


def test_at_most_takes_always_the_same_windows_from_all_lengths():
    documents = documents_of([3] * 50 + [CONTEXT] * 200 + [5] * 50)
    windows = Windows.of(documents, CONTEXT)
    fewer = windows.at_most(300)
    assert 250 <= fewer.tokens <= 350
    again = Windows.of(documents, CONTEXT).at_most(300)
    assert fewer.which.tolist() == again.which.tolist() and fewer.starts.tolist() == again.starts.tolist()
    assert len(set(zip(fewer.which.tolist(), fewer.starts.tolist(), strict=True))) == len(fewer.starts)
    assert set(fewer.lengths.tolist()) == {3, 5, CONTEXT}


def test_at_most_leaves_few_windows_as_they_are_and_never_takes_none():
    windows = Windows.of(documents_of(LENGTHS), CONTEXT)
    assert windows.at_most(windows.tokens) is windows
    assert len(windows.at_most(1).starts) == 1


def test_no_documents_have_no_windows():
    assert Windows.of([], CONTEXT).tokens == Windows.of(documents_of([0, 0]), CONTEXT).tokens == 0


def test_a_stop_is_asked_about_before_each_batch(model, monkeypatch):
    monkeypatch.setattr(module, "LOGITS_AT_ONCE", 1)
    windows = Windows.of(documents_of([CONTEXT * 5]), CONTEXT)
    calls = []

    def poll() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stopped("now")

    with pytest.raises(Stopped):
        score(model, windows, eos_id=EOS, byte_lengths=BYTES, compute=COMPUTE, poll=poll)
    assert len(calls) == 3
