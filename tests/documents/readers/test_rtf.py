import pytest

HEAD = rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\froman\fcharset0 Times;}{\f1\fcharset204 Times Cyr;}" + (
    rb"{\f2\fcharset128 Mincho;}{\f3\fcharset2 Symbol;}{\f4\fcharset2 Wingdings;}{\f5\fcharset238{\*\falt x}Times CE;}}"
    rb"{\colortbl;\red0\green0\blue0;}{\stylesheet{\s1 heading 1;}}{\info{\title Not text}}{\header running head}"
)


@pytest.fixture
def text_of(tmp_path, read):
    def text(body: bytes, head: bytes = HEAD) -> str:
        path = tmp_path / "a.doc"  # which Word opens whatever it is named
        path.write_bytes(head + body)
        (document,), (record,) = read(path)
        assert (record.reader, record.media_type) == ("rtf", "application/rtf")
        return document.text

    return text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"\'e9t\'e9 \ldblquote a\rdblquote\emdash b\~c a\_b soft\-ness \{\\\}", "été “a”—b\xa0c a-b softness {\\}"),
        (rb"{\f1\'cf\'f0\'e8\'e2\'e5\'f2} \'e9 \f5\'e8\plain\'e8", "Привет é čè"),
        (rb"\f2\'93\'fa\'96\'7b \'83\\ \'83A", "日本 ソ ア"),  # the second byte may be a letter or a backslash
        (b"\\f1 \xcf\xf0 \\f0\xe9", "Пр é"),
        (rb"\f3 abG\'a3 \f4 x\'fc\u-3844?\f0 end", "αβΓ≤ end"),
        (rb"\u-10179?\u-8704? \u26085\'93 \uc2\u233\'c3\'a9\uc0\u233 x\uc1\u8364", "😀 日 ééx€"),
        (rb"{\upr{ascii}{\*\ud{\u946?}}}", "β"),
        (
            rb"a{\*\unknown no}b{\v no}c{\deleted no}d{\*\bkmkstart no}e{\xe no}f{\object{\*\objdata 00}{\result g}}",
            "abcdefg",
        ),
        (rb'{\field{\*\fldinst HYPERLINK "http://x"}{\fldrslt the link}} after', "the link after"),
        (rb"{\pict\wmetafile8 0102ab}{\pict\bin5 }}{{\}{\*\shppict{\pict ffd8}}x", "x"),
        (rb"one\line two\par\par\tab three\page four" b"\\\nfive", "one\ntwo\n\n\tthree\n\nfour\n\nfive"),
    ],
)
def test_characters_are_read_in_the_code_page_of_their_font(text_of, body, text):
    assert text_of(body + b"}") == text + "\n"


def test_a_simple_writer_means_the_code_page_of_the_document(text_of):
    head = rb"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0\fcharset0 Arial;}}"
    assert text_of(rb"\f0\'cf\'f0}", head) == "Пр\n"
    assert text_of(rb"\'8e\'82}", rb"{\rtf1\mac ") == "éÇ\n"


def test_lists_tables_notes_and_boxes_keep_their_form(text_of):
    body = (
        rb"\pard Intro\chftn{\footnote\pard\chftn  a {\b note}\par second}.\par"
        rb"{\listtext\pard\f3 \'b7\tab}\ilvl0 apples\par{\listtext\f4\'a7\tab}\ilvl1 green\par"
        rb"\pard{\pntext\f0 2.\tab}pears\par\pard"
        rb"\trowd\intbl a1\cell b1\par b1 too\cell\row\trowd\intbl a2\cell\cell\row"
        rb"\pard\intbl\itap2 in\nestcell ner\nestcell{\*\nesttableprops\trowd\nestrow}"
        rb"{\nonesttables x\par}\itap1\cell\row"
        rb"\pard{\shp{\*\shpinst{\sp{\sn name}{\sv value}}{\shptxt boxed\par text}}{\shprslt boxed}}After.\par}trailing"
    )
    assert text_of(body) == (
        "Intro[1].\n\n- apples\n  - green\n2. pears\n\na1 | b1 b1 too\na2 | \nin ner\n\nAfter.\n\nboxed\n\ntext\n\n"
        "[1] a note second\n"
    )


def test_what_came_before_a_cut_is_kept(tmp_path, read):
    (tmp_path / "a.rtf").write_bytes(HEAD + rb"kept{\b and{\footnote noted \'e")
    (document,), (record,) = read(tmp_path / "a.rtf")
    assert document.text.startswith("keptand[1]\n\n[1] noted")
    assert record.status == "read" and "cut short" in record.reason


@pytest.mark.parametrize(
    "body",
    [
        b"{" * 3_000_000,
        b"{\\footnote " * 40_000,
        b"}" * 1_000_000,
        b"{\\field{\\*\\fldinst HYPERLINK " * 40_000,
        b"{\\pict\\bin9999999999 x",
        b"{\\fonttbl" + b"\\f1\\fcharset2 x;" * 100_000,
        b"\\u99999999999\\u1114112 \\uc-5 x" * 20_000,
        b"\\intbl\\cell" * 100_000,
    ],
)
def test_hostile_files_take_time_in_proportion(tmp_path, read, body):
    (tmp_path / "a.rtf").write_bytes(b"{\\rtf1 text\\par " + body)
    _, (record,) = read(tmp_path / "a.rtf")
    assert record.seconds < 5 and record.status in ("read", "failed") and "Error" not in record.reason
