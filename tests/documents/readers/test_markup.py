import pytest

BOMB = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'
RSS = """<?xml version="1.0" encoding="utf-8"?><!-- feed --><rss version="2.0"
 xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>The blog</title><link>http://x</link>
<item><title>First &amp; foremost</title><link>http://x/1</link>
<description>Short &lt;b&gt;teaser&lt;/b&gt;</description>
<content:encoded><![CDATA[<p>One long paragraph.</p><ul><li>an item</li></ul>]]></content:encoded></item>
<item><description>AT&amp;T is 1 &lt; 2</description></item><item><link>http://x/3</link></item></channel></rss>"""
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>F</title>
<entry><title type="text">One</title><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Words
of <em>one</em>.</p></div></content></entry>
<entry><title>Two</title><summary type="html">&lt;p&gt;Words of two.&lt;/p&gt;</summary></entry></feed>"""
BOOK = """<?xml version="1.0"?><book><title>The book</title><chapter><para>Some <em>inline</em>
   words and many more of them, so that this file is a text.</para><!-- note -->
<para>Another paragraph that goes on
and on, and has enough words for the most of it to be words, as they do in documents, which are not settings.</para>
<programlisting>if x:
    return 1</programlisting></chapter></book>"""
SETTINGS = '<?xml version="1.0"?>\n<config>\n  <item name="size" value="3"/>\n  <item name="red">é</item>\n</config>\n'


def test_a_feed_gives_its_items(tmp_path, read):
    (tmp_path / "feed.xml").write_text(RSS)
    documents, (record,) = read(tmp_path)
    assert [document.text for document in documents] == [
        "First & foremost\n\nOne long paragraph.\n\n  • an item\n",
        "AT&T is 1 < 2\n",
    ]
    assert documents[1].source == f"{tmp_path}/feed.xml#2" and documents[0].media_type == "application/rss+xml"
    assert (record.reader, record.reason) == ("feed", "1 of 3 items had no text")


def test_atom_is_a_feed_whatever_its_name(tmp_path, read):
    (tmp_path / "atom").write_text(ATOM)
    documents, (record,) = read(tmp_path)
    assert [document.text for document in documents] == ["One\n\nWords of one.\n", "Two\n\nWords of two.\n"]
    assert record.media_type == "application/atom+xml"


def test_a_document_in_xml_gives_its_text(tmp_path, read):
    (tmp_path / "a.xml").write_text(BOOK)
    (document,), _ = read(tmp_path)
    assert document.text.split("\n\n") == [
        "The book",
        "Some inline words and many more of them, so that this file is a text.",
        "Another paragraph that goes on and on, and has enough words for the most of it to be words, as they do in "
        "documents, which are not settings.",
        "if x:\n    return 1\n",
    ]
    assert document.media_type == "application/xml"


@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "latin-1"])
def test_settings_stay_markup(tmp_path, read, codec):
    (tmp_path / "a.xml").write_bytes(SETTINGS.replace('"1.0"', f'"1.0" encoding="{codec}"').encode(codec))
    (document,), _ = read(tmp_path)
    assert document.text == SETTINGS.replace('"1.0"', f'"1.0" encoding="{codec}"')
    assert document.media_type == "text/x-xml"


def test_encodings_that_expat_does_not_know_are_read(tmp_path, read):
    text = RSS.replace("utf-8", "Shift_JIS").replace("an item", "記事です")
    (tmp_path / "a.xml").write_bytes(text.encode("cp932"))
    assert "記事です" in read(tmp_path)[0][0].text


def test_entities_are_never_expanded(tmp_path, read):
    (tmp_path / "a.xml").write_text(BOMB + "<r>&b;&c;</r>")
    (tmp_path / "b.rss").write_text(RSS.replace("<!-- feed -->", '<!DOCTYPE rss [<!ENTITY a "ha">]>'))
    (document,), (first, second) = read(tmp_path)
    assert document.text == BOMB + "<r>&b;&c;</r>" and "declares entities" in first.reason
    assert second.status == "failed" and "declares entities" in second.reason


def test_damaged_xml_stays_markup(tmp_path, read):
    (tmp_path / "a.xml").write_text(BOOK[:-20])
    (document,), (record,) = read(tmp_path)
    assert document.text == BOOK[:-20] and "damaged" in record.reason


def test_deep_nesting_costs_only_itself(tmp_path, read):
    (tmp_path / "a.xml").write_text("<a>" * 200_000 + "deep" + "</a>" * 200_000)
    (tmp_path / "b.txt").write_text("after")
    documents, records = read(tmp_path)
    assert documents[-1].text == "after" and records[0].status in ("read", "failed")


@pytest.mark.parametrize(
    ("name", "media_type", "text"),
    [
        (
            "paper.tex",
            "text/x-tex",
            "% a comment stays\n\\section{One}  % and this\n\\begin{verbatim}\n\tx  y\n\\end{verbatim}\n",
        ),
        ("guide.rst", "text/x-rst", ".. a comment\n\nTitle\n=====\n\n.. code:: python\n\n   if x:\n       y  = 'é'\n"),
        (
            "notes.md",
            "text/markdown",
            "---\ntitle: t\n---\n\n# One\n\n<!-- comment -->\n\n```\n\ta  b\n```\n\n| a | b |\n|---|---|\n",
        ),
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_light_markup_is_complete(tmp_path, read, name, media_type, text, codec):
    text = text + "Über naïve Façaden und andere Dinge, die man so nennt.\n" * 3
    (tmp_path / name).write_bytes(text.encode(codec))
    (document,), (record,) = read(tmp_path)
    assert (document.text, document.media_type, record.reader) == (text, media_type, "text")
