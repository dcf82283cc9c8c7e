"""A result of `groundup explain` as lines of text."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from groundup.reporting.tables import render


def describe_explanation(result: Mapping[str, Any], *, color: bool = False, width: int = 80) -> str:
    """What `explain` found, as lines of at most `width` columns; with ANSI colors where `color` is asked."""
    topic = result["topic"]
    show = getattr(import_module(f"groundup.reporting.explanations.{topic}"), f"show_{topic}")
    return render(show(result), width, color=color)
