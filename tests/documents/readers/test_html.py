from groundup.documents import Limits

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
