import pytest

from groundup.documents import Limits
from groundup.documents.document import Options
from groundup.documents.readers.html import html_text

PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>T</title><script>var x = "<p>no</p>"</script></head>
<body><nav><ul><li><a href="/">Home</a></li><li><a href="/a">About us</a></li></ul></nav>
<main><article><h1>Reading pages<a class="headerlink" href="#r">¶</a></h1>
<p>The first paragraph of the article is long enough to be taken for content; it says a thing or two
about cafés.</p>
<pre><code>def f(x):
    if x:
        return 1
</code></pre>
<p>The second paragraph refers to ¶ 12 of the law, and it ends the article with some more words.</p>
</article></main>
<footer><p>Copyright notices and cookies</p></footer></body></html>"""


def test_the_article_is_kept_and_the_furniture_is_not(tmp_path, read):
    (tmp_path / "a.html").write_text(PAGE)
    (document,), (record,) = read(tmp_path)
    assert "def f(x):\n    if x:\n        return 1\n" in document.text
    assert "Reading pages\n" in document.text and "¶ 12 of the law" in document.text and "cafés" in document.text
    for furniture in ("Home", "cookies", "var x", "<p>"):
        assert furniture not in document.text
    assert "\n\nThe second paragraph" in document.text
    assert (record.status, record.reader, record.media_type) == ("read", "html", "text/html")


def test_a_wrong_declaration_of_the_encoding_is_noticed(tmp_path, read):
    (tmp_path / "a.html").write_bytes(PAGE.encode("latin-1"))
    assert "cafés" in read(tmp_path)[0][0].text


def test_a_page_that_takes_too_long_gives_all_its_text(tmp_path, read):
    deep = b"<html><body>" + b"<div>" * 60_000 + b"deep text" + b"</div>" * 60_000
    (tmp_path / "a.html").write_bytes(deep)
    (tmp_path / "b.html").write_text(PAGE)
    documents, records = read(tmp_path, limits=Limits(html_seconds=1))
    assert [record.status for record in records] == ["read", "read"]
    assert documents[0].text.strip() == "deep text" and "in time" in records[0].reason
    assert "cookies" not in documents[1].text and records[1].reason == ""


def test_a_page_without_text_is_skipped(tmp_path, read):
    (tmp_path / "a.html").write_text("<!doctype html><script>1</script>")
    documents, (record,) = read(tmp_path)
    assert documents == [] and record.status == "skipped"


BODY = {
    "Heading one": "<h1>Heading one</h1>",
    "first paragraph": "<p>The first paragraph of the article is long enough to be taken for content.</p>",
    "    if x:\n\n        return  1\n": "<pre><code>\n\n  def f(x):\n    if x:\n\n        return  1\n</code></pre>",
    "first step": "<ol><li>first step</li></ol>",
    "definition two": "<dl><dt>term one</dt><dd>definition one</dd><dt>term two</dt><dd>definition two</dd></dl>",
    "Quoted words": "<blockquote><p>Quoted words</p></blockquote>",
    "Figure caption": "<figure><figcaption>Figure caption</figcaption></figure>",
    "Sato\t\t30\n": "<table><tr><th>Name</th><th>Age</th></tr><tr><td>Sato</td><td>30</td></tr></table>",
    "a plain link": '<ul><li><a href="/x">a plain link</a> and why it is here</li></ul>',
    "nested gamma": "<ul><li>alpha item</li><li>beta item<ul><li>nested gamma</li></ul></li></ul>",
}
AROUND = """<!doctype html><html><head><title>Page title</title><style>p {}</style><script>var x</script></head><body>
<header><div>Logo words</div></header>
<nav><ul><li><a href="/">Home</a></li><li><a href="/a">About us</a></li></ul></nav>
%s<aside><h3>Related stories</h3></aside><footer><p>Cookie notice</p></footer></body></html>"""
FURNITURE = ("Logo words", "Home", "About us", "Related stories", "Cookie notice", "var x", "p {}", "Page title")


@pytest.mark.parametrize("shell", ["%s", "<main>%s</main>", "<article>%s</article>", "<div><div>%s</div></div>"])
@pytest.mark.parametrize(
    "pieces", [list(BODY), list(BODY)[:2], ["Heading one", "nested gamma"], ["Heading one", "Sato\t\t30\n"]]
)
def test_an_article_of_any_length_is_complete(shell, pieces):
    text = html_text(AROUND % (shell % "".join(BODY[piece] for piece in pieces)), article=True)
    assert [piece for piece in pieces if piece not in text] == []
    assert [words for words in FURNITURE if words in text] == []


def test_everything_is_taken_when_asked_for(tmp_path, read):
    (tmp_path / "a.html").write_text(AROUND % "<main><p>Words.</p></main>")
    (document,), _ = read(tmp_path, options=Options(html="all"))
    assert all(words in document.text for words in ("Words.", "Home", "Related stories", "Cookie notice"))


def test_an_almost_empty_main_element_is_not_the_article():
    page = "<body><main>Loading</main><div>" + "<p>The words of the article stand elsewhere.</p>" * 5
    assert html_text(page, article=True).count("elsewhere") == 5


def test_several_articles_are_all_taken():
    page = "<body>" + "".join(f"<article><h2>Story {n}</h2><p>Its words are here.</p></article>" for n in range(4))
    assert [f"Story {n}" in html_text(page, article=True) for n in range(4)] == [True] * 4


def test_a_row_stays_in_a_line_whatever_its_cells_hold():
    page = "<table><tr><td><p>a</p></td><td>b<br>c</td><td><ul><li>d<li>e</ul></td></tr><tr><td>f</td><td>g</table>"
    assert html_text(page) == "a\t\tb c\t\td, e\nf\t\tg\n"
    prose = "<p>" + "long words " * 30 + "</p>"
    assert html_text(f"<table><tr><td>{prose}{prose}</td><td>side</td></tr></table>").count("\n") > 2


def test_blanks_of_code_are_exact():
    code = "\n  a  \n\n\tb\t\t  c\n\n\n    d"
    assert html_text(f"<body><main><p>Words.</p><pre>\n{code}</pre></main>", article=True) == f"Words.\n\n{code}\n"


def test_a_page_without_a_heading_begins_with_its_title():
    assert html_text("<title>My  day</title><p>It rained.</p>") == "My day\n\nIt rained.\n"
    assert html_text("<title>My day - Blog</title><h1>My day</h1><p>It rained.</p>") == "My day\n\nIt rained.\n"


def test_a_list_and_a_table_beside_each_other_are_parted(tmp_path, read):
    table = "<table><tr><td>1</td><td>2</td></tr></table>"
    page = f"<h1>T</h1><p>words before</p><ul><li>one</li></ul>{table}<ol><li>x</li></ol>"
    (tmp_path / "a.html").write_text(f"<html><body><main>{page}</main></body></html>")
    (document,), _ = read(tmp_path)
    assert document.text == "T\n\nwords before\n\n  • one\n\n1\t\t2\n\n  1. x\n"
