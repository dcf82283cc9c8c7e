"""What the settings `data.*` make of a file: the text that training would see."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from groundup.config import Config
from groundup.corpus.texts.cleaning import clean_document
from groundup.documents import Document, FileRecord, Options, Server, read_documents


def reading_options(data: Mapping[str, Any]) -> Options:
    """The settings `data.*`, by name, that decide what is taken out of a file."""
    return Options(**{field.name: data[field.name] for field in fields(Options)})


def read_clean(paths: Sequence[Path | Server], config: Config) -> Iterator[Document | FileRecord]:
    """`read_documents`, cleaned and masked as for training; documents that are blank then are left out."""
    data = config.data
    for item in read_documents(paths, options=reading_options(asdict(data)), exclude=data.exclude):
        if isinstance(item, Document):
            item = clean_document(item, data.clean, data.mask)[0]
            if not item.text.strip():
                continue
        yield item
