"""The pages of documentation, their blocks, and the commands in these."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]


def all_pages() -> list[str]:
    """Every page of Markdown that users read, relative to the repository."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of `language` of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def command_lines(page: str) -> list[str]:
    """Each command line of a page's shell blocks; lines that go on are joined, those that only comment left out."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if words(line)]


def words(line: str) -> list[str]:
    """The words of a command line, with `|`, `>` and `&&` as words of their own, without its comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    return list(lexer)


def programs(line: str) -> list[list[str]]:
    """The programs of a command line with their arguments, without what is set for them and where they write to."""
    found: list[list[str]] = [[]]
    skip = False
    for word in words(line):
        if word in ("|", "&&", ";", "||"):
            found.append([])
        elif word in (">", ">>", "<"):
            skip = True
        elif skip:
            skip = False
        elif found[-1] or not re.fullmatch(r"[A-Z_]+=.*", word):
            found[-1].append(word)
    return [program for program in found if program]
