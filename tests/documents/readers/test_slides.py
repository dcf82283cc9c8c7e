import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.enum.shapes import MSO_SHAPE
from pptx.util import Inches


@pytest.fixture
def show(tmp_path):
    """A presentation with every kind of shape."""
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[0])
    first.shapes.title.text = "The show"
    first.placeholders[1].text = "A subtitle"
    first.notes_slide.notes_text_frame.text = "Say hello first."
    second = deck.slides.add_slide(deck.slide_layouts[1])
    second.shapes.title.text = "Fruit"
    body = second.placeholders[1].text_frame
    body.text = "apples"
    for text, level in (("green", 1), ("pears", 0)):
        paragraph = body.add_paragraph()
        paragraph.text, paragraph.level = text, level
    second.shapes._spTree.append(second.shapes.title._element)  # lies above the others now
    third = deck.slides.add_slide(deck.slide_layouts[6])
    table = third.shapes.add_table(2, 2, 0, 0, Inches(4), Inches(1)).table
    for index, text in enumerate(("a1", "b1", "a2", "b2")):
        table.cell(index // 2, index % 2).text = text
    group = third.shapes.add_group_shape().shapes.add_group_shape()
    box = group.shapes.add_shape(MSO_SHAPE.OVAL, 0, 0, Inches(1), Inches(1))
    box.text_frame.text = "in a group\vand a new line"
    box.text_frame.add_paragraph().text = "next"
    data = CategoryChartData()
    data.categories = ["East", "West"]
    data.add_series("Sales", (1.5, 2))
    chart = third.shapes.add_chart(XL_CHART_TYPE.PIE, 0, 0, Inches(3), Inches(3), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "By region"
    path = tmp_path / "show.pptx"
    deck.save(path)
    return path


def test_titles_lists_tables_groups_charts_and_notes_come_slide_by_slide(show, read):
    (document,), (record,) = read(show)
    pages = [document.text[a:b] for a, b in zip(document.pages, [*document.pages[1:], None], strict=True)]
    assert pages == [
        "The show\n\nA subtitle\n\nSay hello first.\n\n",
        "Fruit\n\n- apples\n  - green\n- pears\n\n",
        "a1 | b1\na2 | b2\n\nin a group\nand a new line\n\nnext\n\nBy region\n\n | Sales\nEast | 1.5\nWest | 2\n",
    ]
    assert (record.reader, record.status, record.pages) == ("pptx", "read", 3)
    assert record.media_type.endswith("presentationml.presentation")


def test_slides_come_in_the_order_of_the_show(tmp_path, read):
    deck = pptx.Presentation()
    for text in ("one", "two", "three"):
        deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = text
    order = deck.slides._sldIdLst
    order.insert(0, order[2])
    deck.save(tmp_path / "show.pptx")
    (document,), _ = read(tmp_path / "show.pptx")
    assert document.text == "three\n\none\n\ntwo\n"


def test_numbers_of_slides_dates_and_old_forms_of_shapes_are_left_out(tmp_path, read, repack):
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[6])
    deck.save(tmp_path / "empty.pptx")
    shape = "<p:sp><p:nvSpPr><p:nvPr>%s</p:nvPr></p:nvSpPr><p:txBody><a:p>%s</a:p></p:txBody></p:sp>"
    fraction = "<m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>b</m:t></m:r></m:den></m:f>"
    dated = '<a:r><a:t>seen on </a:t></a:r><a:fld type="datetime1"><a:t>1/1/2024</a:t></a:fld>'
    shapes = (
        shape % ('<p:ph type="sldNum"/>', '<a:fld type="slidenum"><a:t>7</a:t></a:fld>')
        + shape % ('<p:ph type="ftr"/>', "<a:r><a:t>Secret</a:t></a:r>")
        + shape % ("", dated)
        + f"<mc:AlternateContent><mc:Choice>{shape % ('', fraction)}</mc:Choice>"
        + f"<mc:Fallback>{shape % ('', '<a:r><a:t>picture</a:t></a:r>')}</mc:Fallback></mc:AlternateContent>"
    )
    spaces = 'xmlns:p="p" xmlns:a="a" xmlns:m="m" xmlns:mc="mc"'
    slide = f"<p:sld {spaces}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
    path = repack(tmp_path / "empty.pptx", tmp_path / "show.pptx", {"ppt/slides/slide1.xml": slide.encode()})
    (document,), _ = read(path)
    assert document.text == "seen on \n\n(a)/(b)\n"


def test_a_damaged_slide_costs_only_itself(show, tmp_path, read, repack):
    path = repack(show, tmp_path / "cut.pptx", {"ppt/slides/slide2.xml": b"<p:sld><p"})
    (document,), (record,) = read(path)
    assert "The show" in document.text and "b2" in document.text and "apples" not in document.text
    assert record.status == "read" and record.reason == "1 of 3 slides were damaged or missing"


def test_hostile_files_are_refused(show, tmp_path, read, repack):
    entities = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><s><t>&b;</t></s>'
    paths = [
        repack(show, tmp_path / "entities.pptx", {"ppt/slides/slide2.xml": entities}),
        repack(show, tmp_path / "bomb.pptx", {"ppt/slides/slide2.xml": b" " * (80 << 20)}),
        repack(show, tmp_path / "deep.pptx", {"ppt/slides/slide1.xml": b"<g>" * 100_000}),
    ]
    (tmp_path / "locked.pptx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000))
    (tmp_path / "cut.pptx").write_bytes(show.read_bytes()[:9000])
    documents, records = read(*paths, tmp_path / "locked.pptx", tmp_path / "cut.pptx")
    reasons = {record.path.rpartition("/")[2]: record.reason for record in records}
    assert "entities" in reasons["entities.pptx"] and "times its size" in reasons["bomb.pptx"]
    assert "password" in reasons["locked.pptx"] and "damaged" in reasons["deep.pptx"] and reasons["cut.pptx"]
    assert [document.source for document in documents] == [str(tmp_path / "deep.pptx")]


def test_code_keeps_its_lines_and_indentation(tmp_path, read):
    code = "def f(x):\n    if x:\n        return 1\n\n    return 2\n\n\nprint(f(3))"
    deck = pptx.Presentation()
    box = deck.slides.add_slide(deck.slide_layouts[6]).shapes.add_textbox(*[Inches(1)] * 4)
    box.text_frame.text = code
    deck.save(str(tmp_path / "code.pptx"))
    (document,), _ = read(tmp_path)
    assert document.text.strip("\n") == code


def test_a_stray_indent_makes_no_code_of_a_text(tmp_path, read):
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.placeholders[1].text_frame.text = "apples\n  pears\n  plums\ncherries"
    box = slide.shapes.add_textbox(*[Inches(1)] * 4)
    box.text_frame.text = "One thing.\n  Another thing.\nA third.\nA fourth."
    deck.save(str(tmp_path / "show.pptx"))
    (document,), _ = read(tmp_path)
    assert document.text.startswith("- apples\n- pears\n- plums\n- cherries\n\nOne thing.\n\n")
    assert document.text.endswith("Another thing.\n\nA third.\n\nA fourth.\n")
