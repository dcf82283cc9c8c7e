"""tokenizer.json as it may come from anyone: what is in it that this program would obey is compared before the
tokenizers library sees it."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from groundup.errors import UserError
from groundup.runs import read_text

_NORMALIZERS = (None, "NFC", "NFD", "NFKC", "NFKD", "Lowercase")
_MOST_ENTRIES = 1 << 22  # as of the rows of an embedding matrix


def read_backend(path: Path, ours: Backend) -> Backend:
    """The tokenizer of a tokenizer.json whose text is split as `ours` splits it.

    A file could bring a pattern that takes forever, on compiling it or on a text: only our own is let through.
    Raises UserError naming the file when it is missing, damaged, or of another kind.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
        _check(content, json.loads(ours.to_str()))
        return Backend.from_str(text)
    except BaseException as error:  # the library raises bare Exception, and a panic that is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError):
            raise
        raise UserError(f"is not a byte-level tokenizer of groundup: {str(error)[:500]}", where=path) from None


def _check(content: Any, ours: dict[str, Any]) -> None:
    model, added = content["model"], content["added_tokens"]
    for part in ("pre_tokenizer", "decoder"):
        if not _within(content[part], ours[part]):
            raise ValueError(f"its {part} is another")
    if content.get("padding") or content.get("truncation"):  # a text could be padded until memory ends
        raise ValueError("it pads or truncates")
    if (content.get("normalizer") or {"type": None})["type"] not in _NORMALIZERS:
        raise ValueError("its normalizer is another")
    if model["type"] != "BPE" or model.get("dropout") is not None:
        raise ValueError("its model is another")
    vocab = model["vocab"]
    if not isinstance(vocab, dict) or len(vocab) > _MOST_ENTRIES or len(added) > _MOST_ENTRIES:
        raise ValueError("its vocabulary has too many entries")
    ids = [*vocab.values(), *(token["id"] for token in added)]
    if any(type(index) is not int or not 0 <= index < _MOST_ENTRIES for index in ids):
        raise ValueError("its tokens have numbers that cannot be")


def _within(given: Any, ours: Any) -> bool:
    """Whether `given` says nothing but what `ours` says: an earlier release of the library may have said less."""
    if isinstance(given, dict) and isinstance(ours, dict):
        return given.keys() <= ours.keys() and all(_within(value, ours[key]) for key, value in given.items())
    if isinstance(given, list) and isinstance(ours, list):
        return len(given) == len(ours) and all(map(_within, given, ours))
    return type(given) is type(ours) and given == ours
