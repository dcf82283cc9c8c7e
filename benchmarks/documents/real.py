"""Real documents: against the truth beside them (NAME.tif and NAME.txt), or else the tools against each other."""

import re
from collections.abc import Mapping
from pathlib import Path

from measure import character_error_rate, letters, order_score, word_scores
from tools import OURS, run_tool

_SUFFIXES = {".pdf", ".docx", ".pptx", ".xlsx", ".odt", ".epub", ".rtf", ".html", ".eml"}
_SUFFIXES |= {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


def compare_real(folder: Path, tools: Mapping[str, str | None], limit: float) -> None:
    """Prints for each document under `folder` and each tool the scores of `measure`: where a text of the same name
    lies beside it (NAME.txt, NAME.gold.txt), against that, the words broken at its lines' ends made whole; else
    groundup's words against each alternative's: the share of its words that we have, of our words that it has."""
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in _SUFFIXES and file.is_file():
            texts = {}
            print(f"\n{file.relative_to(folder)}")
            for tool, python in tools.items():
                reads = run_tool(tool, python, [file], file, limit)
                if reads.texts[0] is None:
                    if reads.status != "not for this":
                        print(f"  {tool:12} {reads.status}: {' '.join(reads.reason.split())[:90]}".rstrip(": "))
                    continue
                texts[tool] = letters(reads.texts[0])
                print(
                    f"  {tool:12} {_scores(file, texts, tool)}  {reads.cpu:6.2f} s  {reads.rss / 1e6:4.0f} MB",
                    flush=True,
                )


def _scores(file: Path, texts: Mapping[str, str], tool: str) -> str:
    beside = [path for suffix in (".txt", ".gold.txt") if (path := file.with_suffix(suffix)).exists()]
    if not beside:
        if tool == OURS or OURS not in texts:
            return f"{len(texts[tool].split()):6} words" + " " * 38
        theirs, ours = word_scores(texts[tool], texts[OURS])
        order = order_score(texts[tool], texts[OURS])
        shared = f"we have {theirs:6.1%} of its words, it {ours:6.1%} of ours"
        return f"{len(texts[tool].split()):6} words, {shared}" + (f", order {order:.2f}" if order is not None else "")
    truth = letters(re.sub(r"(?<=[a-z])-\n(?=[a-z])", "", beside[0].read_text("utf-8")))
    rate = character_error_rate(truth, texts[tool])
    recall, precision = word_scores(truth, texts[tool])
    order = order_score(truth, texts[tool])
    shown = "-" if rate is None else f"{rate:.2%}"
    return f"CER {shown}, words {recall:.1%} / {precision:.1%}" + (f", order {order:.2f}" if order is not None else "")
