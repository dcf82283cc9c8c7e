import zipfile

import docx
import pytest
from docx.oxml import OxmlElement
from docx.oxml.ns import qn


@pytest.fixture
def letter(tmp_path):
    """A Word document with every kind of block."""
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "running head"
    document.add_heading("The title", 1)
    document.add_paragraph("First paragraph, with a\ttab.")
    document.add_paragraph("apples", style="List Bullet")
    document.add_paragraph("pears", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ("a1", "b1", "a2", "b2"), strict=True):
        cell.text = text
    document.add_paragraph("step one", style="List Number")
    document.add_paragraph("step two", style="List Number")
    changed = document.add_paragraph("Kept")
    for tag, inner, text in (("w:del", "w:delText", " deleted"), ("w:ins", "w:t", " inserted")):
        change, run, content = OxmlElement(tag), OxmlElement("w:r"), OxmlElement(inner)
        content.text = text
        content.set(qn("xml:space"), "preserve")
        run.append(content)
        change.append(run)
        changed._p.append(change)
    path = tmp_path / "letter.docx"
    document.save(str(path))
    return path


def test_blocks_come_in_order_and_heads_do_not(letter, read):
    (document,), (record,) = read(letter)
    assert document.text == (
        "The title\n\nFirst paragraph, with a\ttab.\n\n- apples\n- pears\n\na1 | b1\na2 | b2\n\n"
        "1. step one\n2. step two\n\nKept inserted\n"
    )
    assert (record.reader, record.status) == ("docx", "read") and record.media_type.endswith(
        "wordprocessingml.document"
    )


def replaced(source, target, part: str, content: bytes) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, content if name == part else old.read(name))


def test_xml_entities_are_refused(letter, tmp_path, read):
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
        b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        b"<w:t>&b;</w:t></w:r></w:p></w:body></w:document>"
    )
    replaced(letter, tmp_path / "bomb.docx", "word/document.xml", bomb)
    documents, (record,) = read(tmp_path / "bomb.docx")
    assert documents == [] and record.status == "failed" and "entities" in record.reason


def test_a_zip_bomb_is_refused_before_it_is_unpacked(letter, tmp_path, read):
    replaced(letter, tmp_path / "bomb.docx", "word/document.xml", b"<w:document/>" + b" " * (80 << 20))
    documents, (record,) = read(tmp_path / "bomb.docx")
    assert documents == [] and record.status == "failed" and "times its size" in record.reason
    assert record.seconds < 1


def test_damaged_documents_fail(letter, tmp_path, read):
    data = letter.read_bytes()
    (tmp_path / "cut.docx").write_bytes(data[: len(data) // 2])
    replaced(letter, tmp_path / "xml.docx", "word/document.xml", b"<w:document>")
    _, records = read(tmp_path / "cut.docx", tmp_path / "xml.docx")
    assert [record.status for record in records] == ["failed", "failed"]
