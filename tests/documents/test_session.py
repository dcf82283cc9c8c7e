import signal
import zipfile
from dataclasses import asdict
from email.message import EmailMessage

import pytest

from groundup.documents.document import Limits, Options
from groundup.documents.readers import mail
from groundup.documents.session import Session


@pytest.fixture(autouse=True)
def no_timer():
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)  # a session asks the kernel to end its process


@pytest.mark.parametrize("error", [MemoryError(), KeyError("x")])
def test_an_error_while_attachments_are_read_costs_only_them(tmp_path, monkeypatch, error):
    letter = EmailMessage()
    letter["Message-ID"], letter["From"], letter["To"], letter["Subject"] = "<1@b.c>", "a@b.c", "d@b.c", "Tea"
    letter.set_content("Tea is at five.\n")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.eml", letter.as_bytes())
        archive.writestr("b.txt", "The next member.\n")

    def fail(kind, reading):
        yield "first.txt", b"The first file.\n"
        raise error

    monkeypatch.setattr(mail, "attachments", fail)
    source = str(tmp_path / "all.zip")
    request = {"source": source, "path": source, "server": None, "piece": None, "all_text": False}
    request |= {"passed": [], "unpacked": 0}
    frames: list[dict] = []
    session = Session(request | {"options": asdict(Options())}, Limits(), lambda header, blob: frames.append(header))
    session.run()
    records = [frame["record"] for frame in frames if "record" in frame]
    assert [(record[0].rpartition("!/")[2], record[6]) for record in records] == [
        ("first.txt", "read"),
        ("a.eml", "read"),
        ("b.txt", "read"),
        (source, "read"),
    ]
    assert "what is attached was not read: " in records[1][7]
    assert frames[-1]["spent"] == isinstance(error, MemoryError)
    # Until a message has its record it is the message that is read, when none of its files is.
    started = [frame["start"]["source"].rpartition("!/")[2] for frame in frames if "start" in frame]
    assert started == [source, "a.eml", "first.txt", "a.eml", "b.txt"]


def test_what_was_unpacked_before_a_death_counts_towards_the_limit(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in "abc":
            archive.writestr(f"{name}.txt", name * 3000)
    frames: list[dict] = []
    request = {"source": "all.zip", "path": str(tmp_path / "all.zip"), "server": None, "piece": None}
    request |= {"options": {}, "passed": [1], "unpacked": 3000, "all_text": False}
    Session(request, Limits(archive_bytes=8000), lambda header, blob: frames.append(header)).run()
    records = [frame["record"] for frame in frames if "record" in frame]
    assert [(record[0], record[6]) for record in records] == [("all.zip!/b.txt", "read"), ("all.zip", "failed")]
    assert "unpacks to more than" in records[-1][7]
