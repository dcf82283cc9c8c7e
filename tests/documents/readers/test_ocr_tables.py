import random
from pathlib import Path

import reportlab
from PIL import Image, ImageDraw, ImageFont

from groundup.documents.readers import ocr
from groundup.documents.readers.ocr_columns import Block, needs_detail
from groundup.documents.readers.ocr_tables import Column, Line, in_rows

FONT = ImageFont.truetype(Path(reportlab.__file__).parent / "fonts" / "Vera.ttf", 46)
WORDS = [
    "apple",
    "barrel",
    "candle",
    "dragon",
    "engine",
    "forest",
    "garden",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "market",
    "number",
    "orange",
]


def column(left: int, texts: list[str], step: int = 60, top: int = 100) -> Column:
    lines = [Line(left, left + 20 * len(text), top + step * row, 30, text) for row, text in enumerate(texts)]
    return Column("\n".join(texts) + "\n\n", lines)


def test_cells_of_a_scanned_table_are_read_in_rows(error_rate):
    rng = random.Random(3)
    rows = [[rng.choice(WORDS), rng.choice(WORDS), str(rng.randint(100, 9999)), rng.choice(WORDS)] for _ in range(9)]
    image = Image.new("L", (1900, 1000), "white")
    draw = ImageDraw.Draw(image)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            draw.text((100 + 440 * x, 80 + 95 * y), cell, font=FONT, fill="black")
    assert error_rate(ocr.recognize(image, 300), "\n".join(" ".join(row) for row in rows)) < 0.02


def test_columns_of_few_words_at_the_same_heights_become_rows():
    columns = [column(100, WORDS[:4]), column(500, ["1", "2", "3", "4"]), column(900, WORDS[4:8])]
    assert in_rows(columns).split("\n")[:2] == ["apple 1 engine", "barrel 2 forest"]


def test_a_label_and_its_number_become_a_row():
    assert in_rows([column(100, ["red apple", "old barrel", "candle"]), column(500, ["12", "7", "31"])]) == (
        "red apple 12\nold barrel 7\ncandle 31\n\n"
    )


def test_prose_between_two_tables_stays_between_them():
    prose = column(100, ["these are all the words of a sentence that ends here"], top=400)
    first = [column(100, WORDS[:4]), column(500, ["1", "2", "3", "4"])]
    second = [column(100, WORDS[4:8], top=600), column(500, ["5", "6", "7", "8"], top=600)]
    lines = in_rows([*first, prose, *second]).split()
    assert lines[:2] == ["apple", "1"] and lines[8] == "these" and lines[-2:] == ["hammer", "8"]


def test_addresses_newspaper_columns_and_indexes_stay_columns():
    addresses = [column(100, ["John Smith", "12 High Street", "York"]), column(500, ["Ann Lee", "3 Mill Lane", "Bath"])]
    news = [column(x, ["five words stand in this line"] * 12) for x in (100, 900)]
    index = [
        column(100, [f"{word}, {n}" for n in (1, 2) for word in WORDS]),
        column(500, [f"{w}, 3" for w in WORDS * 2]),
    ]
    uneven = [column(100, WORDS[:8], 60), column(500, WORDS[:7], 71), column(900, WORDS[:6], 83)]
    for columns in (addresses, news, index, uneven):
        assert in_rows(columns) == "".join(column.text for column in columns)


def block(left: int, width: int, lines: int = 10, height: int = 30) -> Block:
    return Block(left, 100, left + width, 100 + 40 * lines, 0, [], [height] * lines)


def test_tables_and_small_letters_are_read_at_the_full_resolution_and_prose_is_not():
    prose = [block(100, 1200, 1), block(100, 1400)]
    columns = [block(100, 600), block(800, 580), block(100, 590), block(800, 300, 2)]
    assert not needs_detail(prose) and not needs_detail(columns)
    assert needs_detail([*prose, block(100, 700)])
    assert needs_detail([block(100, 1400, height=14)]) and needs_detail([])
