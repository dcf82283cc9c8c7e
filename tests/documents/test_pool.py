import subprocess
import tarfile
import zipfile
from email.message import EmailMessage

import pytest

from groundup.documents import Document, FileRecord, read_documents

_DEADLY = """
import os
from groundup.documents.readers import mail, text

def deadly(read):
    def count_and_read(*arguments):
        source = arguments[-1].source
        with open({log!r}, "a") as log:
            log.write(source.rpartition("!/")[2] + "\\n")
        if "killer" in source:
            os._exit(9)
        return read(*arguments)
    return count_and_read

mail.attachments, text.read_text = deadly(mail.attachments), deadly(text.read_text)
"""


def letter(name: str) -> bytes:
    message = EmailMessage()
    message["Message-ID"], message["From"], message["To"], message["Subject"] = "<1@b.c>", "a@b.c", "d@b.c", "Tea"
    message.set_content("Tea is at five.\n")
    message.add_attachment(f"The plan of {name}.\n", filename=f"{name}.txt")
    return message.as_bytes()


@pytest.fixture
def deadly(tmp_path, monkeypatch):
    """Lets a reader process die of what is called "killer"; gives the parts that were read, each time they were."""
    log = tmp_path / "log"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_DEADLY.format(log=str(log)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return lambda: log.read_text().split()


def test_what_kills_the_reader_inside_an_archive_is_read_once_and_so_is_what_is_done(tmp_path, deadly):
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as inner:
        inner.writestr("2.eml", letter("2"))
        inner.writestr("killer.eml", letter("never"))
        inner.writestr("3.eml", letter("killer"))
        inner.writestr("4.eml", letter("4"))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("1.eml", letter("1"))
        archive.write(tmp_path / "inner.zip", "inner.zip")
        archive.writestr("5.txt", "The last member.\n")
    items = list(read_documents([tmp_path / "all.zip"], workers=1))
    records = [item for item in items if isinstance(item, FileRecord)]
    assert [(record.path.rpartition("!/")[2], record.status) for record in records] == [
        ("1.txt", "read"),
        ("1.eml", "read"),
        ("2.txt", "read"),
        ("2.eml", "read"),
        ("killer.eml", "failed"),
        ("killer.txt", "failed"),
        ("3.eml", "read"),
        ("4.txt", "read"),
        ("4.eml", "read"),
        ("inner.zip", "read"),
        ("5.txt", "read"),
        (str(tmp_path / "all.zip"), "read"),
    ]
    assert sum(isinstance(item, Document) for item in items) == 8
    # The message around the attachment that kills is the one thing that is taken apart again.
    wanted = [
        "1.eml",
        "1.txt",
        "2.eml",
        "2.txt",
        "killer.eml",
        "3.eml",
        "killer.txt",
        "3.eml",
        "4.eml",
        "4.txt",
        "5.txt",
    ]
    assert deadly() == wanted


def test_what_kills_the_reader_in_a_tar_archive_is_read_once(tmp_path, deadly):
    names = ["1.txt", "killer.txt", "2.txt", "killer.eml", "3.txt"]
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        for name in names:
            (tmp_path / name).write_bytes(letter(name) if name.endswith("eml") else f"This is {name}.\n".encode())
            archive.add(tmp_path / name, name)
    items = list(read_documents([tmp_path / "all.tar.gz"], workers=1))
    records = [item for item in items if isinstance(item, FileRecord)]
    assert [record.status for record in records] == ["read", "failed", "read", "failed", "read", "read"]
    assert {record.reason for record in records} == {"", "the reader process died (exit code 9)"}
    assert deadly() == names


def test_a_signal_for_the_parents_group_that_strikes_a_starting_reader_costs_nothing(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("Tea is at five.\n")
    started = []

    def start(*arguments, **named):
        process = popen(*arguments, **named)
        if not started:
            process.terminate()
        started.append(process)
        return process

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    items = list(read_documents([tmp_path], workers=1))
    assert len(started) == 2
    assert [item.text for item in items if isinstance(item, Document)] == ["Tea is at five.\n"]


def test_a_reader_that_never_starts_is_an_error_and_not_an_endless_try(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("Tea is at five.\n")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with pytest.raises(RuntimeError, match=r"did not start \(signal 9\)"):
        list(read_documents([tmp_path / "a.txt"], workers=1))
