"""Sketches against plain Python references, the theory of MinHash, and datatrove's verdicts."""

import random
import tracemalloc
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundup.corpus.copies import minhash
from groundup.corpus.copies.minhash import BANDS, PARAGRAPH, ROWS, SHINGLE, jaccard, similar, sketch
from groundup.corpus.copies.paragraphs import find_paragraphs, find_words

ALPHABET = (
    "aAbBzéÉßſKåА1٣²_-.,!?'’“”… \t\n\r\u00a0\u2028日本語ひカｶไทย한국हिन्दीשלום\U00020000\U0001f600\U0001d400\u200d\ufeff"
)
NO_SPACES = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "THAI")


def words_of(text: str) -> list[tuple[int, str]]:
    """(start, folded word), one character after the other."""
    found, inside = [], False
    for place, character in enumerate(text):
        if unicodedata.category(character)[0] not in "LMN" and character != "_":
            inside = False
            continue
        folded = character.casefold() if len(character.casefold()) == 1 else character.lower()
        if unicodedata.name(character).startswith(NO_SPACES):
            found.append((place, folded))
            inside = False
        elif inside:
            found[-1] = (found[-1][0], found[-1][1] + folded)
        else:
            found.append((place, folded))
            inside = True
    return found


def shingles_of(text: str) -> set[tuple[str, ...]]:
    words = [word for _, word in words_of(text)]
    return {tuple(words[place : place + SHINGLE]) for place in range(len(words) - SHINGLE + 1)}


def exact(a: str, b: str) -> float:
    first, second = shingles_of(a), shingles_of(b)
    return len(first & second) / len(first | second)


def paragraphs_of(text: str) -> list[tuple[int, int]]:
    """(start, end) of the paragraphs, line by line."""
    found, start, place = [], None, 0
    for line in text.split("\n"):
        if not line.strip() or len(line) >= PARAGRAPH:
            found.append((start, place - 1))
            start = None
            if line.strip():
                found.append((place, place + len(line)))
        elif start is None:
            start = place
        place += len(line) + 1
    found.append((start, place - 1))
    return [(start, end) for start, end in found if start is not None and end - start >= PARAGRAPH]


def write(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(count)]


def change(rng: random.Random, words: list[str], share: float) -> list[str]:
    return [rng.choice(write(rng, 1)) if rng.random() < share else word for word in words]


def shared_bands(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a == b).sum(axis=1)


@given(st.text(ALPHABET, max_size=60))
@example("日本a語_b ไทยC")
def test_words_are_those_of_a_plain_reading(text: str) -> None:
    words, expected = find_words(text), words_of(text)
    assert words.starts.tolist() == [start for start, _ in expected]
    names = {}
    for (_, word), name in zip(expected, words.hashes.tolist(), strict=True):
        assert names.setdefault(word, name) == name
    assert len(set(names.values())) == len(names)


def test_a_word_is_the_same_word_wherever_it_stands_and_however_long_it_is() -> None:
    word = "x" * 300_000 + "y" * 300_000
    alone = find_words(word).hashes
    assert len(alone) == 1
    for before in ("a ", "a b " * 65_535, "日" * 262_144, " " * 262_143, " " * 600_000):
        words = find_words(before + word + "。" + word.upper())
        assert words.hashes[-2:].tolist() == [alone[0], alone[0]]
        assert words.starts[-1] - words.starts[-2] == 600_001
    assert find_words(word + "y").hashes != alone
    assert find_words(word[1:] + "y").hashes != alone
    assert find_words("日" * 600_000).hashes.tolist() == find_words("日").hashes.tolist() * 600_000


def test_common_words_have_names_of_their_own() -> None:
    words = [a + b + c for a in "abcdefghij0123456789" for b in "klmnopqrst0123456789" for c in "abcdefghijklmnopqrst"]
    hashes = find_words(" ".join(words)).hashes
    assert len(np.unique(hashes)) == len(set(words))
    assert len(np.unique(hashes >> np.uint64(32))) > len(set(words)) - 5  # by chance 0.007 of 32-bit halves are equal
    bits = [(hashes >> np.uint64(bit) & np.uint64(1)).mean() for bit in range(64)]
    assert all(0.47 < share < 0.53 for share in bits)


LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "   ", "\u00a0\t", "...", "a", "日本", "word " * 8]), st.sampled_from([1, 4, 25])
    ).map(lambda line: line[0] * line[1])
    | st.integers(PARAGRAPH - 2, PARAGRAPH + 1).map(lambda size: "x" * size),
    max_size=30,
)


@given(LINES)
@example(["word " * 25, "word " * 25, "x" * 200, "short", "", "word " * 25, "y" * 180])
@example(["", "x" * 200, ""])
def test_paragraphs_are_those_of_a_plain_reading(lines: list[str]) -> None:
    text = "\n".join(lines)
    starts, ends = find_paragraphs(find_words(text).classes)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == paragraphs_of(text)
    found = sketch(["before", text, text], [True, True, False])
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == paragraphs_of(text)
    assert set(found.owners.tolist()) <= {1}


def test_a_sketch_does_not_depend_on_what_stands_beside_a_text() -> None:
    rng = random.Random(1)
    texts = ["", "one two three four", "\n\n\n", "!?" * 150]
    for size in (5, 30, 2000, 90_000, 300, 120_000, 7):
        words = write(rng, size)
        breaks = rng.choices([" ", " ", " ", "\n", "\n\n", "。日本"], k=size)
        texts.append("".join(word + gap for word, gap in zip(words, breaks, strict=True)))
    texts *= 2
    prose = [rng.random() < 0.7 for _ in texts]
    together = sketch(texts, prose)
    apart = [sketch([text], [flag]) for text, flag in zip(texts, prose, strict=True)]
    assert len(together.names) > 200
    assert together.owners.tolist() == [i for i, part in enumerate(apart) for _ in part.names]
    for column in ("documents", "starts", "ends", "names", "paragraphs"):
        np.testing.assert_array_equal(getattr(together, column), np.concatenate([getattr(p, column) for p in apart]))
    assert together.documents.dtype == together.paragraphs.dtype == together.names.dtype == np.uint64
    assert together.starts.dtype == together.ends.dtype == together.owners.dtype == np.int64


def test_a_paragraph_has_the_sketch_of_a_document_of_its_own() -> None:
    rng = random.Random(2)
    parts = [" ".join(write(rng, rng.randint(40, 400))) for _ in range(300)]
    found = sketch(["\n\n".join(parts)], [True])
    assert len(found.names) == len(parts)
    np.testing.assert_array_equal(found.paragraphs, sketch(parts, [False] * len(parts)).documents)


def test_a_sketch_is_of_the_set_of_shingles_whatever_the_lines() -> None:
    words = write(random.Random(3), 30_000)
    once = sketch([" ".join([*words, *words[:4]])], [False]).documents
    lines = "\n\n".join([*words, *words, *words, *words[:4]])  # three times the same shingles, over many blocks
    np.testing.assert_array_equal(sketch([lines], [True]).documents, once)
    one_a_line, one_line = sketch(["\n\n".join(words), " ".join(words)], [True, True]).documents
    np.testing.assert_array_equal(one_a_line, one_line)
    assert shared_bands(once, sketch([" ".join(words[::-1])], [False]).documents) == 0


def test_every_shingle_counts_the_first_and_the_last_too() -> None:
    # A cycle of words has the same shingles wherever it is opened.
    cycles = [[*"abcdefg"[start:], *"abcdefg"[:start], *"abcdefgabcd"[start : start + 4]] for start in range(7)]
    bands = sketch([" ".join(cycle) for cycle in cycles], [False] * 7).documents
    assert (bands == bands[0]).all()
    assert (sketch([" ".join(cycle[:-1]) for cycle in cycles], [False] * 7).documents != bands).any(axis=1).all()


def test_hashing_shingles_in_blocks_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(7)
    texts = ["\n\n".join(" ".join(write(rng, rng.randint(3, 60))) for _ in range(4)) for _ in range(20)]
    whole = sketch(texts, [True] * 20)
    monkeypatch.setattr(minhash, "_BLOCK", 7)
    blocks = sketch(texts, [True] * 20)
    np.testing.assert_array_equal(blocks.documents, whole.documents)
    np.testing.assert_array_equal(blocks.paragraphs, whole.paragraphs)


