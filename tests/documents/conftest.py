"""What the tests of the readers share: reading a path to the end, and measuring how far two texts differ."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from groundup.documents import Document, FileRecord, read_documents

Read = Callable[..., tuple[list[Document], list[FileRecord]]]


@pytest.fixture
def read() -> Read:
    def all_of(*paths: Path, **settings) -> tuple[list[Document], list[FileRecord]]:
        settings.setdefault("workers", 1)
        items = list(read_documents(paths, **settings))
        documents = [item for item in items if isinstance(item, Document)]
        return documents, [item for item in items if isinstance(item, FileRecord)]

    return all_of


@pytest.fixture
def error_rate() -> Callable[[str, str], float]:
    """Edit distance in characters over the length of the truth, with all white space alike."""

    def rate(text: str, truth: str) -> float:
        a, b = (np.array([ord(c) for c in " ".join(s.split())]) for s in (text, truth))
        row = np.arange(len(a) + 1)
        for index, letter in enumerate(b, 1):
            best = np.minimum(row[1:] + 1, row[:-1] + (a != letter))
            best = np.concatenate([[index], best]) - np.arange(len(a) + 1)
            row = np.minimum.accumulate(best) + np.arange(len(a) + 1)
        return float(row[-1]) / len(b)

    return rate


@pytest.fixture
def repack() -> Callable[[Path, Path, dict[str, bytes]], Path]:
    """Copies a zip file with some of its members replaced or added."""

    def packed(source: Path, target: Path, parts: dict[str, bytes]) -> Path:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
            for name in dict.fromkeys([*old.namelist(), *parts]):
                new.writestr(name, parts[name] if name in parts else old.read(name))
        return target

    return packed
