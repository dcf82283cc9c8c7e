"""What `.gitignore` files and the user's own patterns leave out, by the rules of gitignore(5); no pattern takes more
than linear time."""

import fnmatch
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MOST_BYTES = 1 << 20
_MOST_PATTERNS = 2_000
_ESCAPED = re.compile(r"\\.")
_BRACKET = re.compile(r"\[[!^]?\]?[^]]*\]")


@dataclass
class Ignores:
    """The patterns of a repository, as far as its folders have been entered; deeper and later ones decide."""

    patterns: list[tuple[tuple[str, ...], list["_Pattern"]]] = field(default_factory=list)

    def enter(self, folder: Path, inside: tuple[str, ...]) -> None:
        """Adds the .gitignore file of a folder, which is at `inside` in the repository, and drops those of folders
        that were left."""
        self.patterns = [(place, found) for place, found in self.patterns if place == inside[: len(place)]]
        self.add(folder / ".gitignore", inside)

    def add(self, path: Path, inside: tuple[str, ...]) -> None:
        """Adds the patterns in a file."""
        lines = (read_small(path, _MOST_BYTES) or b"").decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        self.take(lines.split("\n")[:_MOST_PATTERNS], inside)

    def take(self, lines: Sequence[str], inside: tuple[str, ...] = ()) -> None:
        """Adds patterns, a line each."""
        found = [pattern for line in lines if (pattern := _parse(line))]
        if found:
            self.patterns.append((inside, found[::-1]))

    def ignored(self, parts: tuple[str, ...], is_folder: bool) -> bool:
        """Whether the file or folder at `parts`, whose folder is not ignored itself, is."""
        for place, patterns in reversed(self.patterns):
            if place != parts[: len(place)]:
                continue  # a folder that was left
            for pattern in patterns:
                if (is_folder or not pattern.folders_only) and _matches(pattern, parts[len(place) :]):
                    return not pattern.negated
        return False


def read_small(path: Path, most: int) -> bytes | None:
    """The bytes of a regular file of at most `most` bytes; None for all else. Never waits, as a FIFO would make it."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            return file.read(most) if stat.S_ISREG(status.st_mode) and status.st_size <= most else None
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class _Pattern:
    steps: tuple[re.Pattern[str] | None, ...]
    """One for each name of a path; None is `**`, any number of names."""
    anchored: bool
    folders_only: bool
    negated: bool


def _parse(line: str) -> _Pattern | None:
    line = line.removesuffix("\r")
    while line.endswith(" ") and not line.endswith("\\ "):
        line = line[:-1]
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line.removeprefix("!") if negated else line
    folders_only = line.endswith("/")
    line = line.removesuffix("/")
    anchored = "/" in line
    names = line.removeprefix("/").split("/")
    if not line or names == [""]:
        return None
    if any("[" in _BRACKET.sub("", _ESCAPED.sub("", name)) for name in names):
        return None  # what is not closed matches nothing
    steps = [None if name == "**" else re.compile(_expression(name), re.DOTALL) for name in names]
    if steps[-1] is None and len(steps) > 1:
        steps.append(re.compile(".*", re.DOTALL))  # "a/**" is everything in a, and not a itself
    return _Pattern(tuple(steps), anchored, folders_only, negated)


def _expression(name: str) -> str:
    """A regular expression for a name; fnmatch's takes no time that grows out of hand, as its stars never go back."""
    text, at = "", 0
    while at < len(name):
        if name[at] == "\\" and at + 1 < len(name):
            at += 1
            text += f"[{name[at]}]" if name[at] in "*?[" else name[at]
        elif name[at] == "[" and (found := _BRACKET.match(name, at)):
            text += "[!" + found[0][2:] if found[0].startswith("[^") else found[0]
            at = found.end() - 1
        else:
            text += name[at]
        at += 1
    return fnmatch.translate(text)


def _matches(pattern: _Pattern, parts: tuple[str, ...]) -> bool:
    if not pattern.anchored:
        step = pattern.steps[0]
        return step is None or step.match(parts[-1]) is not None
    # which of the first steps are done after each name: as many states as steps, however many `**` there are
    done = _past_stars(pattern, {0})
    for part in parts:
        following = set()
        for state in done:
            if state < len(pattern.steps):
                step = pattern.steps[state]
                if step is None:
                    following.add(state)
                elif step.match(part):
                    following.add(state + 1)
        done = _past_stars(pattern, following)
        if not done:
            return False
    return len(pattern.steps) in done


def _past_stars(pattern: _Pattern, states: set[int]) -> set[int]:
    reached = set(states)
    for state in states:
        while state < len(pattern.steps) and pattern.steps[state] is None:
            state += 1
            reached.add(state)
    return reached
