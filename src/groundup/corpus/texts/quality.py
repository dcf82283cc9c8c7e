"""Signals of a text's quality by which web corpora are filtered, and which of the published rules a text breaks.

Sources: Gopher (Rae et al. 2021, arXiv:2112.11446, section A.1.1 and Table A1), C4 (Raffel et al. 2020, JMLR 21:140,
section 2.2), FineWeb (Penedo et al. 2024, arXiv:2406.17557, section 3.5). They are made for web pages: good lists,
tables, poems and manuals break them as well.
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import filterfalse

import numpy as np

_SAMPLE, _PLACES = 2_400, 4  # characters in all, places; 0.2 ms on one core
_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_TERMINAL = tuple(".?!。？！｡．؟۔।॥։።၊။។")  # FineWeb's, for the scripts with most readers
_ENDS = (*_TERMINAL, *"\"'”’…")  # C4 takes closing quotes, too
_SENTENCE = re.compile(r"""[.?!…。？！｡؟۔।॥።](?:["'”’)\]]*(?:\s|$)|(?<=[。？！｡؟۔।॥።]))""")
_UNWANTED = (
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_UNWANTED_PARTS = ("avascript", "avaScript", "erms of", "olicy", "ookies")  # quick to look for, whatever the case
# Written without blanks between words: what counts words, or characters of a line, has no meaning.
_UNSPACED = frozenset(("zh", "ja", "th", "lo", "km", "my", "bo", "yue", "wuu", "dz"))
_GRAM_SIGNALS = tuple(f"top_{n}_gram" if n < 5 else f"duplicate_{n}_grams" for n in range(2, 11))
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd and without pattern: products of hashes stay spread

# name of the rule, signal, least value, greatest value
_RULES: tuple[tuple[str, str, float, float], ...] = (
    ("gopher: number of words", "words", 50, 100_000),
    ("gopher: mean word length", "mean_word_length", 3, 10),
    ("gopher: hash signs", "hash_signs", 0, 0.1),
    ("gopher: ellipses", "ellipses", 0, 0.1),
    ("gopher: bullet lines", "bullet_lines", 0, 0.9),
    ("gopher: ellipsis lines", "ellipsis_lines", 0, 0.3),
    ("gopher: words with letters", "words_with_letters", 0.8, 1),
    ("gopher: stop words", "stop_words", 2, 8),
    ("gopher: duplicate lines", "duplicate_lines", 0, 0.3),
    ("gopher: duplicate paragraphs", "duplicate_paragraphs", 0, 0.3),
    ("gopher: characters in duplicate lines", "duplicate_line_characters", 0, 0.2),
    ("gopher: characters in duplicate paragraphs", "duplicate_paragraph_characters", 0, 0.2),
    ("gopher: top 2-gram", "top_2_gram", 0, 0.2),
    ("gopher: top 3-gram", "top_3_gram", 0, 0.18),
    ("gopher: top 4-gram", "top_4_gram", 0, 0.16),
    ("gopher: duplicate 5-grams", "duplicate_5_grams", 0, 0.15),
    ("gopher: duplicate 6-grams", "duplicate_6_grams", 0, 0.14),
    ("gopher: duplicate 7-grams", "duplicate_7_grams", 0, 0.13),
    ("gopher: duplicate 8-grams", "duplicate_8_grams", 0, 0.12),
    ("gopher: duplicate 9-grams", "duplicate_9_grams", 0, 0.11),
    ("gopher: duplicate 10-grams", "duplicate_10_grams", 0, 0.1),
    ("c4: sentences", "sentences", 5, np.inf),
    ("c4: curly brackets", "curly_brackets", 0, 0),
    ("c4: lorem ipsum", "lorem_ipsum", 0, 0),
    ("fineweb: lines that end a sentence", "ended_lines", 0.12, 1),
    ("fineweb: short lines", "short_lines", 0, 0.67),
    ("fineweb: characters in repeated lines", "repeated_line_characters", 0, 0.01),
    ("fineweb: newlines to words", "newlines_to_words", 0, 0.3),
)
_ENGLISH = frozenset(("stop_words",))
_OF_WORDS = frozenset(("words", "mean_word_length", "short_lines", "newlines_to_words"))


def measure_quality(text: str) -> dict[str, float]:
    """The signals of a text, by name, measured on at most 2,400 characters from up to four places in it.

    Shares are of 0..1 and of the sample. Words are what stands between blanks, and have a letter or a digit; tokens
    are words and the marks that stand alone.

    Gopher, quality: `words` (of the whole text, estimated from the sample), `mean_word_length` in characters,
    `hash_signs` and `ellipses` per token, `bullet_lines`, `ellipsis_lines`, `words_with_letters` (share of tokens),
    `stop_words` (how many of eight English ones occur). Gopher, repetition: `duplicate_lines`, `duplicate_paragraphs`
    and the characters in them, `top_2_gram` to `top_4_gram` (characters in the commonest), `duplicate_5_grams` to
    `duplicate_10_grams` (characters in those seen before). C4: `sentences` in lines of three words and more (of the
    whole text, estimated), `curly_brackets` and `lorem_ipsum` (1 where they occur). FineWeb: `ended_lines` (share of
    lines that end in a terminal mark), `short_lines` (30 characters and less), `repeated_line_characters` (in lines
    seen before, without newlines), `newlines_to_words` (newlines per token)."""
    sample = _sample(text)
    scale = len(text) / max(1, len(sample))
    lines = [stripped for line in sample.split("\n") if (stripped := line.strip())]
    tokens = sample.split()
    count = max(1, len(tokens))
    # Few are left to look at letter by letter: numbers, marks, words with a mark.
    others = [token for token in filterfalse(str.isalpha, tokens) if not token[0].isalpha()]
    no_letters = [token for token in others if not any(map(str.isalpha, token))]
    marks = [token for token in no_letters if not any(map(str.isalnum, token))]
    words = len(tokens) - len(marks)
    word_characters = sum(map(len, tokens)) - sum(map(len, marks))
    signals = {
        "words": round(words * scale),
        "mean_word_length": word_characters / max(1, words),
        "hash_signs": sample.count("#") / count,
        "ellipses": (sample.count("...") + sample.count("…")) / count,
        **_line_signals(sample, lines),
        "words_with_letters": 1 - len(no_letters) / count,
        "stop_words": sum([word in tokens for word in _STOP_WORDS]),
        **_repetition(sample, tokens),
        "sentences": round(_sentences(sample, lines) * scale),
        "curly_brackets": 1.0 * ("{" in sample),
        "lorem_ipsum": 1.0 * ("orem ipsum" in sample),
        "newlines_to_words": sample.count("\n") / count,
    }
    return {name: round(value, 4) for name, value in signals.items()}


def failed_rules(signals: Mapping[str, float], language: str) -> list[str]:
    """The names of the rules ("gopher: mean word length") that a text with these signals breaks.

    `language` is what `find_language` gave: the stop words are for English alone, the rules that count words do not
    apply to languages written without blanks, and none to code."""
    return [
        name for name, signal, least, most in _rules(language) if not least <= signals[signal] <= most
    ]  # fmt: skip


def score_quality(signals: Mapping[str, float], language: str) -> float:
    """The share of the rules for this language that a text with these signals keeps, 0..1; 1 for code."""
    rules = len(_rules(language))
    return round(1 - len(failed_rules(signals, language)) / rules, 4) if rules else 1.0


@cache
def _rules(language: str) -> list[tuple[str, str, float, float]]:
    if language == "code":
        return []
    left_out = (_ENGLISH if language != "en" else frozenset()) | (_OF_WORDS if language in _UNSPACED else frozenset())
    return [rule for rule in _RULES if rule[1] not in left_out]


def _sample(text: str) -> str:
    if len(text) <= _SAMPLE:
        return text
    size = _SAMPLE // _PLACES
    parts = []
    for place in range(_PLACES):
        start = place * (len(text) - size) // (_PLACES - 1)
        end = start + size
        if start and text[start - 1] != "\n":
            start = text.find("\n", start, end) + 1 or text.find(" ", start, end) + 1 or start
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or text.rfind(" ", start, end) + 1 or end
        parts.append(text[start:end])
    return "\n".join([part.removesuffix("\n") for part in parts])


def _line_signals(sample: str, lines: list[str]) -> dict[str, float]:
    count = max(1, len(lines))
    paragraphs = [paragraph for part in sample.split("\n\n") if (paragraph := part.strip("\n"))]
    line_copies, line_characters = _copies(lines)
    paragraph_copies, paragraph_characters = _copies(paragraphs)
    characters = max(1, len(sample))
    return {
        "bullet_lines": sum([line.startswith(("•", "-")) for line in lines]) / count,
        "ellipsis_lines": sum([line.endswith(("...", "…")) for line in lines]) / count,
        "duplicate_lines": line_copies / count,
        "duplicate_line_characters": line_characters / characters,
        "duplicate_paragraphs": paragraph_copies / max(1, len(paragraphs)),
        "duplicate_paragraph_characters": paragraph_characters / characters,
        "ended_lines": sum([line.endswith(_TERMINAL) for line in lines]) / count,
        "short_lines": sum([len(line) <= 30 for line in lines]) / count,
        "repeated_line_characters": line_characters / max(1, characters - sample.count("\n")),
    }


def _copies(items: list[str]) -> tuple[int, int]:
    """How many items have come before, and the characters in them."""
    distinct = set(items)
    if len(distinct) == len(items):
        return 0, 0
    return len(items) - len(distinct), sum(map(len, items)) - sum(map(len, distinct))


def _repetition(sample: str, tokens: list[str]) -> dict[str, float]:
    """Gopher's n-gram signals, on one number for each n-gram: 64-bit hashes, which collide once in 10^13 samples.

    `again` has the n-grams that repeat, in order, each as often as it comes again."""
    characters = max(1, len(sample))
    signals = dict.fromkeys(_GRAM_SIGNALS, 0.0)
    hashes = np.fromiter(map(hash, tokens), np.int64, len(tokens)).view(np.uint64)
    grams = hashes
    repeats = True
    for n, signal in enumerate(_GRAM_SIGNALS, 2):
        if len(tokens) < n:
            break
        if repeats:
            grams = grams[:-1] * _MULTIPLIER + hashes[n - 1 :]
            ordered = np.sort(grams)
            again = ordered[1:][ordered[1:] == ordered[:-1]]
            repeats = len(again) > 0  # where no n-gram repeats, no longer one does
        if n < 5:
            found = _top_gram(grams, again, tokens, n) if repeats else len(" ".join(tokens[:n]))
        else:
            found = _seen_before(grams, again, tokens, n) if repeats else 0
        signals[signal] = found / characters
    return signals


def _top_gram(grams: np.ndarray, again: np.ndarray, tokens: list[str], n: int) -> int:
    """The characters that the commonest n-gram takes, its blanks included; of equals the first."""
    copies = Counter(again.tolist())
    most = max(copies.values())
    commonest = np.array([gram for gram, count in copies.items() if count == most], np.uint64)
    first = int((grams == commonest[0] if len(commonest) == 1 else _among(grams, commonest)).argmax())
    return (most + 1) * len(" ".join(tokens[first : first + n]))


def _seen_before(grams: np.ndarray, again: np.ndarray, tokens: list[str], n: int) -> int:
    """The characters in n-grams that have come before, none counted twice."""
    seen: set[int] = set()
    found = end = 0
    places = _among(grams, again).nonzero()[0]
    for at, gram in zip(places.tolist(), grams[places].tolist(), strict=True):
        if at < end:
            continue
        if gram in seen:
            found += sum(map(len, tokens[at : at + n]))
            end = at + n
        else:
            seen.add(gram)
    return found


def _among(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    return ordered[places] == values


def _sentences(sample: str, lines: list[str]) -> int:
    kept = [line for line in lines if line.count(" ") > 1 or not line.isascii()]
    if any(part in sample for part in _UNWANTED_PARTS):
        kept = [line for line in kept if not any(phrase in line.lower() for phrase in _UNWANTED)]
    # A line that ends in no mark holds one sentence more than it has marks.
    return len(_SENTENCE.findall("\n".join(kept))) + sum([not line.endswith(_ENDS) for line in kept])
