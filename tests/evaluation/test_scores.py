import json
import math

import pytest

from groundup.evaluation.scores import Scores


def test_figures_follow_from_the_sums():
    scores = Scores.from_sums(nll=8 * math.log(4), correct=2, tokens=8, bytes=16)
    assert scores.loss == pytest.approx(math.log(4))  # a uniform choice among 4
    assert scores.perplexity == pytest.approx(4)
    assert scores.accuracy == 0.25
    assert scores.bits_per_byte == pytest.approx(1)  # 2 bits a token, 2 bytes a token
    assert (scores.tokens, scores.bytes) == (8, 16)


def test_perplexity_of_a_hopeless_model_is_still_json():
    scores = Scores.from_sums(nll=5000.0, correct=0, tokens=1, bytes=1)
    assert scores.loss == 5000
    json.dumps(scores.perplexity, allow_nan=False)


def test_scores_of_nothing_are_refused():
    with pytest.raises(AssertionError):
        Scores.from_sums(0.0, 0, 0, 0)
