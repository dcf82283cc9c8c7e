"""Tells a list's numbers or labels, which Tesseract's layout analysis takes for a column, from a true column."""

from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

_TEXT = range(1, 8)  # tesserocr.PT.FLOWING_TEXT to PT.VERTICAL_TEXT, formulas and tables among them
_SMALL = 18  # pixels from the top to the bottom of a line


class Block(NamedTuple):
    """A block of text in pixels; `baselines` is (x, y, slope) of each line, None where the text is not upright."""

    left: int
    top: int
    right: int
    bottom: int
    turns: int
    baselines: list[tuple[float, float, float]] | None
    heights: list[int]


def find_blocks(layout: Any) -> list[Block]:
    """The blocks of text that `AnalyseLayout` found; `turns` is the orientation in quarter turns, 0 for upright."""
    import tesserocr

    blocks: list[Block] = []
    if layout is None:
        return blocks
    level = tesserocr.RIL
    for item in tesserocr.iterate_level(layout, level.TEXTLINE):
        if item.BlockType() not in _TEXT:
            continue
        if item.IsAtBeginningOf(level.BLOCK):
            turns = int(item.Orientation()[0])
            left, top, right, bottom = item.BoundingBox(level.BLOCK)
            blocks.append(Block(left, top, right, bottom, turns, None if turns else [], []))
        line, base = item.BoundingBox(level.TEXTLINE), item.Baseline(level.TEXTLINE)
        if blocks and blocks[-1].baselines is not None and line and base:
            (x, y), (x2, y2) = base
            blocks[-1].baselines.append((x, y, (y2 - y) / max(x2 - x, 1)))
            blocks[-1].heights.append(line[3] - line[1])
    return blocks


def page_turns(blocks: list[Block]) -> int:
    """The orientation of most of the text, by area."""
    areas = [0, 0, 0, 0]
    for block in blocks:
        areas[block.turns] += (block.right - block.left) * (block.bottom - block.top)
    return areas.index(max(areas))


def needs_detail(blocks: list[Block]) -> bool:
    """Whether a page at 200 dpi should be read at a finer resolution: it may hold a table, whose numbers no dictionary
    helps to read and whose columns are more often parted from each other, or its letters are small."""
    heights = [height for block in blocks for height in block.heights]
    widest = max((block.right - block.left for block in blocks), default=0)
    # Columns of prose are all of one width, but for the ends of their paragraphs.
    uneven = any(len(block.heights) > 2 and block.right - block.left < 0.8 * widest for block in blocks)
    return (len(blocks) > 2 and uneven) or not heights or median(heights) < _SMALL


def has_label_column(image: "Image", blocks: list[Block]) -> bool:
    """Whether a block holds only the labels of the lines to its right, on a page without true columns.

    image: upright, in gray. A label column is narrow, close to its text, and each of its rows of ink stands on
    a baseline of that text; vertical writing in a margin has ink between the lines as well."""
    labels = [block for block in blocks if any(_labels(image, block, other) for other in blocks)]
    texts = [block for block in blocks if block not in labels]
    return bool(labels) and not any(_beside(a, b) for a in texts for b in texts)


def _labels(image: "Image", block: Block, text: Block) -> bool:
    if not text.baselines or block is text:
        return False
    height, width = median(text.heights), block.right - block.left
    gap = text.left - block.right
    overlap = min(block.bottom, text.bottom) - max(block.top, text.top)
    narrow = width <= 4 * height and gap <= 4 * height
    word_space = gap <= height and width <= 0.4 * (text.right - text.left)
    if not (narrow or word_space) or gap < -height / 2 or overlap < height:
        return False
    middle = (block.left + block.right) / 2
    baselines = [y + slope * (middle - x) for x, y, slope in text.baselines]
    rows = [row for row in _ink_rows(image, block, height) if row[1] > text.top and row[0] < text.bottom]
    hits = sum(
        bottom - top < 1.6 * height and any(abs(bottom - y) < 0.4 * height for y in baselines) for top, bottom in rows
    )
    return len(rows) >= 2 and hits >= 0.9 * len(rows)


def _ink_rows(image: "Image", block: Block, height: float) -> list[tuple[int, int]]:
    """(top, bottom) of each stretch of rows with dark pixels in them; gaps as in "i" or ":" do not part them."""
    from PIL import Image

    crop = image.crop((block.left, block.top, block.right, block.bottom))
    middle = sum(crop.getextrema()) / 2  # pyright: ignore[reportArgumentType, reportCallIssue]
    dark = crop.point([255 * (value < middle) for value in range(256)])
    rows: list[tuple[int, int]] = []
    for y, share in enumerate(dark.resize((1, dark.height), Image.Resampling.BOX).tobytes(), block.top):
        if share > 3:
            if rows and y - rows[-1][1] <= 0.35 * height:
                rows[-1] = (rows[-1][0], y)
            else:
                rows.append((y, y))
    return [(top, bottom) for top, bottom in rows if bottom - top > 0.2 * height]


def _beside(a: Block, b: Block) -> bool:
    shared = min(a.bottom, b.bottom) - max(a.top, b.top)
    return a.right <= b.left and shared > 2 * median([*a.heights, *b.heights, 1])
