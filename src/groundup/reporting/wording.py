"""How figures, and texts that come from other people's documents, are written for a person to read."""

import math
from collections.abc import Callable, Mapping
from typing import Any


def finite(value: Any) -> bool:
    """Whether `value` is a number that can be shown (booleans, NaN and infinities cannot)."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # JSON knows integers beyond every float
        return False


def number(value: Any, digits: int = 3) -> str:
    """`3.142`; a dash for what is not a finite number."""
    if not finite(value):
        return "–"
    return f"{value:.3g}" if abs(value) >= 1e6 else f"{value:,.{digits}f}"


def whole(value: Any) -> str:
    """`1,234,567`; a dash for what is not a finite number."""
    return f"{round(value):,}" if finite(value) else "–"


def rate(value: Any) -> str:
    """A learning rate: `3.0e-03`."""
    return f"{value:.1e}" if finite(value) else "–"


def digits(value: Any, significant: int = 5) -> str:
    """So many significant digits, as a calculator shows them: `0.095238`, `1600`, `2.1e-09`."""
    return f"{value:.{significant}g}" if finite(value) else "–"


def percent(share: Any) -> str:
    """`61%`, `2.4%`, `0.03%`, `<0.01%`."""
    if not finite(share):
        return "–"
    if 0 < share < 0.0001:
        return "<0.01%"
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}" if share >= 0.00095 or share == 0 else f"{share:.2%}"


def short(value: Any) -> str:
    """`18.3k`, `2.1M`: three digits and a decimal prefix."""
    if not finite(value):
        return "–"
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit * 0.9995:
            return f"{value / limit:.3g}{letter}" if abs(value) < limit * 999.5 else f"{value / limit:.0f}{letter}"
    return f"{value:.3g}"


def size(value: Any) -> str:
    """Bytes in decimal units: `4.2 MB`."""
    if not finite(value):
        return "–"
    return f"{value:.0f} B" if value < 1000 else f"{short(value)[:-1]} {short(value)[-1].replace('k', 'K')}B"


def duration(seconds: Any) -> str:
    """`42 s`, `3:07`, `1:02:03`, `2 d 03:00`; a dash for what is not known."""
    if not finite(seconds) or seconds < 0:
        return "–"
    if 0 < seconds < 10:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    days, rest = divmod(total, 86_400)
    hours, minutes = rest // 3600, rest // 60 % 60
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{total % 60:02}" if hours else f"{minutes}:{total % 60:02}"


def clean(text: Any) -> str:
    """`text` on one line and harmless to a terminal: control and bidirectional characters are replaced.

    Documents are hostile: an escape sequence in a sample must not move the cursor or set the title.
    """
    joined = str(text).replace("\r\n", "⏎").replace("\n", "⏎").replace("\t", " ")
    return "".join(c if c.isprintable() else " " if c.isspace() else "·" for c in joined)


def shorten(text: Any, width: int) -> str:
    """`clean(text)` cut to `width` characters, with an ellipsis where something is missing."""
    line = clean(text)
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def tail(text: Any, width: int) -> str:
    """The end of a path or name in at most `width` characters."""
    line = clean(text)
    return line if len(line) <= width else f"…{line[1 - width :]}"


def between(interval: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    """`1:53 (1:40 to 2:05)`: what is expected, and the interval, as run.json has them."""
    expected, low, high = (write(interval.get(key)) for key in ("expected", "low", "high"))
    return f"{expected} ({low} to {high})"
