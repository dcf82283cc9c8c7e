"""Rows 28, 32 and 33: PDFs, special files and texts that are not what they seem cost only themselves."""

import os
import random
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

import groundup
from groundup.events import Progress

GOOD = "The lighthouse above the bay was lit every evening, and ships passed at a distance.\n"
MB = 1 << 20


def write_pdf(path: Path, text: str, **settings) -> bytes:
    canvas = Canvas(str(path), **settings)
    canvas.drawString(72, 700, text)
    canvas.save()
    return path.read_bytes()


def leaf(number: int) -> str:
    return " ".join("abcdefghij"[int(digit)] * 4 + "er" for digit in f"{number:05d}")


def write_many_pages(path: Path, count: int) -> None:
    """A PDF of `count` pages, each with one line of its own."""
    kids = " ".join(f"{2 * n + 4} 0 R" for n in range(count))
    objects = ["<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Count {count}/Kids[{kids}]>>"]
    objects.append("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    for n in range(count):
        # words of its own: a line that is the same on every page but for a number is a running head
        line = f"BT /F 12 Tf 72 700 Td ({leaf(n)}) Tj ET"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F 3 0 R>>>>/Contents {2 * n + 5} 0 R>>"
        )
        objects.append(f"<</Length {len(line)}>>stream\n{line}\nendstream")
    with path.open("wb") as file:
        offsets = [file.write(b"%PDF-1.4\n") and 0]
        for number, body in enumerate(objects, 1):
            offsets.append(file.tell())
            file.write(f"{number} 0 obj\n{body}\nendobj\n".encode())
        table = file.tell()
        file.write(f"xref\n0 {len(offsets)}\n0000000000 65535 f \n".encode())
        file.write("".join(f"{offset:010d} 00000 n \n" for offset in offsets[1:]).encode())
        file.write(f"trailer<</Size {len(offsets)}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF".encode())


