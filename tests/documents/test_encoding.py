import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.documents.encoding import decode_pieces, find_encoding, plain

WESTERN = "Café déjà vu: naïve façade, £20, ½ cup. Straße und Übung. " * 5
JAPANESE = "日本語のテキストです。これは試験です。" * 10
RUSSIAN = "Это проверка кодировки текста. " * 10
CHINESE = "这是一个测试文件，用来检查编码。" * 10


def decoded(data: bytes) -> str | None:
    found = find_encoding(data)
    if found is None:
        return None
    codec, mark = found
    return data[mark:].decode(codec, "replace")


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (WESTERN, "utf-8"),
        (WESTERN, "utf-8-sig"),
        (WESTERN, "utf-16"),
        (WESTERN, "utf-32"),
        (WESTERN, "latin-1"),
        (WESTERN, "cp1252"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc-jp"),
        (RUSSIAN, "koi8-r"),
        (CHINESE, "gb18030"),
    ],
)
def test_text_is_the_same_in_every_encoding(text, codec):
    assert decoded(text.encode(codec)) == text


def test_utf16_without_mark_is_told_by_its_zeros():
    text = "Plain words without a mark. " * 10
    assert decoded(text.encode("utf-16-le")) == text
    assert decoded(text.encode("utf-16-be")) == text


def test_big_endian_mark_is_taken_off():
    assert decoded(codecs.BOM_UTF16_BE + "mark".encode("utf-16-be")) == "mark"


def test_typographic_marks_are_windows_not_hebrew():
    text = "“Smart quotes” – it’s €5… " * 20
    assert decoded(text.encode("cp1252")) == text


def test_one_bad_byte_does_not_change_the_encoding():
    text = WESTERN * 50
    data = text.encode() + b"\xff" + text.encode()
    assert decoded(data) == text + "\ufffd" + text


def test_character_cut_at_the_end_stays_utf8():
    assert decoded(("日本語" * 400).encode()[:-1]) == ("日本語" * 400)[:-1] + "\ufffd"


@pytest.mark.parametrize("data", [b"hello\0world\0" * 50, bytes(range(256)) * 20, bytes(1000)])
def test_binary_data_have_no_encoding(data):
    assert find_encoding(data) is None


@given(st.text(), st.integers(1, 7), st.sampled_from(["utf-8", "utf-16-le", "utf-32-be"]))
def test_pieces_decode_like_the_whole(text, size, codec):
    data = text.encode(codec)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(decode_pieces(chunks, codec)) == expected


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_plain_text_can_be_written_and_has_one_kind_of_newline(text):
    result = plain(text)
    result.encode()
    assert "\r" not in result and "\0" not in result


def test_plain_text_keeps_what_the_cleaners_look_for():
    text = "Cafe\u0301\x0c\x1b[1mÃ©\u200b \t\n\n\n\n\n.\r\nb\rc\0\ud800"
    assert plain(text) == "Cafe\u0301\x0c\x1b[1mÃ©\u200b \t\n\n\n\n\n.\nb\nc\ufffd"
