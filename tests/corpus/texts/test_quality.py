import random
import re
import time

import pytest

from groundup.corpus.texts.quality import failed_rules, measure_quality, score_quality

PROSE = """The old house at the end of the street had been empty for as long as anybody could remember.
Its windows were dark, and the garden, which must once have been lovely, was full of nettles.
We used to tell each other stories about the people who lived there, and none of them were true!

One summer my brother climbed over the wall to fetch a ball that we had lost behind the shed.
He came back with a face as white as paper and would not say what it was that he had seen.
Did we believe him? Of course we did, and for weeks nobody went near that corner again.
"""


VOCABULARY = [
    "time",
    "house",
    "of",
    "the",
    "and",
    "that",
    "with",
    "river",
    "walk",
    "under",
    "bright",
    "yellow",
    "morning",
    "people",
    "remember",
    "always",
    "story",
]
LATIN = (
    "Gallia est omnis divisa in partes tres quarum unam incolunt Belgae aliam Aquitani tertiam qui ipsorum lingua. " * 5
)


def broken(text: str, language: str = "en") -> set[str]:
    return set(failed_rules(measure_quality(text), language))


def test_ordinary_prose_breaks_no_rule():
    signals = measure_quality(PROSE)
    assert failed_rules(signals, "en") == []
    assert score_quality(signals, "en") == 1.0
    assert signals["words"] == len(PROSE.split())
    assert signals["sentences"] == 7
    assert signals["stop_words"] == 7
    assert signals["short_lines"] == signals["duplicate_5_grams"] == 0


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Too short to say.", "gopher: number of words"),
        ("antidisestablishmentarianism floccinaucinihilipilification " * 40, "gopher: mean word length"),
        (PROSE.replace("e ", "e # "), "gopher: hash signs"),
        (PROSE.replace("e ", "e... "), "gopher: ellipses"),
        ("\n".join(f"- {line}" for line in PROSE.splitlines()), "gopher: bullet lines"),
        ("\n".join(f"{line}…" for line in PROSE.splitlines()), "gopher: ellipsis lines"),
        (" ".join(f"{n} word {n + 1} |" for n in range(200)), "gopher: words with letters"),
        (LATIN, "gopher: stop words"),
        (PROSE + PROSE, "gopher: duplicate lines"),
        (PROSE + "\n" + PROSE, "gopher: duplicate paragraphs"),
        ("buy now " * 100, "gopher: top 2-gram"),
        (PROSE + " ".join(PROSE.split()[:40]), "gopher: duplicate 10-grams"),
        (PROSE.replace("!", "").replace(".", "").replace("?", ""), "fineweb: lines that end a sentence"),
        (PROSE.replace("!", "").replace(".", "").replace("?", "").replace("\n", " "), "c4: sentences"),
        (PROSE + "function() { return; }", "c4: curly brackets"),
        (PROSE + "Lorem ipsum dolor sit amet.", "c4: lorem ipsum"),
        (PROSE.replace(" ", "\n"), "fineweb: newlines to words"),
        (re.sub(r"((?:\S+ ){4})", r"\1\n", PROSE), "fineweb: short lines"),
    ],
)
def test_each_rule_is_broken_by_what_it_is_for(text, rule):
    assert rule in broken(text)


def test_stop_words_are_for_english_and_words_for_languages_with_blanks():
    assert "gopher: stop words" not in broken(LATIN, "la")
    chinese = "这是一个测试文件，用来检查文字的质量。我们写了很多句子，每一句都有意义。\n" * 3
    assert not {"gopher: number of words", "gopher: mean word length", "fineweb: short lines"} & broken(chinese, "zh")
    assert measure_quality("हिन्दी में लिखे हुए शब्द " * 20)["mean_word_length"] > 3


def test_code_is_judged_by_none():
    signals = measure_quality("x = {1: 2}\n" * 50)
    assert failed_rules(signals, "code") == [] and score_quality(signals, "code") == 1.0


