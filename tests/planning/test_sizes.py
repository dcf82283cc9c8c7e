from hypothesis import given
from hypothesis import strategies as st

from groundup.planning import sizes


def test_sizes_grow_in_every_respect():
    weights = [size.block_parameters for size in sizes.SHAPES]
    assert weights == sorted(set(weights))
    for smaller, larger in zip(sizes.SHAPES, sizes.SHAPES[1:], strict=False):
        assert larger.layers >= smaller.layers and larger.width >= smaller.width
        assert larger.context >= smaller.context and larger.tokens_per_update >= smaller.tokens_per_update
    for size in sizes.SHAPES:
        assert size.tokens_per_update % size.context == 0


def test_the_dial_turns_from_tiny_to_large():
    assert list(sizes.DIAL) == ["tiny", "small", "medium", "large"]
    weights = [size.block_parameters for size in sizes.DIAL.values()]
    assert weights == sorted(set(weights))


@given(st.floats(1, 1e24), st.integers(16, 10**12))
def test_more_compute_or_more_text_never_asks_for_a_smaller_model(flops, tokens):
    size, reason = sizes.for_compute(flops, tokens)
    assert size in (sizes.SECONDS, *sizes.SHAPES) and reason
    for more, _ in (sizes.for_compute(flops * 4, tokens), sizes.for_compute(flops, tokens * 4)):
        # the two smallest are of one size, of different proportions
        assert more.block_parameters >= size.block_parameters or {more, size} == {sizes.SECONDS, sizes.SHAPES[0]}


@given(st.integers(16, 10**12))
def test_a_model_is_not_much_larger_than_its_corpus_supports(tokens):
    for (size, reason), most in (
        (sizes.for_corpus(tokens), sizes.WEIGHTS_PER_TOKEN),
        (sizes.for_compute(1e30, tokens), sizes.MOST_WEIGHTS_PER_TOKEN),
    ):
        assert size == sizes.SHAPES[0] or size.block_parameters <= 1.5 * most * tokens
        assert f"{tokens:,}" in reason
    assert sizes.for_corpus(tokens)[0].block_parameters <= sizes.DIAL["small"].block_parameters


def test_the_reason_names_what_was_the_limit():
    assert "corpus" in sizes.for_compute(1e20, 10_000)[1]
    assert "operations" in sizes.for_compute(1e14, 10**9)[1]


def test_what_a_few_seconds_train_has_one_layer_and_what_little_text_supports_has_two():
    assert sizes.for_compute(1e12, 10**9)[0].layers == 1
    assert sizes.for_compute(1e18, 4_000)[0].layers == 2
