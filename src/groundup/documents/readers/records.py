"""What a record (a JSON object, a row of a table) gives to learn from: its text by one of the usual names, or the
column or template that `options.text` asks for."""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

from groundup.documents.document import Document
from groundup.documents.encoding import plain
from groundup.documents.reading import Reading, Unreadable

TEXT_FIELDS = (
    "text",
    "content",
    "body",
    "article",
    "document",
    "raw_content",
    "page_content",
    "markdown",
    "passage",
    "story",
    "code",
)
_PLACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_TRIED = 1000
_SHOWN = 30
_MISSING = object()


class Template:
    """A column's name, or a text with the names of fields in braces: "{title}\\n\\n{body}".

    "{a.b}" is the field "a.b" or else the field "b" in field "a" (a number counts in a list, from 0); "{{" and
    "}}" are braces. Nothing is evaluated."""

    def __init__(self, option: str) -> None:
        """Raises Unreadable for a template that names no field."""
        self.parts: list[tuple[str, bool]] = []
        """Pieces of text, and the names of fields (True) between them."""
        if "{" not in option:
            self.parts.append((option, True))
        else:
            # A shell hands on the two characters \\n where a new line was meant.
            option = option.replace("\\n", "\n").replace("\\t", "\t")
            end = 0
            for place in _PLACES.finditer(option):
                self.parts.append((option[end : place.start()], False))
                self.parts.append((place[1].strip(), True) if place[1] else (place[0][0], False))
                end = place.end()
            self.parts.append((option[end:], False))
        self.names = tuple(dict.fromkeys(name for name, is_field in self.parts if is_field))
        if not self.names:
            raise Unreadable(f"the template {option!r} of data.text names no field, as {{title}} does")

    def text(self, record: Any) -> str:
        """The template with the record's values; "" when all of them are blank."""
        values = {name: _shown(found(record, name)) for name in self.names}
        if not any(value.strip() for value in values.values()):
            return ""
        return plain("".join(values[part] if is_field else part for part, is_field in self.parts))


def found(record: Any, name: str) -> Any:
    """The value of a field, which may be nested; None also where there is no such field."""
    value = _find(record, name)
    return None if value is _MISSING else value


def no_field(missing: Iterable[str], there: Iterable[str], tried: str) -> Unreadable:
    """The error for fields that are not there, with the names that are."""
    names = list(there)
    shown = ", ".join(repr(name[:60]) for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    fields = " and ".join(repr(name) for name in missing)
    return Unreadable(f"{tried} has the field {fields} of data.text; there are {shown or 'no fields'}")


def text_of(value: Any) -> str:
    """The text in a JSON value: its text field, or all it holds as "name: value" lines.

    Nested names are joined by dots ("address.city"), values of a list each have a line, and a list of texts alone gives
    them without a name. Blank texts, null and empty lists have no line."""
    if isinstance(value, dict):
        for name in TEXT_FIELDS:
            if isinstance(text := value.get(name), str) and text.strip():
                return plain(text)
        return plain("\n".join(_lines(value, "")))
    return plain("\n".join(_lines(value, "") if isinstance(value, list) else [_shown(value)]))


def _lines(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _lines(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for item in value:
            yield from _lines(item, name)
    elif (text := _shown(value)).strip():
        yield f"{name}: {text}" if name else text


def documents(records: Iterable[tuple[int, Any]], reading: Reading, name: str = "") -> Generator[Document, None, int]:
    """One document for each numbered record that has text, called `name` (default: the source and "#") and its
    number; returns how many have none.

    Raises Unreadable for a field of `options.text` that none of the first 1,000 records has: they are held back
    until all its fields were seen."""
    name = name or f"{reading.source}#"
    template = Template(reading.options.text) if reading.options.text else None
    unseen = set(template.names) if template else set()
    there: dict[str, None] = {}
    held: list[Document] = []
    size = no_text = tried = 0
    for number, record in records:
        text = template.text(record) if template else text_of(record)
        if unseen:
            tried += 1
            unseen = {name for name in unseen if _find(record, name) is _MISSING}
            if isinstance(record, Mapping) and len(there) <= _SHOWN:
                there.update(dict.fromkeys(record))
            if unseen and (tried >= _TRIED or size > reading.limits.piece_bytes):
                break
        if text and not text.isspace():
            held.append(Document(text, f"{name}{number}", reading.media_type))
            size += len(text)
        else:
            no_text += 1
        if not unseen:
            yield from held
            held.clear()
        if number % 10_000 == 0:
            reading.tick()
    if unseen and tried:
        first = f"none of the first {tried:,} records" if tried >= _TRIED else "no record"
        raise no_field(sorted(unseen), there, first)
    return no_text


def _find(record: Any, name: str) -> Any:
    if isinstance(record, Mapping) and name in record:
        return record[name]
    value = record
    for key in name.split(".") if "." in name else ():
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and len(key) < 9 and int(key) < len(value):
            value = value[int(key)]
        else:
            return _MISSING
    return _MISSING if value is record else value


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return "\n".join(leaf for leaf in _leaves(value) if leaf.strip())
    return json.dumps(value, default=str)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
