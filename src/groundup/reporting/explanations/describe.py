"""A result of `groundup explain` as lines of text."""

from collections.abc import Mapping
from importlib import import_module
from io import StringIO
from typing import Any

from rich.console import Console


def describe_explanation(result: Mapping[str, Any], *, color: bool = False, width: int = 80) -> str:
    """What `explain` found, as lines of at most `width` columns; with ANSI colors where `color` is asked."""
    topic = result["topic"]
    show = getattr(import_module(f"groundup.reporting.explanations.{topic}"), f"show_{topic}")
    out = StringIO()
    Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="truecolor" if color else None,
        legacy_windows=False,
        highlight=False,
        markup=False,  # texts and names are other people's
        emoji=False,
    ).print(show(result))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").splitlines())
