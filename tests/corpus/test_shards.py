from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.corpus.shards import ShardWriter, TokenStream
from groundup.errors import UserError

EOS = 0
U2 = np.dtype("<u2")


def write(folder: Path, documents: list[list[int]], shard_tokens: int = 10, dtype: np.dtype = U2) -> list[Path]:
    writer = ShardWriter(folder, "train", dtype, EOS, shard_tokens)
    for document in documents:
        writer.add(np.array(document, np.int64))
    writer.close()
    assert writer.tokens == sum(map(len, documents)) + len(documents)
    return sorted(folder.glob("train-*.ds"))


def joined(documents: list[list[int]]) -> np.ndarray:
    return np.array([token for document in documents for token in [*document, EOS]], np.int64)


DOCUMENTS = [[1, 2, 3], list(range(1, 20)), [7], list(range(30, 42)), [5, 5]]


def test_reading_across_shards_equals_reading_one_array(tmp_path):
    shards = write(tmp_path, DOCUMENTS)
    assert len(shards) > 2
    stream, whole = TokenStream(shards, U2, 50), joined(DOCUMENTS)
    assert len(stream) == len(whole)
    for start in range(len(whole)):
        for count in (0, 1, 5, len(whole), 3 * len(whole) + 1):
            got = stream.read(start, count)
            assert got.dtype == np.int64 and got.shape == (count,)
            assert (got == np.resize(np.roll(whole, -start), count)).all()


def test_before_the_start_lies_the_end(tmp_path):
    stream, whole = TokenStream(write(tmp_path, DOCUMENTS), U2, 50), joined(DOCUMENTS)
    assert stream.read(-3, 5).tolist() == [*whole[-3:], *whole[:2]]
    assert stream.read(5 * len(whole) + 2, 1).tolist() == [whole[2]]


@given(
    documents=st.lists(st.lists(st.integers(1, 65_535), max_size=12), min_size=1, max_size=12),
    shard_tokens=st.integers(1, 40),
)
def test_every_document_comes_back_whatever_the_size_of_the_shards(documents, shard_tokens, tmp_path_factory):
    shards = write(tmp_path_factory.mktemp("s"), documents, shard_tokens)
    stream = TokenStream(shards, U2, 65_536)
    assert [stream.document(n).tolist() for n in range(len(stream.document_ends))] == documents
    assert (stream.read(0, len(stream)) == joined(documents)).all()
    # no shard but the last is smaller than asked for, and none goes on after it has reached that size
    sizes = [path.stat().st_size // 2 for path in shards]
    assert all(size >= shard_tokens for size in sizes[:-1])


def test_the_files_are_raw_little_endian_ids_and_ends(tmp_path):
    (shard,) = write(tmp_path, [[258, 3], [4]], 100)
    assert shard.read_bytes() == bytes([2, 1, 3, 0, 0, 0, 4, 0, 0, 0])
    assert shard.with_suffix(".index").read_bytes() == bytes([3, *[0] * 7, 5, *[0] * 7])


def test_large_ids_are_kept_in_four_bytes(tmp_path):
    u4 = np.dtype("<u4")
    shards = write(tmp_path, [[100_000, 70_000]], dtype=u4)
    assert TokenStream(shards, u4, 100_001).document(0).tolist() == [100_000, 70_000]


def test_a_split_without_documents_has_no_tokens(tmp_path):
    stream = TokenStream(write(tmp_path, []), U2, 50)
    assert len(stream) == 0 and len(stream.document_ends) == 0


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda shard, index: shard.write_bytes(shard.read_bytes()[:-1]), "whole number"),
        (lambda shard, index: shard.write_bytes(shard.read_bytes()[:-2]), "index"),
        (lambda shard, index: shard.write_bytes(b""), "index"),
        (lambda shard, index: shard.write_bytes(shard.read_bytes() + b"\0\0"), "index"),
        (lambda shard, index: index.write_bytes(b""), "index"),
        (lambda shard, index: index.write_bytes(index.read_bytes()[:-8]), "index"),
        (lambda shard, index: index.write_bytes(index.read_bytes()[:-1]), "index"),
        (lambda shard, index: index.write_bytes(index.read_bytes()[8:] + index.read_bytes()[:8]), "index"),
        (lambda shard, index: index.write_bytes(b"\xff" * 8 + index.read_bytes()[8:]), "index"),
    ],
)
def test_a_shard_that_does_not_match_its_index_is_named(tmp_path, damage, what):
    shards = write(tmp_path, [[1, 2, 3], [4, 5], [6] * 20, [7]], 7)
    shard = shards[0]
    damage(shard, shard.with_suffix(".index"))
    with pytest.raises(UserError, match=what) as caught:
        TokenStream(shards, U2, 50)
    assert caught.value.where == str(shard)


def test_a_token_outside_the_vocabulary_is_named_with_its_shard(tmp_path):
    shards = write(tmp_path, DOCUMENTS)
    content = bytearray(shards[1].read_bytes())
    content[0] = 50
    shards[1].write_bytes(content)
    stream = TokenStream(shards, U2, 50)
    assert stream.document(0).tolist() == DOCUMENTS[0]
    with pytest.raises(UserError, match="token 50, outside the vocabulary of 50") as caught:
        stream.read(0, len(stream))
    assert caught.value.where == str(shards[1])
