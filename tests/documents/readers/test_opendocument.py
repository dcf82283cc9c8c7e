import zipfile

import pytest

SPACES = (
    " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{uri}:1.0"'
        for name, uri in (
            *(("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"), ("style", "style")),
            *(("presentation", "presentation"), ("svg", "svg-compatible"), ("manifest", "manifest")),
        )
    )
    + ' xmlns:xlink="http://www.w3.org/1999/xlink"'
)
TYPE = "application/vnd.oasis.opendocument."


@pytest.fixture
def saved(tmp_path):
    def save(kind: str, body: str, styles: str = "", more=(), name: str = "file.zip"):
        content = (
            f'<?xml version="1.0"?><office:document-content {SPACES}><office:automatic-styles>{styles}'
            f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}></office:body>"
            "</office:document-content>"
        )
        parts = {"mimetype": TYPE + kind, "content.xml": content, "META-INF/manifest.xml": "<manifest/>"}
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, data in (parts | dict(more)).items():
                archive.writestr(part, data)
        return tmp_path / name

    return save


def test_paragraphs_lists_tables_notes_and_boxes_keep_their_form(saved, read):
    styles = (
        '<text:list-style style:name="L"><text:list-level-style-number text:level="1" style:num-format="1"/>'
        '<text:list-level-style-bullet text:level="2"/></text:list-style>'
        '<text:list-style style:name="R"><text:list-level-style-number text:level="1" style:num-format="i" '
        'text:start-value="4"/></text:list-style>'
    )
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes><text:h>Title</text:h>"
        '<text:p>One <text:span>  two<text:s text:c="2"/></text:span>\n three<text:tab/>x<text:line-break/>y<text:note>'
        "<text:note-citation>*</text:note-citation><text:note-body><text:p>the note</text:p></text:note-body>"
        "</text:note>.<office:annotation><text:p>comment</text:p></office:annotation></text:p><text:p/>"
        '<text:list text:style-name="L"><text:list-item><text:p>apples</text:p><text:list><text:list-item>'
        "<text:p>green</text:p></text:list-item></text:list></text:list-item><text:list-item><text:p>pears</text:p>"
        '</text:list-item></text:list><text:list text:style-name="R"><text:list-item><text:p>four</text:p>'
        "</text:list-item></text:list>"
        "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>a1</text:p>"
        '</table:table-cell><table:table-cell table:number-columns-repeated="2"><text:p>b1</text:p></table:table-cell>'
        "</table:table-row></table:table-header-rows><table:table-row><table:table-cell><text:p>a2</text:p><text:p>too"
        "</text:p></table:table-cell><table:covered-table-cell/></table:table-row></table:table>"
        "<text:section><text:p>Last<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box><svg:desc>no</svg:desc>"
        "</draw:frame></text:p></text:section>"
    )
    (document,), (record,) = read(saved("text", body, styles))
    assert document.text == (
        "Title\n\nOne two   three\tx\ny[1].\n\n1. apples\n  - green\n2. pears\niv. four\n\na1 | b1 | b1\na2 too | \n\n"
        "Last\n\nboxed\n\n[1] the note\n"
    )
    assert (record.reader, record.media_type, record.pages) == ("opendocument", TYPE + "text", 0)


def test_lists_go_on_where_they_say_so(saved, read):
    item = "<text:list-item><text:p>x</text:p></text:list-item>"
    level = '<text:list-level-style-number text:level="1" style:num-format="1"/>'
    styles = f'<text:list-style style:name="L">{level}</text:list-style>'
    lists = f'<text:list text:style-name="L">{item}{item}</text:list><text:p>between</text:p>'
    body = lists + lists.replace('"L"', '"L" text:continue-numbering="true"') + lists
    (document,), _ = read(saved("text", body, styles))
    assert [line[0] for line in document.text.split("\n") if line.endswith(" x")] == ["1", "2", "3", "4", "1", "2"]


def test_slides_are_pages_with_their_title_first_and_notes_last(saved, read):
    def frame(text, kind="outline"):
        box = f"<draw:text-box><text:p>{text}</text:p></draw:text-box>"
        return f'<draw:frame presentation:class="{kind}">{box}</draw:frame>'

    notes = f"<presentation:notes>{frame('7', 'page-number')}{frame('spoken', 'notes')}</presentation:notes>"
    shapes = f"{frame('body')}{frame('9', 'footer')}{frame('title', 'title')}<draw:g>{frame('deep')}</draw:g>"
    page = f"<draw:page>{notes}{shapes}</draw:page>"
    (document,), (record,) = read(saved("presentation", page + page.replace("title</text:p>", "second</text:p>")))
    one = "title\n\nbody\n\ndeep\n\nspoken\n\n"
    assert document.text == one + one.replace("title", "second").rstrip("\n") + "\n"
    assert document.pages == (0, len(one)) and record.pages == 2 and record.media_type == TYPE + "presentation"


def test_sheets_are_read_as_those_of_excel(saved, read):
    def row(*cells, repeat=1):
        texts = [f"<text:p>{cell}</text:p>" if cell else "" for cell in cells]
        inside = "".join(f"<table:table-cell>{text}</table:table-cell>" for text in texts)
        empty = '<table:table-cell table:number-columns-repeated="16000"/>'
        return f'<table:table-row table:number-rows-repeated="{repeat}">{inside}{empty}</table:table-row>'

    rows = row("City", "Rain") + row("Oslo", "3,5") + row("", repeat=1_048_000) + row("same", "1", repeat=2)
    (document,), (record,) = read(saved("spreadsheet", f'<table:table table:name="Weather">{rows}</table:table>'))
    assert document.text == "Weather\n\nCity: Oslo\nRain: 3,5\n\nCity: same\nRain: 1\n\nCity: same\nRain: 1\n"
    assert record.pages == 1 and record.seconds < 1


def test_the_flat_form_is_read(tmp_path, read):
    flat = f'<?xml version="1.0"?>\n<office:document {SPACES} office:mimetype="{TYPE}text"><office:body><office:text>'
    (tmp_path / "a.fodt").write_text(flat + "<text:p>flat</text:p></office:text></office:body></office:document>")
    (document,), (record,) = read(tmp_path / "a.fodt")
    assert document.text == "flat\n" and (record.reader, record.media_type) == ("opendocument", TYPE + "text")


def test_hostile_files_are_refused(saved, read):
    cell = '<table:table-cell table:number-columns-repeated="9999999"><text:p>%s</text:p></table:table-cell>'
    sheet = '<table:table><table:table-row table:number-rows-repeated="9999999">%s</table:table-row></table:table>'
    bomb = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><d>&b;</d>'
    locked = {"META-INF/manifest.xml": f"<m {SPACES}><manifest:encryption-data/></m>", "content.xml": b"\x9a\x8b"}
    paths = [
        saved("text", "", more={"content.xml": bomb}, name="1.zip"),
        saved("text", "", more={"content.xml": b" " * (80 << 20)}, name="2.zip"),
        saved("text", "", more=locked, name="3.zip"),
        saved("spreadsheet", sheet % cell % "many words", name="4.zip"),
        saved("text", "<text:section>" * 5000, name="5.zip"),
    ]
    documents, records = read(*paths)
    assert documents == [] and [record.status for record in records] == ["failed"] * 5
    words = ["entities", "times its size", "password", "repeats", "damaged"]
    assert all(word in record.reason for word, record in zip(words, records, strict=True))
    assert all(record.seconds < 2 for record in records)