def test_the_score_is_the_share_of_rules_kept():
    signals = measure_quality(PROSE.replace("garden", "{garden}"))
    assert failed_rules(signals, "en") == ["c4: curly brackets"]
    assert score_quality(signals, "en") == pytest.approx(1 - 1 / 28, abs=1e-4)


def test_the_sample_speaks_for_the_whole_of_a_long_text():
    generator = random.Random(1)
    lines = [" ".join(generator.choices(VOCABULARY, k=12)) + "." for _ in range(4000)]
    signals = measure_quality("\n".join(lines))
    assert signals["words"] == pytest.approx(48_000, rel=0.03)
    assert signals["sentences"] == pytest.approx(4000, rel=0.03)
    assert signals["ended_lines"] == 1.0  # it is cut at line ends
    tail = "\n".join(lines[:2000]) + "\n" + "{ }\n" * 8000
    assert "c4: curly brackets" in broken(tail)


@pytest.mark.parametrize("text", ["", "\n", " ", "a", "\n\n\n", "...", "#", "{", "\x00", "é"])
def test_tiny_texts_have_signals(text):
    signals = measure_quality(text)
    assert set(signals) == set(measure_quality(PROSE))
    assert 0 <= score_quality(signals, "") < 1


@pytest.mark.parametrize("unit", ["a", " ", "\n", ".", "@", "-", "7", "a ", ".\n", "#"])
def test_time_is_bounded_in_hostile_text(unit):
    text = (unit * 1_000_000)[:1_000_000]
    began = time.process_time()
    for _ in range(20):
        measure_quality(text)
    assert time.process_time() - began < 2


# datatrove, which made FineWeb, as the reference. Its filters get words as we have them, between blanks; by itself it
# makes words of punctuation marks, so that its share of words with letters is lower. It also counts blank lines among
# the lines with bullets and ellipses, and forgives curly brackets in lines of one or two words: the texts have neither.


def random_text(seed: int) -> str:
    generator = random.Random(seed)
    kind = generator.choice(["plain", "lists", "copies", "phrases", "symbols", "short", "brackets", "long words"])
    share = generator.random()
    lines: list[str] = []
    for _ in range(generator.randint(2, 26)):
        words = generator.choices(VOCABULARY, k=generator.randint(3, 16))
        odd = generator.random() < share
        if kind == "copies" and lines and odd:
            words = generator.choice(lines).split()
        elif kind == "phrases" and odd:
            words = ("a phrase that is said over and over and over again " * generator.randint(1, 2)).split()
        elif kind == "symbols" and odd:
            words = [generator.choice(["#", "...", "12", "|", word]) for word in words]
        elif kind == "short" and odd:
            words = words[: generator.randint(1, 3)]
        elif kind == "long words" and odd:
            words = ["incomprehensibilities"] * 5
        line = " ".join(words)
        if kind == "lists" and odd:
            line = "- " + line + generator.choice(["", "..."])
        elif kind == "brackets" and generator.random() < 0.1:
            line += generator.choice([" { x }", " lorem ipsum dolor"])
        elif generator.random() < 0.6:
            line += generator.choice([".", "!", "?"])
        lines.append(line)
        if generator.random() < 0.2 and kind != "lists":
            lines.append("")
    return "\n".join(lines).strip()


