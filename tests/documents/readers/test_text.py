import pytest

from groundup.documents import Limits


def test_code_is_byte_exact_but_for_mark_and_newlines(tmp_path, read):
    code = "def f():\n\tx = 'e\u0301'  \n\n\n    return\x0c x   \n\t\n"
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbf" + code.replace("\n", "\r\n").encode())
    documents, records = read(tmp_path)
    assert documents[0].text == code
    assert (documents[0].media_type, records[0].reader) == ("text/x-python", "code")


def test_prose_is_as_it_is_written(tmp_path, read):
    (tmp_path / "a.md").write_bytes("# Cafe\u0301\r\n\r\n- a\r  - b\x07  ".encode())
    (document,), (record,) = read(tmp_path)
    assert document.text == "# Cafe\u0301\n\n- a\n  - b\x07  "  # cleaning comes later, where it is asked for
    assert (record.documents, record.characters, record.reason) == (1, len(document.text), "")


@pytest.mark.parametrize("content", [b"", b" \n\t \r\n", b"\xef\xbb\xbf\n"])
def test_blank_files_are_empty(tmp_path, read, content):
    (tmp_path / "a.txt").write_bytes(content)
    documents, (record,) = read(tmp_path)
    assert documents == [] and (record.status, record.reason) == ("skipped", "empty")


def test_binary_data_named_txt_are_skipped(tmp_path, read):
    (tmp_path / "a.txt").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 10)
    documents, (record,) = read(tmp_path)
    assert documents == [] and (record.status, record.reason) == ("skipped", "binary")


def test_a_late_latin1_letter_is_found(tmp_path, read):
    text = "plain words\n" * 20_000 + "Café déjà vu, naïve façade.\n"
    (tmp_path / "a.txt").write_bytes(text.encode("latin-1"))
    assert read(tmp_path)[0][0].text == text


def test_undecodable_bytes_are_counted(tmp_path, read):
    (tmp_path / "a.txt").write_bytes("déjà vu ".encode() * 100 + b"\xff\xfe end")
    documents, (record,) = read(tmp_path)
    assert documents[0].text.endswith("\ufffd\ufffd end")
    assert record.status == "read" and record.reason.startswith("2 characters")


def test_big_text_is_cut_at_line_ends(tmp_path, read):
    text = "".join(f"line {n} ünï\r\n" for n in range(20_000))
    (tmp_path / "big.txt").write_text(text, newline="")
    documents, (record,) = read(tmp_path, limits=Limits(piece_bytes=100_000))
    assert record.documents == len(documents) > 2
    assert "".join(document.text for document in documents) == text.replace("\r\n", "\n")
    assert all(document.text.endswith("\n") for document in documents)
    assert all(len(document.text.encode()) < 250_000 for document in documents)
    assert [d.source for d in documents] == [f"{tmp_path}/big.txt#part-{n + 1}" for n in range(len(documents))]


def test_one_endless_line_is_cut_between_words(tmp_path, read):
    text = "word " * 100_000
    (tmp_path / "big.txt").write_text(text)
    documents, _ = read(tmp_path, limits=Limits(piece_bytes=50_000))
    assert "".join(document.text for document in documents) == text
    assert len(documents) > 4 and all(document.text.endswith(" ") for document in documents)
