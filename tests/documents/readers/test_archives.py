import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import docx
import pytest
import zstandard

from groundup.documents import Limits


def make_zip(path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_members_are_named_by_archive_and_path(tmp_path, read):
    inner = io.BytesIO()
    make_zip(inner, {"deep.md": b"deep"})
    make_zip(tmp_path / "a.zip", {"x/one.txt": b"one", "two.py": b"two = 2\n", "b.zip": inner.getvalue()})
    documents, records = read(tmp_path)
    base = f"{tmp_path}/a.zip"
    assert [(d.source, d.text) for d in documents] == [
        (f"{base}!/x/one.txt", "one"),
        (f"{base}!/two.py", "two = 2\n"),
        (f"{base}!/b.zip!/deep.md", "deep"),
    ]
    assert [r.path for r in records] == [*(d.source for d in documents), f"{base}!/b.zip", base]
    assert sum(record.documents for record in records) == 3
    assert records[0].bytes == 3 and records[-1].bytes == Path(base).stat().st_size


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "tgz", "tbz2", "txz", "tzst"])
def test_tar_archives_are_read_in_every_compression(tmp_path, read, suffix):
    path, file = tmp_path / f"a.{suffix}", io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("one.txt", "sub/two.txt"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    pack = next((pack for end, pack in PACKERS.items() if end in suffix), bytes)
    path.write_bytes(pack(file.getvalue()))
    documents, records = read(tmp_path)
    assert [(d.source, d.text) for d in documents] == [(f"{path}!/{n}", n) for n in ("one.txt", "sub/two.txt")]
    assert records[-1].reader == "tar" and records[-1].path == str(path)


@pytest.mark.parametrize(("suffix", "pack"), PACKERS.items())
def test_a_compressed_file_is_that_file(tmp_path, read, suffix, pack):
    (tmp_path / f"rows.jsonl.{suffix}").write_bytes(pack(b'{"text": "one"}\n{"text": "two"}\n'))
    documents, (record,) = read(tmp_path)
    assert [(d.source, d.text) for d in documents] == [
        (f"{tmp_path}/rows.jsonl.{suffix}#1", "one"),
        (f"{tmp_path}/rows.jsonl.{suffix}#2", "two"),
    ]
    assert (record.reader, record.bytes) == ("jsonl", 32)


def test_names_that_lead_outside_links_and_devices_are_skipped(tmp_path, read):
    make_zip(tmp_path / "slip.zip", {"../../evil.txt": b"evil", "/abs.txt": b"abs", "ok.txt": b"ok"})
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("device", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    before = sorted(tmp_path.parent.rglob("*"))
    documents, records = read(tmp_path)
    assert [document.text for document in documents] == ["ok"]
    reasons = {Path(record.path).name: record.reason for record in records if record.status == "skipped"}
    assert set(reasons) == {"evil.txt", "abs.txt", "link", "device"}
    assert "outside" in reasons["evil.txt"] and "link" in reasons["link"]
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_zip_bomb_is_refused_and_its_neighbours_are_read(tmp_path, read):
    make_zip(tmp_path / "a.zip", {"bomb.txt": b"a" * (40 << 20), "ok.txt": b"fine"})
    documents, records = read(tmp_path)
    assert [document.text for document in documents] == ["fine"]
    assert records[0].status == "failed" and "times its size" in records[0].reason and records[0].seconds == 0


@pytest.mark.parametrize("suffix", ["gz", "xz", "zst"])
def test_a_bomb_stops_at_the_ratio(tmp_path, read, suffix):
    (tmp_path / f"a.txt.{suffix}").write_bytes(PACKERS[suffix](b"a" * (60 << 20)))
    _, (record,) = read(tmp_path)
    assert record.status == "failed" and "times its size" in record.reason
    assert record.characters < 40 << 20


def test_all_nested_archives_share_one_limit(tmp_path, read):
    members = {f"{n}.txt": os.urandom(500).hex().encode() for n in range(20)}
    make_zip(tmp_path / "a.zip", members)
    documents, records = read(tmp_path, limits=Limits(archive_bytes=5500))
    assert len(documents) == 5
    assert records[-1].status == "failed" and "unpacks to more" in records[-1].reason
    documents, records = read(tmp_path, limits=Limits(archive_members=7))
    assert len(documents) == 7 and "more than 7 members" in records[-1].reason


def test_nesting_deeper_than_three_is_skipped(tmp_path, read):
    data = b"bottom"
    for level in range(4):
        file = io.BytesIO()
        make_zip(file, {"n.zip" if level else "in.txt": data})
        data = file.getvalue()
    (tmp_path / "four.zip").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "four.zip") as outer:
        (tmp_path / "three.zip").write_bytes(outer.read("n.zip"))
    documents, records = read(tmp_path)
    assert [document.source for document in documents] == [f"{tmp_path}/three.zip!/n.zip!/n.zip!/in.txt"]
    assert records[0].status == "skipped" and "nested deeper" in records[0].reason


def test_a_word_document_is_no_archive(tmp_path, read):
    letter = docx.Document()
    letter.add_paragraph("Dear reader")
    file = io.BytesIO()
    letter.save(file)
    data, name = file.getvalue(), "letter.docx"
    for _ in range(3):
        outer = io.BytesIO()
        make_zip(outer, {name: data})
        data, name = outer.getvalue(), "n.zip"
    (tmp_path / "three.zip").write_bytes(data)
    (document,), (record, *_) = read(tmp_path)
    assert document.text == "Dear reader\n" and record.reader == "docx"


@pytest.mark.parametrize("suffix", PACKERS)
def test_truncated_data_keep_what_came_before(tmp_path, read, suffix):
    lines = b"".join(b'{"text": "line %d %s"}\n' % (n, os.urandom(20).hex().encode()) for n in range(25_000))
    (tmp_path / f"a.jsonl.{suffix}").write_bytes(PACKERS[suffix](lines)[:-2000])
    documents, (record,) = read(tmp_path)
    assert 10_000 < len(documents) < 25_000 and documents[0].text.startswith("line 0 ")
    assert record.status == "read" and "cut short" in record.reason


def test_encrypted_and_damaged_members_fail_alone(tmp_path, read):
    make_zip(tmp_path / "a.zip", {"bad.txt": b"some text " * 50, "ok.txt": b"ok"}, zipfile.ZIP_STORED)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1  # the flag of encryption in the directory
    (tmp_path / "a.zip").write_bytes(data)
    documents, records = read(tmp_path)
    assert [document.text for document in documents] == ["ok"]
    assert records[0].status == "failed" and "password" in records[0].reason


def test_folders_of_tools_inside_archives_take_one_record(tmp_path, read):
    make_zip(
        tmp_path / "a.zip",
        {".git/config": b"x", ".git/HEAD": b"x", "p/__pycache__/a.txt": b"x", "a.txt": b"a"},
    )
    documents, records = read(tmp_path)
    assert [document.text for document in documents] == ["a"]
    assert [r.path.partition("!/")[2] for r in records] == [".git", "p/__pycache__", "a.txt", ""]


def test_zstd_frames_of_every_kind_are_one_file(tmp_path, read):
    parameters = zstandard.ZstdCompressionParameters(window_log=31, compression_level=1)  # zstd --long=31
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    wide = packer.compress(b"wide ") + packer.flush()
    skipped = b"\x53\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    (tmp_path / "a.txt.zst").write_bytes(
        skipped + wide + skipped + zstandard.compress(b"") + zstandard.compress(b"end")
    )
    (document,), (record,) = read(tmp_path)
    assert document.text == "wide end" and (record.status, record.reason) == ("read", "")


def test_a_zstd_window_beyond_the_memory_is_refused(tmp_path, read):
    parameters = zstandard.ZstdCompressionParameters(window_log=31, compression_level=1)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "a.txt.zst").write_bytes(packer.compress(b"wide ") + packer.flush())
    (tmp_path / "b.txt").write_text("after")
    documents, records = read(tmp_path, limits=Limits(memory_bytes=1 << 30))
    assert [document.text for document in documents] == ["after"]
    assert records[0].status == "failed" and "memory" in records[0].reason


def test_zstd_in_zstd_ends(tmp_path, read):
    data = b"bottom"
    for _ in range(8):
        data = zstandard.compress(data)
    (tmp_path / "a.txt.zst").write_bytes(data)
    documents, (record,) = read(tmp_path)
    assert documents == [] and record.reason == "compressed too many times"


def test_text_that_is_only_named_zst_is_text(tmp_path, read):
    (tmp_path / "a.md.zst").write_text("# plain")
    (document,), (record,) = read(tmp_path)
    assert (document.text, record.media_type) == ("# plain", "text/markdown")
