import gzip
import math
import pydoc_data.topics
from collections import Counter, defaultdict

import numpy as np
import pytest

from groundup.evaluation.baselines import KneserNey, gzip_bits_per_byte, token_baselines

EOS = 0


def draw_documents(count, vocab, seed, longest=40):
    """Documents of a Markov chain, so that contexts repeat; some are empty or a single token."""
    generator = np.random.default_rng(seed)
    table = generator.dirichlet(np.full(vocab - 1, 0.2), size=vocab)
    documents = []
    for _ in range(count):
        document, last = [], EOS
        for _ in range(generator.integers(0, longest)):
            last = 1 + int(generator.choice(vocab - 1, p=table[last]))
            document.append(last)
        documents.append(np.array(document, np.int64))
    return documents


def stream(documents):
    return np.concatenate([np.append(document, EOS) for document in documents])


def last_probabilities(model, contexts):
    """P(w | context) for every w: shape (contexts, V), from the model's own scoring of documents."""
    documents = [np.append(context, w) for context in contexts for w in range(model.vocab_size)]
    ends = np.cumsum([len(document) for document in documents]) - 1
    scored = np.concatenate(list(model.log_probabilities(documents)))
    return np.exp(scored[ends]).reshape(len(contexts), model.vocab_size)


class Plain:
    """Kneser-Ney written as a recursion over dictionaries of tuples, from the formula alone."""

    def __init__(self, documents, order, vocab):
        self.order, self.vocab = order, vocab
        grams = {n: Counter() for n in range(1, order + 1)}
        for document in documents:
            tokens = (EOS, *document.tolist(), EOS)
            for n in range(1, order + 1):
                for end in range(1, len(tokens)):
                    if end - n + 1 >= 0:
                        grams[n][tokens[end - n + 1 : end + 1]] += 1
        self.a = {}
        for n in range(1, order + 1):
            before = defaultdict(set)
            for gram in grams.get(n + 1, ()):
                before[gram[1:]].add(gram[0])
            opens = [gram for gram in grams[n] if n == order or (n > 1 and gram[0] == EOS)]
            self.a[n] = {gram: len(words) for gram, words in before.items()} | {g: grams[n][g] for g in opens}
        self.d = {n: self.discounts(list(a.values())) for n, a in self.a.items()}

    @staticmethod
    def discounts(values):
        n1, n2, n3, n4 = (values.count(c) for c in (1, 2, 3, 4))
        if 0 in (n1, n2, n3, n4):
            return [0, 0.5, 1.0, 1.5]
        y = n1 / (n1 + 2 * n2)
        d = [0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        return d if all(0 <= x <= c for c, x in enumerate(d)) else [0, 0.5, 1.0, 1.5]

    def probability(self, context, word):
        lower = self.probability(context[1:], word) if context else 1 / self.vocab
        a, d = self.a[len(context) + 1], self.d[len(context) + 1]
        seen = {gram: count for gram, count in a.items() if gram[:-1] == context}
        if not seen:
            return lower
        total = sum(seen.values())
        count = seen.get((*context, word), 0)
        freed = sum(d[min(c, 3)] for c in seen.values())
        return (count - d[min(count, 3)] + freed * lower) / total

    def score(self, document):
        tokens = (EOS, *document.tolist())
        places = range(1, len(tokens))
        return [math.log(self.probability(tokens[max(0, i - self.order + 1) : i], tokens[i])) for i in places]


@pytest.mark.parametrize("order", (2, 3, 5))
def test_kneser_ney_equals_a_plain_recursion_over_dictionaries(order):
    documents = draw_documents(60, 9, seed=order)
    model, plain = KneserNey(stream(documents), order, 9, EOS), Plain(documents, order, 9)
    held_out = [*draw_documents(12, 9, seed=99), np.array([3])]
    ours = np.concatenate(list(model.log_probabilities(held_out)))
    theirs = [x for document in held_out for x in plain.score(document)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert any(plain.d[n] != [0, 0.5, 1.0, 1.5] for n in plain.d)  # the estimated discounts were exercised


@pytest.mark.parametrize("order", (2, 5))
@pytest.mark.parametrize("documents", (1, 3, 200))
def test_probabilities_of_the_vocabulary_sum_to_one_after_any_context(order, documents):
    vocab = 13
    model = KneserNey(stream(draw_documents(documents, vocab, seed=4)), order, vocab, EOS)
    generator = np.random.default_rng(0)
    contexts = [generator.integers(1, vocab, generator.integers(0, 8)) for _ in range(60)]
    contexts += [document[:6] for document in draw_documents(40, vocab, seed=4)]  # contexts that were seen
    probabilities = last_probabilities(model, contexts)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert probabilities.min() > 0


def test_contexts_do_not_cross_documents():
    model = KneserNey(stream(draw_documents(50, 9, seed=1)), 5, 9, EOS)
    first, second, third = [document for document in draw_documents(20, 9, seed=2) if len(document) > 5][:3]
    together = np.concatenate(list(model.log_probabilities([first, second, third])))
    alone = np.concatenate([next(model.log_probabilities([d])) for d in (first, second, third)])
    assert np.array_equal(together, alone)


def test_many_documents_are_scored_in_pieces_without_a_seam():
    documents = [np.tile(np.arange(1, 8), 30_000) for _ in range(6)]  # more than one piece
    model = KneserNey(stream(draw_documents(50, 9, seed=1)), 3, 9, EOS)
    parts = list(model.log_probabilities(documents))
    assert len(parts) == 2
    assert np.array_equal(np.concatenate(parts), np.tile(next(model.log_probabilities(documents[:1])), 6))


def test_uniform_and_unigram_by_hand():
    train, validation = np.array([1, 1, 2, EOS]), [np.array([1, 2]), np.array([3])]
    found = token_baselines(train, validation, vocab_size=4, eos_id=EOS, bytes=6)
    assert found["uniform"]["loss"] == pytest.approx(math.log(4))
    assert found["uniform"]["bits_per_byte"] == pytest.approx(1)  # 3 tokens of 2 bits in 6 bytes
    # counts and one more: 2, 3, 2, 1 of 8
    nats = -math.log(3 / 8) - math.log(2 / 8) - math.log(1 / 8)
    assert found["unigram"]["loss"] == pytest.approx(nats / 3)
    assert found["unigram"]["bits_per_byte"] == pytest.approx(nats / (6 * math.log(2)))


def test_longer_contexts_predict_better_and_every_figure_is_of_the_same_tokens():
    documents = draw_documents(400, 30, seed=5, longest=100)
    train, validation = stream(documents[:350]).astype(np.uint16), documents[350:]
    tokens = sum(len(document) for document in validation)
    found = token_baselines(train, validation, 30, EOS, bytes=3 * tokens)
    assert list(found) == ["uniform", "unigram", "bigram", "5-gram"]
    losses = [figures["loss"] for figures in found.values()]
    assert losses[0] > losses[1] > losses[2]
    for figures in found.values():
        assert figures["bits_per_byte"] == pytest.approx(figures["loss"] / (3 * math.log(2)))
    model = KneserNey(train, 5, 30, EOS)
    assert found["5-gram"]["loss"] == pytest.approx(-np.concatenate(list(model.log_probabilities(validation))).mean())


def test_counts_come_from_the_stated_number_of_tokens():
    documents = draw_documents(100, 9, seed=6)
    train, validation = stream(documents[:80]), documents[80:]
    found = token_baselines(train, validation, 9, EOS, 100, train_tokens=200)
    assert found == token_baselines(train[:200], validation, 9, EOS, 100)
    assert found["5-gram"]["train_tokens"] == 200 and found["uniform"]["train_tokens"] == 0
    assert token_baselines(train, validation, 9, EOS, 100)["bigram"]["train_tokens"] == len(train)


def test_the_largest_vocabulary_fits_the_keys():
    vocab = 262_144
    documents = [document * 8000 for document in draw_documents(300, 30, seed=7)]
    small = KneserNey(stream(documents) // 8000, 5, 30, EOS)
    large = KneserNey(stream(documents), 5, vocab, EOS)
    seen = documents[3]
    ours, theirs = next(large.log_probabilities([seen])), next(small.log_probabilities([seen // 8000]))
    np.testing.assert_allclose(ours, theirs, atol=0.1)  # apart from the share that the unigrams leave to the unseen


def test_gzip_is_the_size_of_gzip_9_and_repeats():
    texts = [pydoc_data.topics.topics["for"], pydoc_data.topics.topics["while"], "naïve – 漢字"]
    data = "".join(texts).encode()
    expected = 8 * len(gzip.compress(data, 9, mtime=0)) / len(data)
    assert gzip_bits_per_byte(texts) == expected == gzip_bits_per_byte(iter(texts))


def test_on_english_a_5_gram_beats_a_bigram_and_gzip():
    topics = [text.encode() for _, text in sorted(pydoc_data.topics.topics.items())]
    train, held_out = topics[::2], topics[1::10]
    ids = [np.frombuffer(text, np.uint8).astype(np.int64) + 1 for text in train]
    validation = [np.frombuffer(text, np.uint8).astype(np.int64) + 1 for text in held_out]
    size = sum(len(text) for text in held_out)
    found = {k: v["bits_per_byte"] for k, v in token_baselines(stream(ids), validation, 257, EOS, size).items()}
    gzipped = gzip_bits_per_byte(text.decode() for text in held_out)
    assert found["uniform"] == pytest.approx(math.log2(257))
    assert 1 < found["5-gram"] < gzipped < found["bigram"] < found["unigram"] < 5.5