def test_names_are_equal_where_the_words_are() -> None:
    words = write(random.Random(4), 60)
    plain = " ".join(words)
    same = [plain.upper(), ",\n".join(words), "“" + plain.title() + "”!" + " " * 40]
    others = [
        " ".join(words[:-1]),
        " ".join([*words[1:], words[0]]),
        plain + " a",
        " ".join([words[1], words[0], *words[2:]]),
    ]
    wordless = ["* " * 150, "*" * 150 + " " * 100, "*" * 149 + " " * 100]
    texts = [plain, *same, *others, *wordless]
    found = sketch(texts, [True] * len(texts))
    assert found.owners.tolist() == list(range(len(texts)))
    assert len(set(found.names[: 1 + len(same)].tolist())) == 1
    assert found.names[-3] == found.names[-2]
    assert len(set(found.names.tolist())) == 1 + len(others) + 2


def test_fewer_words_than_a_shingle_have_no_bands() -> None:
    found = sketch(["a b c d" + "!" * 200, "a b c d e" + "!" * 200, "", "日本語字", "日本語字典"], [True] * 5)
    assert [bool(row.all()) for row in found.documents] == [False, True, False, False, True]
    assert not found.documents[[0, 2, 3]].any()
    assert not found.paragraphs[0].any()
    assert found.paragraphs[1].all()


def test_the_same_on_every_machine() -> None:
    text = "The quick brown fox jumps over the lazy dog; der schnelle braune Fuchs. 日本語 हिन्दी \U0001d400\n" * 3
    found = sketch([text], [True])
    assert found.documents[0, [0, 13]].tolist() == [0x8524431D08FC52C8, 0xD5AB2249EEF5DFCF]
    assert found.names.tolist() == [0x9AD86D51C19D63BE]


def pairs(share: float, count: int = 200) -> tuple[list[str], list[str], np.ndarray]:
    """Texts, copies with `share` of the words changed, and their exact similarities."""
    rng = random.Random(5)
    originals = [write(rng, 300) for _ in range(count)]
    texts = [" ".join(words) for words in originals]
    copies = [" ".join(change(rng, words, share)) for words in originals]
    return texts, copies, np.array([exact(a, b) for a, b in zip(texts, copies, strict=True)])


@pytest.mark.parametrize("share", [0.005, 0.02, 0.05, 0.2])
def test_near_copies_share_bands_as_often_as_the_theory_says(share: float) -> None:
    texts, copies, similarity = pairs(share)
    bands = sketch(texts + copies, [False] * (2 * len(texts))).documents
    shared = shared_bands(bands[: len(texts)], bands[len(texts) :])
    for measured, chance in ((shared > 0, 1 - (1 - similarity**ROWS) ** BANDS), (shared / BANDS, similarity**ROWS)):
        # bands of a pair are nearly independent; their shares vary less than single draws do
        assert abs(measured.sum() - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum()) + 1
    assert not any(shared_bands(bands, np.roll(bands, 1, axis=0)))  # unrelated texts


def test_verdicts_are_those_of_datatrove(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = pytest.importorskip("datatrove.pipeline.dedup.minhash")

    class Words:
        word_tokenize = staticmethod(str.split)

    monkeypatch.setattr(module, "load_word_tokenizer", lambda language: Words)
    monkeypatch.setattr(module.MinhashDedupSignature, "_requires_dependencies", [], raising=False)
    sha1 = module.MinhashConfig(hash_config=module.HashConfig(hash_fc="sha1"))
    step = module.MinhashDedupSignature(str(tmp_path), sha1)
    differ = found = 0
    for share in (0.005, 0.03, 0.06):
        texts, copies, similarity = pairs(share, 60)
        bands = sketch(texts + copies, [False] * 120).documents
        ours = shared_bands(bands[:60], bands[60:]) > 0
        signatures = [step.get_signature(step.get_shingles(text)) for text in texts + copies]
        theirs = np.array(
            [
                any(x == y for x, y in zip(a, b, strict=True))
                for a, b in zip(signatures[:60], signatures[60:], strict=True)
            ]
        )
        clear = (similarity > 0.93) | (similarity < 0.4)
        assert (ours == theirs)[clear].all()
        chance = 1 - (1 - similarity**ROWS) ** BANDS
        differ += (ours != theirs).sum() - (2 * chance * (1 - chance)).sum()
        found += ours.sum()
    assert found > 60
    assert differ < 15  # beyond what two draws of hash functions differ by


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), max_size=25),
    st.lists(st.integers(0, 20), min_size=25, max_size=25),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_groups_are_those_of_a_plain_search(rows: list, names: list[int], named: bool, rng: random.Random) -> None:
    bands, some = np.array(rows, np.uint64).reshape(-1, 3), np.array(names[: len(rows)], np.uint64)

    def linked(i: int, j: int) -> bool:
        return bool((named and some[i] == some[j]) or ((bands[i] == bands[j]) & (bands[i] > 0)).any())

    expected = list(range(len(rows)))
    for i in range(len(rows)):
        seen, queue = {i}, [i]
        while queue:
            here = queue.pop()
            new = [j for j in range(len(rows)) if j not in seen and linked(here, j)]
            seen.update(new)
            queue.extend(new)
        expected[i] = min(seen)
    assert similar(bands, some if named else None).tolist() == expected
    order = np.array(rng.sample(range(len(rows)), len(rows)), np.int64)
    shuffled = similar(bands[order], some[order] if named else None)
    assert len(set(zip((np.array(expected, np.int64)[order]).tolist(), shuffled.tolist(), strict=True))) == len(
        set(expected)
    )


