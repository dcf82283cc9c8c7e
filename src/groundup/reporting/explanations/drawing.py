"""What the explanations are drawn with: tables, bars and a curve in characters; none of them needs color."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.table import Table

from groundup.reporting.tokens import visible
from groundup.reporting.wording import shorten, tail

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LEVELS = " ▁▂▃▄▅▆▇█"


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table without lines; the columns named in `right` are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=True)
    return made


def bar(share: float, width: int = 20) -> str:
    """A bar of `share` (0 to 1) of `width` columns, to an eighth of a column."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def columns(values: Sequence[float], height: int, high: float) -> list[str]:
    """One column of blocks for each value from 0 to `high`, as `height` lines from the top."""
    eighths = [round(min(max(value / high, 0.0), 1.0) * height * 8) for value in values]
    return ["".join(_LEVELS[min(max(n - 8 * row, 0), 8)] for n in eighths) for row in reversed(range(height))]


def cell(text: str, width: int = 24) -> str:
    """A token as text with its white space made visible, cut to `width` columns."""
    shown = visible(text)
    return shown if cell_len(shown) <= width else set_cell_size(shown, width - 1) + "…"


def quote(result: Mapping[str, Any], key: str = "text") -> list[str]:
    """The text that a result is shown on, or its beginning, and the held-out document that it is from."""
    source = [f"  {tail(result['source'], 76)}"] if result["source"] else []
    return [f"“{shorten(result[key], 600)}”", *source]
