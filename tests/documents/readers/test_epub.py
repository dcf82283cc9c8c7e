import zipfile

import pytest

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
PAGE = (
    '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml"><head>'
    "<title/><script src='a.js'/></head><body><a id='here'/>%s</body></html>"
)


def bound(path, chapters: dict[str, str | bytes], order=None, more=()):
    """An EPUB with chapters by their names, in `order`."""
    order = order if order is not None else list(chapters)
    items = "".join(f'<item id="{n}" href="{n}" media-type="application/xhtml+xml"/>' for n in chapters)
    items += '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    spine = "".join(f'<itemref idref="{name}"/>' for name in order)
    opf = f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    parts = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, "OEBPS/book.opf": opf}
    parts |= {"OEBPS/nav.xhtml": PAGE % "<p>table of contents</p>"}
    parts |= {f"OEBPS/{name.replace('%20', ' ')}": chapter for name, chapter in chapters.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (parts | dict(more)).items():
            archive.writestr(name, content)
    return path


def test_chapters_come_in_the_order_of_the_spine_without_the_table_of_contents(tmp_path, read):
    chapters = {
        "b.xhtml": PAGE % "<h1>Two</h1><p>second<br/>line</p>",
        "a%20a.xhtml": PAGE % "<h1>one</h1><p>first</p>",
    }
    path = bound(tmp_path / "book.zip", chapters, ["nav", "a%20a.xhtml", "b.xhtml", "a%20a.xhtml"])
    (document,), (record,) = read(path)
    assert document.text == "one\n\nfirst\n\nTwo\n\nsecond\nline\n"
    assert document.pages == (0, document.text.index("Two"))
    assert (record.reader, record.media_type, record.pages) == ("epub", "application/epub+zip", 2)


def test_what_xhtml_says_otherwise_than_html_is_understood(tmp_path, read):
    page = (PAGE % "<p>“Füße” <i/>&amp; <![CDATA[a < b & c]]></p>").replace("utf-8", "windows-1252").encode("cp1252")
    (document,), _ = read(bound(tmp_path / "book.epub", {"a.xhtml": page}))
    assert document.text == "“Füße” & a < b & c\n"


def test_encrypted_chapters_fail_and_disguised_fonts_do_not(tmp_path, read):
    def encryption(name):
        data = f'<CipherData><CipherReference URI="{name}"/></CipherData>'
        return {"META-INF/encryption.xml": f"<encryption><EncryptedData>{data}</EncryptedData></encryption>"}

    chapters = {"a.xhtml": PAGE % "<p>text</p>"}
    locked = bound(tmp_path / "locked.epub", chapters, more=encryption("OEBPS/a.xhtml"))
    fonts = bound(tmp_path / "fonts.epub", chapters, more=encryption("OEBPS/font.otf"))
    documents, records = read(locked, fonts)
    assert [record.status for record in records] == ["failed", "read"] and "DRM" in records[0].reason
    assert [document.text for document in documents] == ["text\n"]


def test_a_chapter_that_is_missing_is_noted(tmp_path, read):
    path = bound(tmp_path / "book.epub", {"a.xhtml": PAGE % "<p>a</p>", "b.xhtml": PAGE % "<p>b</p>"})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "less.epub", "w") as new:
        for name in old.namelist():
            if not name.endswith("a.xhtml"):
                new.writestr(name, old.read(name))
    (document,), (record,) = read(tmp_path / "less.epub")
    assert document.text == "b\n" and record.reason == "1 of 2 chapters are not in the file"


def test_a_zip_that_is_only_named_epub_is_an_archive(tmp_path, read):
    with zipfile.ZipFile(tmp_path / "notes.epub", "w") as archive:
        archive.writestr("note.txt", "a note")
    (document,), records = read(tmp_path / "notes.epub")
    assert document.text == "a note" and records[-1].reader == "zip"


@pytest.mark.parametrize(
    ("chapter", "word"),
    [(b" " * (80 << 20), "times its size"), (b"<![CDATA[" * 200_000 + b"<title" * 200_000 + b"<p/" * 200_000, "")],
)
def test_hostile_chapters_cost_little(tmp_path, read, chapter, word):
    _, (record,) = read(bound(tmp_path / "book.epub", {"a.xhtml": chapter}))
    assert word in record.reason and record.seconds < 3


def test_entities_and_damage_fail(tmp_path, read):
    bomb = (
        '<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><container><rootfile full-path="&b;"/></container>'
    )
    chapters = {"a.xhtml": PAGE % "<p>a</p>"}
    paths = [
        bound(tmp_path / "bomb.epub", chapters, more={"META-INF/container.xml": bomb}),
        bound(tmp_path / "none.epub", {}, []),
        bound(tmp_path / "xml.epub", chapters, more={"OEBPS/book.opf": "<package>"}),
        bound(tmp_path / "lost.epub", chapters, more={"META-INF/container.xml": "<container/>"}),
    ]
    documents, records = read(*paths)
    assert [record.status for record in records] == ["failed"] * 4 and documents == []
    assert "entities" in records[0].reason
