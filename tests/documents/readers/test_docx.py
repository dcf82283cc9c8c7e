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


def test_xml_entities_are_refused(letter, tmp_path, read, repack):
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
        b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        b"<w:t>&b;</w:t></w:r></w:p></w:body></w:document>"
    )
    repack(letter, tmp_path / "bomb.docx", {"word/document.xml": bomb})
    documents, (record,) = read(tmp_path / "bomb.docx")
    assert documents == [] and record.status == "failed" and "entities" in record.reason


def test_a_zip_bomb_is_refused_before_it_is_unpacked(letter, tmp_path, read, repack):
    repack(letter, tmp_path / "bomb.docx", {"word/document.xml": b"<w:document/>" + b" " * (80 << 20)})
    documents, (record,) = read(tmp_path / "bomb.docx")
    assert documents == [] and record.status == "failed" and "times its size" in record.reason
    assert record.seconds < 1


def test_damaged_documents_fail(letter, tmp_path, read, repack):
    data = letter.read_bytes()
    (tmp_path / "cut.docx").write_bytes(data[: len(data) // 2])
    repack(letter, tmp_path / "xml.docx", {"word/document.xml": b"<w:document>"})
    _, records = read(tmp_path / "cut.docx", tmp_path / "xml.docx")
    assert [record.status for record in records] == ["failed", "failed"]


def test_a_table_in_a_table_is_read_once(tmp_path, read):
    document = docx.Document()
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text = "outer"
    for cell, text in zip(table.cell(0, 1).add_table(rows=1, cols=2)._cells, "ab", strict=True):
        cell.text = text
    document.save(tmp_path / "a.docx")
    (found,), _ = read(tmp_path / "a.docx")
    assert found.text == "outer | a | b\n"


def test_documents_with_macros_and_templates_are_read(letter, tmp_path, read, repack):
    with zipfile.ZipFile(letter) as archive:
        types = archive.read("[Content_Types].xml")
    old = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    macros = types.replace(old, b"application/vnd.ms-word.document.macroEnabled.main+xml")
    assert macros != types
    (document, macro), _ = read(letter, repack(letter, tmp_path / "a.docm", {"[Content_Types].xml": macros}))
    assert macro.text == document.text


def test_endnotes_symbols_letters_of_lists_and_large_initials_are_read(letter, tmp_path, read, repack):
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = (
        '<w:p><w:pPr><w:framePr w:dropCap="drop"/></w:pPr><w:r><w:t>O</w:t></w:r></w:p><w:p><w:r><w:t>nce</w:t>'
        '<w:endnoteReference w:id="2"/><w:sym w:font="Symbol" w:char="F061"/><w:sym w:font="Wingdings" w:char="F0FC"/>'
        '</w:r></w:p><w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="77"/></w:numPr></w:pPr><w:r>'
        "<w:t>item</w:t></w:r></w:p>"
    )
    numbers = (
        '<w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0"><w:numFmt w:val="upperRoman"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="77"><w:abstractNumId w:val="7"/></w:num>'
    )
    notes = f'<w:endnotes {w}><w:endnote w:id="2"><w:p><w:r><w:t>the end</w:t></w:r></w:p></w:endnote></w:endnotes>'
    with zipfile.ZipFile(letter) as archive:
        links = archive.read("word/_rels/document.xml.rels").decode()
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/endnotes"
    link = f'<Relationship Id="rId99" Type="{kind}" Target="endnotes.xml"/></Relationships>'
    parts = {
        "word/document.xml": f"<w:document {w}><w:body>{body}</w:body></w:document>",
        "word/numbering.xml": f"<w:numbering {w}>{numbers}</w:numbering>",
        "word/endnotes.xml": notes,
        "word/_rels/document.xml.rels": links.replace("</Relationships>", link),
    }
    path = repack(letter, tmp_path / "notes.docx", {name: part.encode() for name, part in parts.items()})
    (document,), _ = read(path)
    assert document.text == "Once[e2]α\n\nI. item\n\n[e2] the end\n"
