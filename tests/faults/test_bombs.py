"""Rows 29 to 31: images, archives and XML that unfold into far more than they are cost little and give nothing."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import docx
import openpyxl
import pptx
import zstandard

import groundup

GOOD = "The lighthouse above the bay was lit every evening, and ships passed at a distance.\n"
MB = 1 << 20


def png_bomb(side: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    lines = zlib.compress(bytes((side // 8 + 1) * side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def tiff_bomb(side: int) -> bytes:
    fields = [(256, 4, side), (257, 4, side), (258, 3, 1), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, side)]
    fields.append((279, 4, side * side // 8))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(fields)) + entries + bytes(4)


def gif_bomb(side: int) -> bytes:
    size = struct.pack("<HH", side, side)
    screen = b"GIF89a" + size + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return screen + b"," + bytes(4) + size + b"\0" + b"\x02\x02\x4c\x01\0" + b";"


def test_row_29_image_bombs_are_refused_before_decoding(tmp_path, weigh):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.txt").write_text(GOOD)
    (folder / "bomb.png").write_bytes(png_bomb(30_000))
    (folder / "bomb.tif").write_bytes(tiff_bomb(60_000))
    (folder / "bomb.gif").write_bytes(gif_bomb(65_535))
    done, memory = weigh("prepare", folder, "--out", tmp_path / "corpus")
    assert done.returncode == 0, done.stderr
    corpus = groundup.prepare(out=tmp_path / "corpus")
    found = {Path(row["path"]).name: row for row in corpus.ledger()}
    for name in ("bomb.png", "bomb.tif", "bomb.gif"):
        assert found[name]["status"] == "failed" and "pixels" in found[name]["reason"], found[name]
        assert found[name]["seconds"] < 5
    assert found["good.txt"]["status"] == "read" and corpus.manifest["documents"] == 1
    assert memory < 600 * MB  # 30,000 x 30,000 pixels in grey take 900 MB


def pack(path: Path, members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path.read_bytes()


def repack(path: Path, name: str, data: bytes) -> None:
    """Replace a part of an office file."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    assert name in members
    pack(path, members | {name: data})


CONTAINER = '<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>'
BOOK = (
    '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml" '
    'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>'
)
OPENDOCUMENT = "application/vnd.oasis.opendocument.text"


def write_office(folder: Path) -> dict[str, tuple[Path, str]]:
    """An office file of each kind, and the name of the part that holds its text."""
    document = docx.Document()
    document.add_paragraph("Words")
    document.save(str(folder / "a.docx"))
    slides = pptx.Presentation()
    slides.slides.add_slide(slides.slide_layouts[0]).shapes.title.text = "Slide"  # type: ignore[union-attr]
    slides.save(str(folder / "a.pptx"))
    book = openpyxl.Workbook()
    book.active.append(["cell", "value"])  # type: ignore[union-attr]
    book.save(folder / "a.xlsx")
    pack(
        folder / "a.epub",
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": CONTAINER.encode(),
            "book.opf": BOOK.encode(),
            "a.xhtml": b"<html><body><p>Chapter</p></body></html>",
        },
    )
    pack(
        folder / "a.odt",
        {"mimetype": OPENDOCUMENT.encode(), "content.xml": b"<a/>", "META-INF/manifest.xml": b"<manifest/>"},
    )
    parts = {
        "a.docx": "word/document.xml",
        "a.pptx": "ppt/slides/slide1.xml",
        "a.xlsx": "xl/worksheets/sheet1.xml",
        "a.epub": "a.xhtml",
        "a.odt": "content.xml",
    }
    return {name: (folder / name, part) for name, part in parts.items()}


