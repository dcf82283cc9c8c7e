"""The text that an explanation is shown on: the user's own, else a sentence that training has never seen."""

from dataclasses import dataclass

from groundup.corpus import find_origin
from groundup.errors import UserError
from groundup.insight.subject import Subject
from groundup.seeds import derive

SHORTEST, LONGEST = 60, 240  # characters: enough to show context at work, and still one glance
_TRIES = 64  # documents looked into: some are lists, tables or code without sentences
_OPENING = 4_000  # tokens read of each


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and where it is from."""

    text: str
    source: str | None
    """The document's name; None where the text was given."""
    held_out: bool
    """Whether it is from the validation split."""


def choose_passage(subject: Subject, text: str | None, *, seed: int = 0) -> Passage:
    """`text` itself, else a sentence (or two short ones) of the validation split; `seed` chooses which.

    Of a run that held nothing out, one of the training text. Raises UserError for a text without characters, or one
    that is no Unicode.
    """
    if text is not None:
        return Passage(checked(text), None, False)
    corpus = subject.corpus
    held_out = len(corpus.validation) > 0
    split = "validation" if held_out else "train"
    stream = corpus.validation if held_out else corpus.train
    count = len(stream.document_ends)
    first, fallback = derive(seed, "passage") % count, ""
    for number in range(first, first + min(count, _TRIES)):
        opening = corpus.tokenizer.decode(stream.document(number % count)[:_OPENING].tolist())
        sentences = _sentences(opening)
        if sentences:
            chosen = sentences[derive(seed, "passage", number) % len(sentences)]
            return Passage(chosen, _source(subject, split, number % count), held_out)
        fallback = fallback or opening[:LONGEST].strip()
    return Passage(fallback or corpus.tokenizer.decode(stream.document(0)[:40].tolist()), None, held_out)


def checked(text: str) -> str:
    """`text` as it was given. Raises UserError for one without characters, or one that is no Unicode."""
    try:
        empty = not text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as arguments that are not UTF-8 give it
        raise UserError("the text is not Unicode", where="--text", fix="write it in UTF-8") from None
    if empty:
        raise UserError("the text is empty", where="--text", fix="give a text, or leave it out")
    return text


def _sentences(text: str) -> list[str]:
    """Stretches of SHORTEST to LONGEST characters that begin a paragraph and end with a sentence."""
    found = []
    for paragraph in text.split("\n")[:-1] or [text]:
        paragraph = paragraph.strip()
        ends = [
            at + 1
            for at, character in enumerate(paragraph[: LONGEST + 1])
            if character in ".!?" and (at + 1 == len(paragraph) or paragraph[at + 1] == " ")
        ]
        fitting = [end for end in ends if SHORTEST <= end <= LONGEST]
        if fitting and paragraph[0].isalpha():
            found.append(paragraph[: fitting[0]])
    return found


def _source(subject: Subject, split: str, number: int) -> str:
    """The name of a document of a split."""
    stream = getattr(subject.corpus, split)
    start = int(stream.document_ends[number - 1]) if number else 0
    return find_origin(subject.corpus, stream.place(start)).source
