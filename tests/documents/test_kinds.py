import pytest

from groundup.documents.kinds import find_kind, find_office_kind


@pytest.mark.parametrize(
    ("head", "name", "reader", "media_type"),
    [
        (b"%PDF-1.7\n", "paper.txt", "pdf", "application/pdf"),
        (b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.4", "paper.pdf", "pdf", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n....", "scan", "image", "image/png"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "scan.jpg", "image", "image/webp"),
        (b"PK\x03\x04....", "letter.docx", "zip", "application/zip"),
        (b"\x1f\x8b\x08....", "rows.jsonl.gz", "gzip", "application/gzip"),
        (b'{"text": "not packed"}', "rows.jsonl.gz", "jsonl", "application/jsonl"),
        (b"<!DOCTYPE html><p>404", "paper.pdf", "html", "text/html"),
        (b"  <!-- c --><html lang='en'>", "page", "html", "text/html"),
        (b"<html>", "template.php", "code", "text/x-php"),
        (b"# Title", "README.md", "text", "text/markdown"),
        (b"\\documentclass{article}", "paper.tex", "text", "text/x-tex"),
        (b"#include <a.h>", "a.h", "code", "text/x-c"),
        (b"all:\n\tcc", "Makefile", "code", "text/x-makefile"),
        (b"#!/usr/bin/env python3\n", "tool", "code", "text/x-python"),
        (b"a;b\n1;2", "t.csv", "csv", "text/csv"),
        (b"Dear all", "letter.unknown", "text", "text/plain"),
        (b"PAR1\x15\x04", "rows", "parquet", "application/vnd.apache.parquet"),
        (b"\x28\xb5\x2f\xfd....", "rows.jsonl.zst", "zstd", "application/zstd"),
        (b"\x50\x2a\x4d\x18\1\0\0\0", "rows.zst", "zstd", "application/zstd"),
        (b"Title\n=====\n", "guide.rst", "text", "text/x-rst"),
        (b"<?xml version='1.0'?><rss version='2.0'>", "a.xml", "feed", "application/rss+xml"),
        (b"<?xml version='1.0'?><project>", "pom.xml", "xml", "application/xml"),
        (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x'><html>", "a.xml", "html", "text/html"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHi", "a.txt", "subtitles", "application/x-subrip"),
        (b"From: a@b\nReceived: x\n  y\n\nHi", "a", "eml", "message/rfc822"),
        (b"From a@b Sat Nov 21 10:00:00 2026\nTo: x\n\nHi", "inbox", "mbox", "application/mbox"),
        (b"BM is short for benchmark, and this is text", "notes.txt", "text", "text/plain"),
    ],
)
def test_content_is_looked_at_before_the_name(head, name, reader, media_type):
    kind = find_kind(head, name)
    assert (kind.reader, kind.media_type) == (reader, media_type)


CODE = """
    .lisp .lsp .el .rkt .ada .adb .ads .awk .cob .cbl .d .f .for .f90 .tcl .sed .cl .glsl .vert .frag .wgsl
    .dhall .lock .conf .cfg .tmpl .j2 .nix .proto .thrift .zig .vhd .vhdl .v .sv .asm .s .pro .m4 .ino .jl .ml
    .mli .hs .ex .exs .erl .clj .kt .swift .dart .r .R .pl .pm .lua .groovy .gradle .cmake .ps1 .bat .vim .tf
"""


@pytest.mark.parametrize("suffix", CODE.split())
def test_code_is_known_by_its_name(suffix):
    kind = find_kind(b"(defun hello () 1)\n", f"a{suffix}")
    assert kind.reader == "code" and kind.media_type.startswith("text/x-")


def test_a_name_of_code_makes_no_code_of_other_formats(tmp_path, read):
    assert find_kind(b"%PDF-1.7\n", "plan.d").reader == "pdf"
    (tmp_path / "a.pro").write_bytes(bytes(range(256)) * 8)
    assert read(tmp_path)[1][0].reason == "binary"


@pytest.mark.parametrize(
    ("head", "name", "status", "word"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "letter.docx", "failed", "password"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "letter.doc", "skipped", "DOCX"),
        (b"7z\xbc\xaf\x27\x1c", "a.7z", "skipped", "unpack"),
        (b"random\0bytes", "paper.pdf", "failed", "not a PDF"),
    ],
)
def test_files_that_are_left_alone_say_why(head, name, status, word):
    kind = find_kind(head, name)
    assert kind.reader == "" and kind.status == status and word in kind.reason


@pytest.mark.parametrize(
    ("names", "mimetype", "reader"),
    [
        (["[Content_Types].xml", "word/document.xml"], "", "docx"),
        (["ppt/presentation.xml"], "", "pptx"),
        (["xl/workbook.xml"], "", "xlsx"),
        (["mimetype", "META-INF/container.xml"], "application/epub+zip", "epub"),
        (["content.xml", "META-INF/manifest.xml"], "", "opendocument"),
        (["xl/workbook.bin"], "", ""),
        (["Index/Document.iwa"], "", ""),
    ],
)
def test_a_zip_file_is_known_by_its_members(names, mimetype, reader):
    kind = find_office_kind(names, mimetype)
    assert kind and kind.reader == reader and bool(kind.reason) == (not reader)


def test_other_zip_files_are_archives():
    assert find_office_kind(["a.txt"], "") is None
    assert find_office_kind(["content.xml", "mimetype"], "text/plain") is None