def test_row_30_archive_and_office_bombs_traversal_links_and_deep_nesting(tmp_path, prepare, rows, texts):
    folder = tmp_path / "deep" / "docs"
    folder.mkdir(parents=True)
    (folder / "good.txt").write_text(GOOD)
    zeros = b"a" * (64 * MB)
    for suffix, packed in (("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)):
        (folder / f"bomb.txt.{suffix}").write_bytes(packed(zeros))
    (folder / "bomb.txt.zst").write_bytes(zstandard.compress(zeros))
    pack(folder / "bomb.zip", {"bomb.txt": zeros, "beside.txt": b"It lay beside the bomb in its archive."})
    for name, (path, part) in write_office(folder).items():
        if name in ("a.docx", "a.xlsx", "a.epub"):
            repack(path, part, b"<a>" + zeros + b"</a>")
        else:
            path.unlink()
    pack(folder / "slip.zip", {"../../slipped.txt": b"slip", "/slipped.txt": b"slip", "in.txt": b"It stayed inside."})
    with tarfile.open(folder / "links.tar", "w") as archive:
        for name, kind, target in (
            ("out", tarfile.SYMTYPE, "../.."),
            ("hard", tarfile.LNKTYPE, "/etc/hostname"),
            ("device", tarfile.CHRTYPE, ""),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        for name in ("out/slipped.txt", "../slipped.txt", "plain.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    nested = b"Nobody digs so deep."
    for level in range(5):
        nested = pack(folder / "nested.zip", {f"{level}.zip" if level else "bottom.txt": nested})
    corpus = prepare(folder)  # it also looks for what was written outside
    assert not list(tmp_path.rglob("slipped.txt"))
    found = rows(corpus, folder)
    for name in ("bomb.txt.gz", "bomb.txt.xz", "bomb.txt.bz2", "bomb.txt.zst", "bomb.zip!/bomb.txt"):
        assert found[name]["status"] == "failed" and "times its size" in found[name]["reason"], found[name]
    for name in ("a.docx", "a.xlsx", "a.epub"):
        assert found[name]["status"] == "failed" and "unpacks to more" in found[name]["reason"], found[name]
    refused = {name: row["reason"] for name, row in found.items() if row["status"] == "skipped"}
    assert "outside" in refused["slip.zip!/../../slipped.txt"] and "outside" in refused["links.tar!/../slipped.txt"]
    assert "link" in refused["links.tar!/out"] and "link" in refused["links.tar!/hard"]
    assert "device" in refused["links.tar!/device"] and "links.tar!/pipe" in refused
    assert [reason for name, reason in refused.items() if name.startswith("nested.zip")] == [
        "archives nested deeper than 3"
    ]
    kept = texts(corpus)
    for text in (GOOD.strip(), "It lay beside the bomb in its archive.", "It stayed inside.", "plain.txt"):
        assert any(text in document for document in kept), text
    assert not any("Nobody digs" in document for document in kept)


def test_row_31_xml_entities_are_refused(tmp_path, prepare, rows, texts):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.txt").write_text(GOOD)
    (tmp_path / "secret").write_text("the contents of another file")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f'<!DOCTYPE a [<!ENTITY l0 "lol">{laughs}<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'.encode()
    offices = write_office(folder)
    repack(
        folder / "a.odt",
        "content.xml",
        b'<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        b'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:text><text:p>Words'
        b"</text:p></office:text></office:body></office:document-content>",
    )
    for path, part in offices.values():
        with zipfile.ZipFile(path) as archive:
            old = archive.read(part)
        head, _, body = old.rpartition(b"?>") if old.startswith(b"<?xml") else (b"", b"", old)
        for word in (b"Words", b"Slide", b"<v>", b"Chapter"):
            body = body.replace(word, word + b"&l9;&x;")
        repack(path, part, (head + b"?>" if head else b"") + doctype + body)
    item = b"<item><title>News</title><description>&l9;&x; of today</description></item>"
    (folder / "a.rss").write_bytes(doctype + b'<rss version="2.0"><channel>' + item + b"</channel></rss>")
    (folder / "a.svg").write_bytes(
        doctype + b'<svg xmlns="http://www.w3.org/2000/svg"><text>Drawn &l9;&x; words</text></svg>'
    )
    (folder / "a.xml").write_bytes(doctype + b"<a><p>" + b"Many plain words in a row. " * 20 + b"&l9;&x;</p></a>")
    corpus = prepare(folder)
    found = rows(corpus, folder)
    for name in ("a.docx", "a.pptx", "a.xlsx", "a.odt", "a.rss"):
        assert found[name]["status"] == "failed" and "declares entities" in found[name]["reason"], found[name]
    kept = "\n".join(texts(corpus))
    assert GOOD.strip() in kept
    assert "lollol" not in kept and "contents of another" not in kept
    assert sum(row["characters"] for row in found.values()) < 10_000
