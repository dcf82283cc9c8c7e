from pathlib import Path

import pytest

from groundup.errors import UserError
from groundup.insight.passage import LONGEST, SHORTEST, choose_passage
from groundup.insight.subject import Subject


def test_without_a_text_it_is_a_sentence_that_was_held_out(finished: Path) -> None:
    subject = Subject.open(finished)
    corpus = subject.corpus
    held_out = [corpus.tokenizer.decode(ids.tolist()) for ids in corpus.validation_documents()]
    trained = [
        corpus.tokenizer.decode(corpus.train.document(n).tolist()) for n in range(len(corpus.train.document_ends))
    ]
    chosen = {choose_passage(subject, None, seed=seed) for seed in range(12)}
    assert len(chosen) > 3
    for passage in chosen:
        assert passage.held_out
        assert SHORTEST <= len(passage.text) <= LONGEST
        assert passage.text[-1] in ".!?"
        assert any(passage.text in text for text in held_out)
        assert not any(passage.text in text for text in trained)
        assert passage.source is not None and Path(passage.source).is_file()
        assert passage.text in Path(passage.source).read_text()
    assert choose_passage(subject, None, seed=3) == choose_passage(subject, None, seed=3)


def test_a_text_that_was_given_is_left_as_it_is(finished: Path) -> None:
    passage = choose_passage(Subject.open(finished), " as it\nis ")
    assert (passage.text, passage.source, passage.held_out) == (" as it\nis ", None, False)


@pytest.mark.parametrize("text", ["", "half a pair \ud83d"])
def test_texts_that_cannot_be_tokenized_are_refused(finished: Path, text: str) -> None:
    with pytest.raises(UserError, match="--text"):
        choose_passage(Subject.open(finished), text)
