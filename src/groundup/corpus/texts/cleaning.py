"""Prose made fit to learn from: wrong decodings, character forms, controls, page furniture and blank lines.

Each cleaner can be left out, and says how many characters it removed or changed. Code is exempt from all of them.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from groundup.corpus.texts.boilerplate import drop_boilerplate
from groundup.corpus.texts.masking import mask_emails, mask_keys, mask_phones
from groundup.documents.document import Document

_PROSE = {"text/x-rst", "text/x-tex", "text/x-sbv", "text/x-ssa"}  # markup and subtitles
_NOTEBOOK = "application/x-ipynb+json"
_EXACT = {"mojibake", "nfc"}  # they change letters, and so may change what a notebook's code means


def is_code(media_type: str) -> bool:
    """Whether texts of this media type are source code, which no cleaner touches."""
    return media_type.startswith("text/x-") and media_type not in _PROSE


def clean_document(
    document: Document, cleaners: Sequence[str], masks: Sequence[str]
) -> tuple[Document, dict[str, int]]:
    """The document after `cleaners` and then `masks`, in their order; and how many characters each removed or changed.

    The names are those of `data.clean` and `data.mask`; filters that changed nothing are not in the counts. Masks
    apply to code, too. Pages are cleaned one by one, so that their offsets stay right: nothing is found across the
    end of a page.
    """
    if is_code(document.media_type):
        cleaners = ()
    elif document.media_type == _NOTEBOOK:
        cleaners = [name for name in cleaners if name not in _EXACT]
    filters = [(name, _CLEANERS[name]) for name in cleaners] + [(name, _MASKS[name]) for name in masks]
    counts: dict[str, int] = {}
    bounds = sorted({0, *document.pages, len(document.text)})
    parts: list[str] = []
    moved, length = {0: 0}, 0
    for start, end in pairwise(bounds):
        part = document.text[start:end]
        for name, clean in filters:
            part, changed = clean(part, document.media_type)
            if changed:
                counts[name] = counts.get(name, 0) + changed
        parts.append(part)
        length += len(part)
        moved[end] = length
    if not counts:
        return document, counts
    pages = tuple(moved[page] for page in document.pages)
    return replace(document, text="".join(parts), pages=pages), counts


# Mojibake: UTF-8 that was read as an encoding of one byte per character. ftfy repairs it, at 4 MB/s or less, and is
# asked only about lines that have, for one of these encodings, what the first two bytes of a UTF-8 sequence become.


def _characters(codec: str, values: Sequence[int]) -> str:
    return "".join(re.escape(bytes([value]).decode(codec, "ignore")) for value in values)


_NEXT = range(0x80, 0xC0)
_FEW = [0xC2, 0xC3, 0xC4, 0xC5, 0xCE, 0xCF, 0xD0, 0xD1, 0xE2]  # the starts of Latin, Greek, Cyrillic, punctuation
_PAIRS = [
    (_characters("cp1252", range(0xC2, 0xF5)), _characters("cp1252", _NEXT) + "\x80-\x9f"),
    ("ÃÂ", " "),  # the second character was a no-break space
    *((_characters(codec, _FEW), _characters(codec, _NEXT)) for codec in ("cp1250", "cp1254", "cp1257", "mac_roman")),
    (_characters("cp437", [0xC2, 0xC3, 0xE2]), _characters("cp437", _NEXT)),
    ("вβ", "Ђ€"),
]
# Cyrillic and Greek letters lie where the Latin encodings have marks: there, two sequences must follow each other.
_TWICE = [(_characters(codec, _FEW[:-1]), _characters(codec, _NEXT)) for codec in ("cp1251", "cp1253")]
# The set at the front is what makes the search fast.
_SUSPECT = re.compile(
    f"[{''.join(first for first, _ in _PAIRS + _TWICE)}](?:"
    + "|".join(
        [f"(?<=[{first}])[{second}]" for first, second in _PAIRS]
        + [f"(?<=[{first}])[{second}][{first}][{second}]" for first, second in _TWICE]
    )
    + ")"
)


def _mojibake(text: str, media_type: str) -> tuple[str, int]:
    if text.isascii() or not _SUSPECT.search(text):
        return text, 0
    import ftfy  # takes 80 ms, and most corpora need it rarely

    lines = text.split("\n")
    changed = 0
    for number, line in enumerate(lines):
        if not line.isascii() and _SUSPECT.search(line) and (fixed := ftfy.fix_encoding(line)) != line:
            changed += _gone(line, fixed)
            lines[number] = fixed
    return "\n".join(lines) if changed else text, changed


def _gone(old: str, new: str) -> int:
    """How many characters of `old` are not in `new`; at least 1, as characters may only have changed places."""
    return max(1, (Counter(old) - Counter(new)).total())


def _nfc(text: str, media_type: str) -> tuple[str, int]:
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text, 0
    normal = unicodedata.normalize("NFC", text)
    return normal, _gone(text, normal)


_C0 = bytes([*range(9), *range(11, 32), 127])
# The joiners U+200C/D, the direction marks and the variation selectors are spelling in many scripts, and stay.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u2028\u2029\u2060-\u2064\u206a-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffc\ufffe\uffff]"
)
_BREAKS = re.compile("[\x0b\x0c\x85\u2028\u2029]")
_TERMINAL = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]")  # colors and cursor movements
_OVERSTRIKE = re.compile("[^\n\x08]\x08")  # the bold face and underlining of printed manual pages


def _controls(text: str, media_type: str) -> tuple[str, int]:
    if text.isascii():
        if len(text.encode().translate(None, _C0)) == len(text):  # four times as fast as the expression
            return text, 0
    elif not _CONTROLS.search(text):
        return text, 0
    before = len(text)
    text, breaks = _BREAKS.subn("\n", text)
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    if "\b" in text:
        text = _OVERSTRIKE.sub("", text)
    text = _CONTROLS.sub("", text)
    return text, breaks + before - len(text)


_BLANK_LINES = re.compile("\n{4,}")


def _blank_lines(text: str, media_type: str) -> tuple[str, int]:
    """No blanks at the ends of lines; at most two blank lines in a row."""
    trimmed = "\n".join([line.rstrip() for line in text.split("\n")])
    if "\n\n\n\n" in trimmed:
        trimmed = _BLANK_LINES.sub("\n\n\n", trimmed)
    return trimmed, len(text) - len(trimmed)


_CLEANERS: dict[str, Callable[[str, str], tuple[str, int]]] = {
    "mojibake": _mojibake,
    "nfc": _nfc,
    "controls": _controls,
    "boilerplate": drop_boilerplate,
    "blank_lines": _blank_lines,
}
_MASKS: dict[str, Callable[[str, str], tuple[str, int]]] = {
    "keys": mask_keys,
    "emails": mask_emails,
    "phones": mask_phones,
}
