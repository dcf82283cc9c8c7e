"""A plot in characters: lines of braille dots (plain points where there is no Unicode), marks above them, two axes."""

from collections.abc import Mapping, Sequence

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row, then column, of a 4 x 2 cell
PAINT = {"train": "\x1b[34m", "val": "\x1b[31m", "faint": "\x1b[2m"}
RESET = "\x1b[0m"


def unicode_shown(environment: Mapping[str, str], encoding: str | None) -> bool:
    """Whether a terminal may be sent braille: not where its encoding lacks it, nor where the locale is said to be C, or
    of another character set. Python writes UTF-8 under LC_ALL=C as well, so its encoding alone does not tell."""
    try:
        "⣿●┤".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    named = next(filter(None, (environment.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))), "UTF-8")
    return "utf" in named.lower()


class Canvas:
    """`columns` x `rows` characters on which points (x, y) of [0, 1] x [0, 1] are drawn; y grows upwards."""

    def __init__(self, columns: int, rows: int, *, unicode: bool = True) -> None:
        self.columns, self.rows, self.unicode = columns, rows, unicode
        self.mark = "●" if unicode else "o"
        self._across, self._along = (2, 4) if unicode else (1, 1)
        self._cells = [[0] * columns for _ in range(rows)]
        self._marks: set[tuple[int, int]] = set()

    def line(self, points: Sequence[tuple[float, float]]) -> None:
        """Join `points` by straight lines; one alone is a dot."""
        dots = [self._place(point, self._across, self._along) for point in points]
        for (x0, y0), (x1, y1) in zip(dots, dots[1:] or dots, strict=False):
            reach = max(abs(x1 - x0), abs(y1 - y0), 1)
            for i in range(reach + 1):
                x, y = x0 + round((x1 - x0) * i / reach), y0 + round((y1 - y0) * i / reach)
                self._cells[y // self._along][x // self._across] |= _DOTS[y % self._along][x % self._across]

    def put(self, points: Sequence[tuple[float, float]]) -> None:
        """Put marks, which hide the lines under them."""
        self._marks |= {self._place(point, 1, 1) for point in points}

    def framed(self, labels: Mapping[int, str], footer: Sequence[str], *, color: bool = False) -> list[str]:
        """The rows, with `labels` (row from the top -> text) at their left, and below them the axis and its `footer`:
        texts at its left end, its middle and its right end."""
        paint, reset = (PAINT, RESET) if color else (dict.fromkeys(PAINT, ""), "")
        tick, side, corner, floor = "┤│└─" if self.unicode else "+|+-"
        margin = max((len(text) for text in labels.values()), default=0) + 1
        lines = []
        for r, cells in enumerate(self._cells):
            body = ""
            for c, cell in enumerate(cells):
                if (c, r) in self._marks:
                    body += f"{paint['val']}{self.mark}{reset}"
                elif cell:
                    body += f"{paint['train']}{chr(_BRAILLE + cell) if self.unicode else '.'}{reset}"
                else:
                    body += " "
            lines.append(f"{labels.get(r, ''):>{margin}} {tick if r in labels else side}{body}".rstrip())
        lines.append(f"{'':>{margin}} {corner}{floor * self.columns}")
        left, middle, right = footer
        gap = max(self.columns - len(left) - len(middle) - len(right), 2)
        lines.append(f"{'':>{margin}}  {left}{' ' * (gap // 2)}{middle}{' ' * (gap - gap // 2)}{right}")
        return lines

    def _place(self, point: tuple[float, float], across: int, along: int) -> tuple[int, int]:
        width, height = across * self.columns, along * self.rows
        x, y = round(point[0] * (width - 1)), round((1 - point[1]) * (height - 1))
        return min(max(x, 0), width - 1), min(max(y, 0), height - 1)  # a float may miss the end by a hair