def test_row_28_truncated_encrypted_scanned_endless_and_recursive_pdf(tmp_path, prepare, rows, texts):
    folder = tmp_path / "docs"
    folder.mkdir()
    write_pdf(folder / "good.pdf", GOOD.strip())
    whole = write_pdf(folder / "cut.pdf", "This page will never be seen. " * 3)
    (folder / "cut.pdf").write_bytes(whole[: len(whole) // 2])
    write_pdf(folder / "locked.pdf", "A secret page.", encrypt=StandardEncryption("password"))
    scan = Image.new("L", (1275, 400), "white")
    ImageDraw.Draw(scan).text((60, 120), "A sheet from the scanner.", font=ImageFont.load_default(60), fill="black")
    scan.save(folder / "scan.pdf", resolution=150)
    write_many_pages(folder / "long.pdf", 10_000)
    loop = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    loop += b"2 0 obj<</Type/Pages/Count 1000000/Kids[2 0 R 2 0 R]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    (folder / "loop.pdf").write_bytes(loop)
    began = time.monotonic()
    corpus = prepare(folder)
    assert time.monotonic() - began < 60
    found = rows(corpus, folder)
    assert found["loop.pdf"]["seconds"] < 5
    print(
        {name: (row["status"], row["reason"], row["seconds"]) for name, row in found.items()}, time.monotonic() - began
    )
    assert {name: row["status"] for name, row in found.items()} == {
        "good.pdf": "read",
        "cut.pdf": "failed",
        "locked.pdf": "failed",
        "scan.pdf": "read",
        "long.pdf": "read",
        "loop.pdf": "failed",
    }
    assert "password" in found["locked.pdf"]["reason"]
    assert all(found[name]["reason"] for name in ("cut.pdf", "loop.pdf"))
    assert found["long.pdf"]["pages"] == 10_000 and found["scan.pdf"]["reader"].endswith("ocr")
    kept = "\n".join(texts(corpus))
    assert GOOD.strip() in kept and "sheet from the scanner" in kept and "secret" not in kept
    assert all(leaf(n) in kept for n in range(10_000))


def test_row_32_loops_pipes_sockets_devices_and_files_that_change_while_they_are_read(tmp_path, rows, texts):
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a-good.txt").write_text(GOOD)
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "circle").symlink_to(folder / "circle")
    os.mkfifo(folder / "pipe.txt")
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(folder)  # a socket's path may have a hundred characters
    listener.bind("socket.txt")
    os.chdir(here)
    devices = ["pipe.txt", "socket.txt"]
    try:
        os.mknod(folder / "device.txt", 0o020600, os.makedev(1, 5))  # /dev/zero, which never ends
        devices.append("device.txt")
    except PermissionError:
        pass
    write_many_pages(folder / "b-slow.pdf", 10_000)
    for name in ("vanishes", "becomes-a-pipe", "shrinks", "grows"):
        (folder / f"c-{name}.txt").write_text(f"{name} " * 100)
    stop = threading.Event()

    def grow() -> None:
        with (folder / "c-grows.txt").open("a") as file:
            while not stop.is_set():
                file.write("more and " * 1_000)
                file.flush()
                time.sleep(0.001)

    growing = threading.Thread(target=grow)

    def listen(event: object) -> None:
        # the files were found, and the reader is at the slow one
        if isinstance(event, Progress) and event.note.endswith("a-good.txt"):
            (folder / "c-vanishes.txt").unlink()
            (folder / "c-becomes-a-pipe.txt").unlink()
            os.mkfifo(folder / "c-becomes-a-pipe.txt")
            os.truncate(folder / "c-shrinks.txt", 0)
            growing.start()

    began = time.monotonic()
    corpus = groundup.prepare([folder], out=tmp_path / "corpus", listen=listen)
    stop.set()
    growing.join()
    listener.close()
    assert time.monotonic() - began < 30
    found = rows(corpus, folder)
    outcome = {name: (row["status"], row["reason"]) for name, row in found.items()}
    for name in devices:
        assert outcome[name][0] == "skipped" and "not a regular file" in outcome[name][1], name
    assert outcome["sub/loop"] == ("skipped", "a link to a folder")
    assert outcome["circle"] == ("skipped", "a loop of links")
    assert outcome["c-vanishes.txt"] == ("failed", "no such file or directory")
    assert outcome["c-becomes-a-pipe.txt"] == ("skipped", "not a regular file")
    assert outcome["c-shrinks.txt"] == ("skipped", "empty")
    assert outcome["c-grows.txt"][0] == "read" and outcome["a-good.txt"] == ("read", "")
    assert any(GOOD.strip() in text for text in texts(corpus))


def test_row_32_a_file_cut_short_in_the_middle_of_its_reading(tmp_path, rows, texts):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a-good.txt").write_text(GOOD)
    write_many_pages(folder / "b-cut.pdf", 10_000)
    (folder / "c-good.txt").write_text("Another file after it is read as if nothing had been.")

    def listen(event: object) -> None:
        if isinstance(event, Progress) and event.note.endswith("a-good.txt"):
            time.sleep(0.05)  # the reader is some way into the next, or about to open it
            os.truncate(folder / "b-cut.pdf", 100_000)

    corpus = groundup.prepare([folder], out=tmp_path / "corpus", listen=listen)
    found = rows(corpus, folder)
    assert [found[name]["status"] for name in ("a-good.txt", "c-good.txt")] == ["read", "read"]
    assert found["b-cut.pdf"]["pages"] < 10_000 or found["b-cut.pdf"]["status"] == "failed"
    assert found["b-cut.pdf"]["reason"]


PROSE = "Füße und “Zitate” – naïve café. The second line has no accents.\n"


def test_row_33_binary_files_encodings_nul_and_newlines(tmp_path, prepare, rows, texts):
    folder = tmp_path / "docs"
    folder.mkdir()
    draw = random.Random(0)
    (folder / "binary.txt").write_bytes(draw.randbytes(20_000))
    (folder / "program.txt").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + draw.randbytes(5_000))
    (folder / "zeros.txt").write_bytes(bytes(1 << 16))
    for number, (name, codec, mark) in enumerate(
        (
            ("utf-8", "utf-8", b""),
            ("utf-8-bom", "utf-8", b"\xef\xbb\xbf"),
            ("utf-16-bom", "utf-16-le", b"\xff\xfe"),
            ("utf-16-be-bom", "utf-16-be", b"\xfe\xff"),
            ("utf-16", "utf-16-le", b""),
            ("windows", "cp1252", b""),
        )
    ):
        lines = f"{PROSE}This is number {number} of its kind, and it goes on for a line or two.\n" * 3
        (folder / f"{name}.txt").write_bytes(mark + lines.replace("\n", "\r\n").encode(codec))
    (folder / "nul.txt").write_bytes(b"A line with no\0thing in it but\0words, of which there are a few.\n" * 3)
    (folder / "late-nul.txt").write_bytes(b"A line among many.\n" * 4_000 + b"The zero is \0late in it.\n")
    mixed = "Straße, zuerst in UTF-8 geschrieben.\n".encode() * 30 + "Straße in Latin-1.\n".encode("latin-1")
    (folder / "mixed.txt").write_bytes(mixed)
    (folder / "macintosh.txt").write_bytes(b"Old lines\rend with a return\ronly.\r" * 5)
    corpus = prepare(folder, data__dedup="exact", data__validation=0)
    found = rows(corpus, folder)
    outcome = {name: (row["status"], row["reason"]) for name, row in found.items()}
    for name in ("binary.txt", "program.txt", "zeros.txt", "nul.txt"):
        assert outcome[name] == ("skipped", "binary"), name
    kept = texts(corpus)
    for number in range(6):
        (text,) = [text for text in kept if f"This is number {number} " in text]
        assert text.startswith(PROSE), (number, text)
    assert not any("\r" in text or "\0" in text or "\ufeff" in text for text in kept)
    assert any("Straße, zuerst" in text and "Stra\ufffde in Latin-1" in text for text in kept)
    assert "could not be decoded" in outcome["mixed.txt"][1]
    assert any("Old lines\nend with a return\nonly." in text for text in kept)
    (late,) = [text for text in kept if "late in it" in text]
    assert late == "A line among many.\n" * 4_000 + "The zero is late in it.\n"


def long_line(path: Path, size: int) -> None:
    draw = np.random.default_rng(1)
    words = draw.integers(97, 123, (5_000, 8), np.uint8)
    words[:, 7] = 32
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(words[draw.integers(0, len(words), 200_000)].tobytes())


@pytest.mark.parametrize("size", [16 * MB, pytest.param(1024 * MB, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_row_33_a_line_of_a_gigabyte_takes_bounded_memory(tmp_path, weigh, size):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.txt").write_text(GOOD)
    long_line(folder / "line.txt", size)
    done, memory = weigh("prepare", folder, "--out", tmp_path / "corpus")
    assert done.returncode == 0, done.stderr
    corpus = groundup.prepare(out=tmp_path / "corpus")
    found = {Path(row["path"]).name: row for row in corpus.ledger()}
    assert found["good.txt"]["status"] == found["line.txt"]["status"] == "read"
    assert found["line.txt"]["documents"] >= size // 16_000_000
    assert corpus.manifest["train_bytes"] + corpus.manifest["validation_bytes"] > 0.99 * size
    assert memory < 600 * MB