@pytest.mark.parametrize("seed", [None, 1])
def test_a_long_chain_is_one_group_in_a_mapped_file(tmp_path: Path, seed: int | None) -> None:
    count, rng = 30_001, np.random.default_rng(seed or 0)
    bands = np.lib.format.open_memmap(str(tmp_path / "bands.npy"), "w+", np.uint64, (count, BANDS))
    bands[:] = rng.integers(1, 2**63, bands.shape, dtype=np.uint64)
    order = rng.permutation(count - 1) if seed else np.arange(count - 1)
    for place, (a, b) in enumerate(pairwise(order.tolist())):
        bands[b, place % BANDS] = bands[a, place % BANDS]
    assert similar(np.load(tmp_path / "bands.npy", mmap_mode="r")).tolist() == [0] * (count - 1) + [count - 1]


@given(
    st.lists(st.sampled_from("abcdefgh"), max_size=40),
    st.lists(st.sampled_from("abcdefgh"), max_size=40),
    st.integers(0, 30),
)
def test_jaccard_is_that_of_the_sets(first: list[str], second: list[str], common: int) -> None:
    a, b = " ".join(first), ", ".join(first[:common] + second).upper()
    if shingles_of(a) and shingles_of(b):
        assert jaccard(a, b) == exact(a, b) == jaccard(b, a)
    else:
        assert jaccard(a, b) == float([w for _, w in words_of(a)] == [w for _, w in words_of(b)])


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(codec=None), max_size=40).map(lambda text: text * 9), max_size=6))
@example(["\ud800" * 300, "\udfff a b c d e f", "\0" * 300, "\U0010ffff" * 300])
def test_any_text_can_be_sketched(texts: list[str]) -> None:
    found = sketch(texts, [True] * len(texts))
    assert found.documents.shape == (len(texts), BANDS)
    assert found.paragraphs.shape == (len(found.names), BANDS)
    for owner, start, end in zip(found.owners, found.starts, found.ends, strict=True):
        assert texts[owner][start:end].strip()
    for row, text in zip(found.documents, texts, strict=True):
        assert row.all() == (len(find_words(text).hashes) >= SHINGLE)


def test_texts_without_words_blanks_or_lines_can_be_sketched() -> None:
    many = 1_000_000
    texts = [
        " " * many,
        "\n" * many,
        "a" * many,
        "!" * many,
        "ab " * (many // 3),
        "\n ".join("!" * (many // 20)),
        "日" * many,
    ]
    found = sketch(texts, [True] * len(texts))
    assert found.owners.tolist() == [2, 3, 4, 5, 6]
    assert [bool(row.any()) for row in found.documents] == [False, False, False, False, True, False, True]
    assert len(set(found.names.tolist())) == 5
    assert sketch([], []).paragraphs.shape == (0, BANDS)


def test_sixteen_megabytes_in_one_text_need_less_than_a_gigabyte() -> None:
    text = (" ".join(write(random.Random(6), 20_000)) + "\n\n") * 130
    text = (text + "日" * 16_000_000)[:16_000_000]
    tracemalloc.start()
    try:
        sketch([text], [True])
        assert tracemalloc.get_traced_memory()[1] < 800e6
    finally:
        tracemalloc.stop()
