import datetime
import io
import zipfile

import openpyxl
import pytest

from groundup.documents import Limits
from groundup.documents.document import Options

SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
)


def saved(path, *sheets):
    """A workbook with a sheet for each (name, rows)."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_rows_are_names_and_values_and_pages_are_sheets(tmp_path, read):
    people = [
        ("Name", "Born", "Height"),
        ("Ann", datetime.date(1990, 5, 17), 1.7),
        ("Bob", None, 0.3),
        (None, None, 3),
    ]
    numbers = [(1, 2), (None, "x")]
    path = saved(tmp_path / "book.xlsx", ("Sheet1", people), ("Empty", []), ("Measured values", numbers))
    (document,), (record,) = read(path)
    assert document.text == (
        "Name: Ann\nBorn: 1990-05-17\nHeight: 1.7\n\nName: Bob\nHeight: 0.3\n\nHeight: 3\n\n"
        "Measured values\n\n1 | 2\nx\n"
    )
    assert [document.text[start:][:8] for start in document.pages] == ["Name: An", "Measured"]
    assert (record.reader, record.status, record.pages) == ("xlsx", "read", 3)
    assert record.media_type.endswith("spreadsheetml.sheet")


def test_what_formulas_showed_dates_times_and_truth_are_read_and_errors_are_not(tmp_path, read, repack):
    path = saved(
        tmp_path / "book.xlsx", ("Sheet1", [(0, datetime.datetime(2024, 2, 29, 12, 30), True, datetime.time(9, 5))])
    )
    cells = (
        '<row r="1"><c r="A1"><f>40+2</f><v>42</v></c><c r="B1" t="str"><f>"a"</f><v>a_x0009_b</v></c>'
        '<c r="C1" t="e"><v>#REF!</v></c><c r="D1" t="inlineStr"><is><r><t>in</t></r><r><t>line</t></r></is></c>'
        '<c t="b"><v>1</v></c><c><v>1.0000000000000001E-1</v></c></row>'
    )
    repack(path, tmp_path / "raw.xlsx", {"xl/worksheets/sheet1.xml": (SHEET % cells).encode()})
    documents, _ = read(path, tmp_path / "raw.xlsx")
    assert documents[0].text == "0 | 2024-02-29 12:30:00 | TRUE | 09:05:00\n"
    assert documents[1].text == "42 | a b |  | inline | TRUE | 0.1\n"


def test_a_title_above_the_table_and_a_second_table_keep_their_own_names(tmp_path, read):
    rows = [("Report",), (), ("City", "Rain"), ("Oslo", 3), (), ("Totals",), ("Year", "Snow"), (2020, 5)]
    (document,), _ = read(saved(tmp_path / "book.xlsx", ("Sheet1", rows)))
    assert document.text == "Report\n\nCity: Oslo\nRain: 3\n\nTotals\n\nYear: 2020\nSnow: 5\n"


def test_a_first_row_that_is_narrower_than_the_table_does_not_name_it(tmp_path, read):
    rows = [("Sum", "Columns"), ("Row", "a", "b"), ("x", 1, 2), ("y", 3, 4)]
    (document,), _ = read(saved(tmp_path / "book.xlsx", ("Sheet1", rows)))
    assert document.text == "Sum | Columns\n\nRow: x\na: 1\nb: 2\n\nRow: y\na: 3\nb: 4\n"


def test_a_column_with_the_text_gives_a_document_a_row_and_a_column_of_codes_does_not(tmp_path, read):
    long = "A paragraph that somebody wrote. " * 3
    texts = saved(tmp_path / "texts.xlsx", ("Pages", [("id", "Text"), (1, long + "1"), (2, None), (3, long + "3")]))
    codes = saved(tmp_path / "codes.xlsx", ("Sheet1", [("Code", "Product name"), ("A1", "A chair of wood")]))
    documents, records = read(texts, codes)
    assert [(d.source.removeprefix(str(tmp_path)), d.text) for d in documents] == [
        ("/texts.xlsx#Pages!2", long + "1"),
        ("/texts.xlsx#Pages!4", long + "3"),
        ("/codes.xlsx", "Code: A1\nProduct name: A chair of wood\n"),
    ]
    assert records[0].reason == "1 row had no text"


def test_columns_that_are_asked_for_are_taken_or_missed(tmp_path, read):
    path = saved(tmp_path / "book.xlsx", ("One", [("Title", "Body"), ("t", "b")]), ("Two", [("x", "y"), (1, 2)]))
    (document,), _ = read(path, options=Options(text="{Title}: {Body}"))
    assert (document.text, document.source) == ("t: b", f"{path}#One!2")
    documents, (record,) = read(path, options=Options(text="Summary"))
    assert documents == [] and record.status == "failed" and "'Summary'" in record.reason and "'Title'" in record.reason


def test_a_long_sheet_comes_in_parts(tmp_path, read):
    path = saved(tmp_path / "book.xlsx", ("Sheet1", [("word",) * 1] + [("x" * 1000,)] * 3000))
    documents, _ = read(path, limits=Limits(piece_bytes=1_500_000))
    assert [document.source[-7:] for document in documents] == ["#part-1", "#part-2", "#part-3"]
    assert sum(document.text.count("x" * 1000) for document in documents) == 3000


def test_places_that_lie_cost_nothing(tmp_path, read, repack):
    path = saved(tmp_path / "book.xlsx", ("Sheet1", [("a", "b")]))
    rows = '<row r="1"><c r="A1"><v>7</v></c></row><row r="999999999999"><c r="XFD999999999999"><v>8</v></c></row>'
    rows += (
        '<row r="1048576"><c r="XFD1048576"><v>9</v></c><c r="ZZZZZZ1"><v>10</v></c><c r="B1" t="s"><v>99</v></c></row>'
    )
    sheet = (SHEET % rows).replace("<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>')
    repack(path, tmp_path / "far.xlsx", {"xl/worksheets/sheet1.xml": sheet.encode()})
    (document,), (record,) = read(tmp_path / "far.xlsx")
    assert document.text.split() == ["7", "8", "9", "|", "10"] and record.seconds < 1


def test_tables_one_after_another_without_end_take_time_in_proportion(tmp_path, read, repack):
    rows = "".join(
        f'<row r="{3 * n + 1}"><c><v>1</v></c></row><row><c t="str"><v>a</v></c><c t="str"><v>b{n}</v></c></row>'
        for n in range(20_000)
    )
    path = saved(tmp_path / "book.xlsx", ("Sheet1", [("a", "b")]))
    repack(path, tmp_path / "many.xlsx", {"xl/worksheets/sheet1.xml": (SHEET % rows).encode()})
    (document,), (record,) = read(tmp_path / "many.xlsx")
    assert record.status == "read" and record.seconds < 5 and document.text.count("1\n") >= 20_000


def test_shared_strings_are_read_without_their_reading_aids(tmp_path, read, repack):
    path = saved(tmp_path / "book.xlsx", ("Sheet1", [("a", "b")]))
    cells = '<row><c t="s"><v>1</v></c><c t="s"><v>0</v></c><c t="s"><v>2</v></c><c t="s"><v>x</v></c></row>'
    repack(path, tmp_path / "cells.xlsx", {"xl/worksheets/sheet1.xml": (SHEET % cells).encode()})
    links = b'<Relationships><Relationship Id="rId1" Type="t/worksheet" Target="/xl/worksheets/sheet1.xml"/>'
    links += b'<Relationship Id="rId9" Type="t/sharedStrings" Target="strings.xml"/></Relationships>'
    strings = "<sst><si><t>one</t></si><si><r><t>東</t></r><r><t>京</t></r><rPh><t>トウキョウ</t></rPh></si></sst>"
    repack(
        tmp_path / "cells.xlsx",
        tmp_path / "shared.xlsx",
        {"xl/_rels/workbook.xml.rels": links, "xl/strings.xml": strings.encode()},
    )
    (document,), _ = read(tmp_path / "shared.xlsx")
    assert document.text == "東京 | one\n"


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/workbook.xml"])
def test_xml_entities_are_refused(tmp_path, read, part, repack):
    path = saved(tmp_path / "book.xlsx", ("Sheet1", [("a", "b")]))
    with zipfile.ZipFile(path) as archive:
        old = archive.read(part).removeprefix(b'<?xml version="1.0" encoding="UTF-8"?>')
    bomb = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + old[old.index(b"<") :]
    repack(path, tmp_path / "bomb.xlsx", {part: bomb})
    documents, (record,) = read(tmp_path / "bomb.xlsx")
    assert documents == [] and record.status == "failed" and "entities" in record.reason


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, read, repack):
    path = saved(tmp_path / "book.xlsx", ("Sheet1", [("a", "b")]))
    repack(path, tmp_path / "bomb.xlsx", {"xl/worksheets/sheet1.xml": b" " * (80 << 20)})
    documents, (record,) = read(tmp_path / "bomb.xlsx")
    assert documents == [] and "times its size" in record.reason and record.seconds < 1


def test_damaged_and_protected_workbooks_fail(tmp_path, read, repack):
    path = saved(tmp_path / "book.xlsx", ("Sheet1", [("a", "b")]))
    (tmp_path / "cut.xlsx").write_bytes(path.read_bytes()[:2000])
    repack(path, tmp_path / "xml.xlsx", {"xl/worksheets/sheet1.xml": (SHEET % "<row><c><v>1").encode()})
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000)
    (tmp_path / "locked.xlsx").write_bytes(ole)
    (tmp_path / "locked.bin").write_bytes(ole + "EncryptedPackage".encode("utf-16-le"))
    documents, records = read(*(tmp_path / name for name in ("cut.xlsx", "xml.xlsx", "locked.xlsx", "locked.bin")))
    assert documents == [] and [record.status for record in records] == ["failed"] * 4
    assert "password" in records[2].reason and "password" in records[3].reason


def test_the_old_format_says_what_to_do(tmp_path, read):
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000))
    _, (record,) = read(tmp_path / "old.xls")
    assert record.status == "skipped" and "XLSX" in record.reason


def test_text_boxes_are_read(tmp_path, read, repack):
    from openpyxl.drawing.image import Image
    from PIL import Image as Picture

    book = openpyxl.Workbook()
    book.active.append(["cell"])
    picture = io.BytesIO()
    Picture.new("1", (2, 2)).save(picture, "png")
    book.active.add_image(Image(picture), "B2")  # makes the drawing
    book.save(tmp_path / "book.xlsx")
    drawing = (
        '<d:wsDr xmlns:d="d" xmlns:a="a"><d:twoCellAnchor><d:sp><d:txBody><a:p><a:r><a:t>in a </a:t></a:r><a:r>'
        "<a:t>box</a:t></a:r></a:p></d:txBody></d:sp></d:twoCellAnchor></d:wsDr>"
    )
    repack(tmp_path / "book.xlsx", tmp_path / "box.xlsx", {"xl/drawings/drawing1.xml": drawing.encode()})
    (document,), _ = read(tmp_path / "box.xlsx")
    assert document.text == "cell\n\nin a box\n"
