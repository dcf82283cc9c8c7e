from hypothesis import given
from hypothesis import strategies as st

from groundup.documents import Document, Limits
from groundup.documents.document import cut_long


@given(st.text(alphabet="ab \n.é🙂", max_size=400), st.integers(1, 50), st.lists(st.integers(0, 400), max_size=5))
def test_parts_put_together_are_the_document_with_its_pages(text, size, pages):
    offsets = tuple(sorted(min(page, len(text)) for page in pages))
    parts = list(cut_long(Document(text, "a.txt", "text/plain", offsets), size))
    assert "".join(part.text for part in parts) == text
    assert all(len(part.text) <= size for part in parts)
    start = 0
    for part in parts:
        for page, offset in zip(offsets, part.pages, strict=True):
            assert 0 <= offset <= len(part.text)
            if start <= page < start + len(part.text):
                assert offset == page - start
        start += len(part.text)


def test_a_short_document_stays_itself_and_a_long_one_is_cut_at_paragraphs():
    document = Document("One.\n\nTwo is long.\n\nThree.\n", "a.txt", "text/plain")
    assert list(cut_long(document, 100)) == [document]
    parts = list(cut_long(document, 20))
    assert [part.source for part in parts] == ["a.txt#part-1", "a.txt#part-2"]
    assert parts[0].text == "One.\n\nTwo is long.\n"


def test_every_kind_of_file_gives_documents_of_bounded_length(tmp_path, read):
    (tmp_path / "big.json").write_text('{"text": "' + "A sentence of a long record. " * 5000 + '"}')
    documents, (record,) = read(tmp_path, limits=Limits(piece_bytes=50_000))
    assert len(documents) == record.documents == 3
    assert all(len(document.text) <= 50_000 for document in documents)
