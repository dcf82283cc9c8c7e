from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.corpus import IGNORE, Batches
from groundup.corpus.shards import ShardWriter, TokenStream


def stream_of(folder: Path, length: int) -> TokenStream:
    """A stream whose tokens are all different, so that each target tells its place: token i + 1 at place i."""
    dtype = np.dtype("<u4")
    writer = ShardWriter(folder, "train", dtype, length, 7)
    at = 1
    while at < length:
        size = min(5, length - at)
        writer.add(np.arange(at, at + size))
        at += size + 1
    writer.close()
    # end-of-text tokens, too, get the name of their place
    for shard in sorted(folder.glob("*.ds")):
        first = sum(path.stat().st_size // 4 for path in folder.glob("*.ds") if path.name < shard.name)
        np.arange(first + 1, first + 1 + shard.stat().st_size // 4, dtype=dtype).tofile(shard)
    stream = TokenStream(sorted(folder.glob("*.ds")), dtype, 10**6)
    assert stream.read(0, len(stream)).tolist() == list(range(1, len(stream) + 1))
    return stream


@settings(max_examples=150)
@given(
    length=st.integers(2, 120),
    context=st.integers(1, 40),
    batch=st.integers(1, 9),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_token_is_a_target_exactly_once_an_epoch(length, context, batch, seed, tmp_path_factory):
    stream = stream_of(tmp_path_factory.mktemp("b"), length)
    batches = Batches(stream, context=context, batch=batch, seed=seed)
    epochs = 3
    seen: dict[int, Counter[int]] = {epoch: Counter() for epoch in range(epochs)}
    for step in range(-(-epochs * batches.blocks // batch)):
        inputs, targets = batches.at(step)
        assert inputs.shape == targets.shape == (batch, context)
        assert inputs.dtype == targets.dtype == torch.int64
        scored = targets != IGNORE
        # each input is the token before its target, on a circle, and targets of a row follow each other
        assert torch.equal(inputs[scored], (targets[scored] - 2) % len(stream) + 1)
        assert torch.equal(inputs[:, 1:][scored[:, 1:]], targets[:, :-1][scored[:, 1:]])
        assert scored[:, 0].all() and (scored[:, :-1] >= scored[:, 1:]).all()  # padding stands at the end
        for (epoch, _), row, count in zip(batches.sequences(step), targets, scored.sum(1).tolist(), strict=True):
            if epoch in seen:
                seen[epoch].update(row[:count].tolist())
    for epoch in range(epochs):
        assert seen[epoch] == Counter(range(1, len(stream) + 1)), epoch


@pytest.fixture
def stream(tmp_path) -> TokenStream:
    return stream_of(tmp_path, 1000)


def same(a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_a_batch_depends_on_seed_and_step_alone(stream):
    forward, backward = (Batches(stream, context=16, batch=4, seed=3) for _ in range(2))
    first = [forward.at(step) for step in range(60)]
    torch.manual_seed(99)
    np.random.seed(99)
    again = {step: backward.at(step) for step in reversed(range(60))}
    assert all(same(first[step], again[step]) for step in range(60))
    assert same(forward.at(7), first[7])
    assert not same(Batches(stream, context=16, batch=4, seed=4).at(0), first[0])


def test_changing_a_batch_does_not_change_the_corpus_or_the_next(stream):
    batches = Batches(stream, context=16, batch=4, seed=3)
    inputs, targets = batches.at(0)
    kept = inputs.clone(), targets.clone()
    inputs.zero_()
    targets.zero_()
    assert same(batches.at(0), kept)


def test_the_batch_size_does_not_change_the_order_of_the_sequences(stream):
    wide, narrow = Batches(stream, context=16, batch=6, seed=3), Batches(stream, context=16, batch=2, seed=3)
    parts = [narrow.at(step) for step in range(30)]
    joined = torch.cat([inputs for inputs, _ in parts]), torch.cat([targets for _, targets in parts])
    rows = [wide.at(step) for step in range(10)]
    assert same(joined, (torch.cat([inputs for inputs, _ in rows]), torch.cat([targets for _, targets in rows])))


def test_epochs_differ_in_their_order_and_in_where_they_cut(stream):
    batches = Batches(stream, context=16, batch=1, seed=3)
    orders, starts = [], []
    for epoch in range(4):
        steps = range(epoch * batches.blocks, (epoch + 1) * batches.blocks)
        blocks = [batches.sequences(step)[0] for step in steps]
        assert [number for number, _ in blocks] == [epoch] * batches.blocks
        assert sorted(block for _, block in blocks) == list(range(batches.blocks))
        orders.append([block for _, block in blocks])
        starts.append({int(batches.at(step)[1][0, 0]) % 16 for step in steps})
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] != sorted(orders[0])
    assert len({frozenset(start) for start in starts}) > 1


@pytest.mark.parametrize(
    ("length", "context", "batch", "epochs"),
    [
        (100, 10, 5, [0, 0, 0, 1, 1, 2]),  # 10 blocks: two steps an epoch
        (100, 10, 10, [0, 0, 1, 2, 3, 4]),
        (100, 10, 4, [0, 0, 0, 1, 1, 1]),  # the third step reaches into the second epoch
        (100, 99, 1, [0, 0, 0, 1, 1, 2]),  # a second block of a single target
        (20, 50, 3, [0, 2, 5, 8, 11, 14]),  # less than one context
    ],
)
def test_the_epoch_is_that_of_the_last_sequence_dealt(tmp_path, length, context, batch, epochs):
    batches = Batches(stream_of(tmp_path, length), context=context, batch=batch, seed=0)
    assert len(batches.stream) == length
    assert [batches.epoch(step) for step in range(6)] == epochs
    for step in range(1, 6):
        assert batches.epoch(step) == batches.sequences(step - 1)[-1][0]


def test_tokens_per_step_are_the_targets_of_a_full_batch(stream):
    assert Batches(stream, context=16, batch=4, seed=3).tokens_per_step == 64


def test_a_far_step_is_dealt_without_those_before_it(stream):
    batches = Batches(stream, context=16, batch=4, seed=3)
    _, targets = batches.at(10**12)
    assert batches.epoch(10**12) > 10**10
    assert (targets > 0).any()