@pytest.fixture(scope="module")
def verdicts():
    """For each rule: whether datatrove and whether we call it broken, for 400 texts."""
    pytest.importorskip("datatrove")
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        c4_filters,
        fineweb_quality_filter,
        gopher_quality_filter,
        gopher_repetition_filter,
    )

    with pytest.MonkeyPatch.context() as patch:
        for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
            patch.setattr(module, "split_into_words", lambda text, language: text.split())

        def sentences(text: str, language: str) -> list[str]:
            return [part for part in text.replace("!", ".").replace("?", ".").split(". ") if part]

        patch.setattr(c4_filters, "split_into_sentences", sentences)
        quality = dict.fromkeys(("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length"))
        quality |= dict.fromkeys(("max_symbol_word_ratio", "max_bullet_lines_ratio", "max_ellipsis_lines_ratio"))
        quality |= dict.fromkeys(("max_non_alpha_words_ratio", "min_stop_words"))
        repetition = dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"))
        repetition |= {"top_n_grams": (), "dup_n_grams": ()}
        c4 = {"filter_no_terminal_punct": False, "min_num_sentences": -1, "filter_lorem_ipsum": False}
        c4 |= {"filter_curly_bracket": False}
        fineweb = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1, "new_line_ratio": 9}

        def of_quality(**settings):
            return GopherQualityFilter(**(quality | settings))

        def of_repetition(**settings):
            return GopherRepetitionFilter(**(repetition | settings))

        top = {2: 0.2, 3: 0.18, 4: 0.16}
        copies = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
        filters = {
            "gopher: number of words": of_quality(min_doc_words=50, max_doc_words=100_000),
            "gopher: mean word length": of_quality(min_avg_word_length=3, max_avg_word_length=10),
            "gopher: hash signs|gopher: ellipses": of_quality(max_symbol_word_ratio=0.1),
            "gopher: bullet lines": of_quality(max_bullet_lines_ratio=0.9),
            "gopher: ellipsis lines": of_quality(max_ellipsis_lines_ratio=0.3),
            "gopher: words with letters": of_quality(max_non_alpha_words_ratio=0.8),
            "gopher: stop words": of_quality(min_stop_words=2),
            "gopher: duplicate lines": of_repetition(dup_line_frac=0.3),
            "gopher: duplicate paragraphs": of_repetition(dup_para_frac=0.3),
            "gopher: characters in duplicate lines": of_repetition(dup_line_char_frac=0.2),
            "gopher: characters in duplicate paragraphs": of_repetition(dup_para_char_frac=0.2),
            **{f"gopher: top {n}-gram": of_repetition(top_n_grams=((n, most),)) for n, most in top.items()},
            **{f"gopher: duplicate {n}-grams": of_repetition(dup_n_grams=((n, most),)) for n, most in copies.items()},
            "c4: sentences": C4QualityFilter(**(c4 | {"min_num_sentences": 5})),
            "c4: curly brackets": C4QualityFilter(**(c4 | {"filter_curly_bracket": True})),
            "c4: lorem ipsum": C4QualityFilter(**(c4 | {"filter_lorem_ipsum": True})),
            "fineweb: lines that end a sentence": FineWebQualityFilter(**(fineweb | {"line_punct_thr": 0.12})),
            "fineweb: short lines": FineWebQualityFilter(**(fineweb | {"short_line_thr": 0.67})),
            "fineweb: characters in repeated lines": FineWebQualityFilter(
                **(fineweb | {"char_duplicates_ratio": 0.01})
            ),
            "fineweb: newlines to words": FineWebQualityFilter(**(fineweb | {"new_line_ratio": 0.3})),
        }
        texts = [text for text in map(random_text, range(500)) if len(text) <= 2400]
        found: dict[str, list[tuple[bool, bool]]] = {}
        for text in texts:
            ours = broken(text)
            for rule, reference in filters.items():
                verdict = reference.filter(Document(text=text, id="0"))
                kept = verdict if isinstance(verdict, bool) else verdict[0]
                found.setdefault(rule, []).append((not kept, not ours.isdisjoint(rule.split("|"))))
    return found


def test_the_rules_agree_with_datatrove(verdicts):
    differing = {rule: sum(theirs != ours for theirs, ours in pairs) for rule, pairs in verdicts.items()}
    assert {rule: count for rule, count in differing.items() if count} == {}
    assert len(verdicts) == 27  # two of our 28 are one setting of datatrove's


def test_the_comparison_has_texts_on_both_sides_of_every_rule(verdicts):
    one_sided = {rule for rule, pairs in verdicts.items() if len({theirs for theirs, _ in pairs}) < 2}
    assert one_sided == set()
