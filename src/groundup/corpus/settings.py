"""What the settings `data.*` ask of the readers."""

from groundup.config import Config
from groundup.documents import Options


def reading_options(config: Config) -> Options:
    """The part of `config` that decides what is taken out of a file."""
    data = config.data
    return Options(ocr=data.ocr, html=data.html, text=data.text, query=data.query)
