import gzip
import io
import mailbox
import random
import tarfile
import zipfile
from email.message import EmailMessage

import pytest

from groundup.documents import Limits
from groundup.documents.kinds import find_kind


def message(subject: str = "Tea at five", body: str = "Dear all,\n\ntea is at five.\n", **more: str) -> EmailMessage:
    mail = EmailMessage()
    mail["Message-ID"] = "<1@example.org>"
    for name, value in {"From": "Ann <ann@example.org>", "To": "all@example.org", "Subject": subject, **more}.items():
        mail[name] = value
    mail["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
    mail.set_content(body)
    return mail


HEADERS = "From: Ann <ann@example.org>\nDate: Sat, 21 Nov 2026 10:00:00 +0000\nTo: all@example.org\n"


def test_a_message_gives_its_headers_and_its_text(tmp_path, read):
    (tmp_path / "letter").write_bytes(message().as_bytes())
    (document,), (record,) = read(tmp_path)
    assert document.text == f"Subject: Tea at five\n{HEADERS}\nDear all,\n\ntea is at five.\n"
    assert (record.reader, record.media_type, record.reason) == ("eml", "message/rfc822", "")


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "koi8-r", "shift_jis"])
@pytest.mark.parametrize("transfer", ["base64", "quoted-printable", "8bit"])
def test_encodings_of_the_transfer_and_of_letters(tmp_path, read, charset, transfer):
    words = {"koi8-r": "Чай в пять часов", "shift_jis": "お茶は五時です"}.get(charset, "Käse und Brot für drei")
    mail = message(subject=f"Re: {words}")
    mail.set_content(f"{words}\n" * 3, charset=charset, cte=transfer)
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    (document,), _ = read(tmp_path)
    assert document.text == f"Subject: Re: {words}\n{HEADERS}\n" + f"{words}\n" * 3


def test_plain_text_is_preferred_and_html_is_read(tmp_path, read):
    mail = message(body="plain words")
    mail.add_alternative("<p>html words</p>", subtype="html")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    mail = message()
    mail.set_content("<html><body><p>Only <b>html</b> words</p><ul><li>an item</li></ul></body></html>", subtype="html")
    (tmp_path / "b.eml").write_bytes(mail.as_bytes())
    first, second = (document.text.partition("\n\n")[2] for document in read(tmp_path)[0])
    assert first == "plain words\n" and second == "Only html words\n\n  • an item\n"


def test_attachments_are_read_and_forwarded_mail_is_read(tmp_path, read):
    mail = message()
    mail.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="plan é.pdf")
    mail.add_attachment("not the body", filename="../notes.txt")
    mail.add_attachment(message(subject="Inner", body="inner words"))
    logo = {"maintype": "image", "subtype": "png", "filename": "logo.png", "disposition": "inline"}
    mail.add_attachment(b"\x89PNG", **logo)
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    (notes, document), (plan, noted, record) = read(tmp_path)
    assert document.text.endswith(f"tea is at five.\n\nSubject: Inner\n{HEADERS}\ninner words\n")
    assert (notes.text, notes.source) == ("not the body\n", f"{tmp_path}/a.eml!/.._notes.txt")
    assert (plan.path, plan.status) == (f"{tmp_path}/a.eml!/plan é.pdf", "failed")
    assert (noted.status, record.status) == ("read", "read")
    assert record.reason == "1 pictures inside of messages were not read"


def test_what_is_attached_to_the_messages_of_a_mailbox_is_read(tmp_path, read):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in.md", "# In a zip\n")
    box = mailbox.mbox(tmp_path / "box.mbox")
    for n in range(3):
        mail = message(subject=f"No. {n}")
        if n == 1:
            mail.add_attachment(packed.getvalue(), maintype="application", subtype="zip", filename="all.zip")
        box.add(mailbox.mboxMessage(mail))
    box.flush()
    documents, records = read(tmp_path / "box.mbox")
    assert documents[0].source == f"{tmp_path}/box.mbox!/2/all.zip!/in.md" and len(documents) == 4
    assert [record.path.rpartition("!/")[2] for record in records] == ["in.md", "2/all.zip", f"{tmp_path}/box.mbox"]


def test_messages_attached_in_each_other_end(tmp_path, read):
    inner = message(body="the innermost")
    for _ in range(12):
        outer = message()
        outer.add_attachment(inner.as_bytes(), maintype="application", subtype="octet-stream", filename="a.eml")
        inner = outer
    (tmp_path / "a.eml").write_bytes(inner.as_bytes())
    documents, records = read(tmp_path)
    # as with archives: what lies in the last one that is opened is read
    assert len(documents) == len(records) == Limits().archive_depth + 1
    assert "were not read" in records[0].reason


def tar_bomb() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("long.txt")
        info.size = 40 << 20
        archive.addfile(info, io.BytesIO(b"a" * info.size))
    return packed.getvalue()


NESTED = b"From: a\nMIME-Version: 1.0\n" + b"Content-Type: message/rfc822; name=a.eml\n\n" * 3000 + b"words"
START = b"From a@b Sat Nov 21 10:00:00 2026\n"


def with_file(content: bytes, name: str = "notes.txt") -> bytes:
    mail = message()
    mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes()


@pytest.mark.parametrize("what", ["bomb", "deep", "nested"])
def test_a_message_that_ends_the_reading_of_attachments_costs_no_other_message(tmp_path, read, what):
    middle = {"bomb": with_file(tar_bomb(), "all.tgz"), "deep": with_file(b"inner words"), "nested": NESTED}[what]
    messages = [message().as_bytes(), middle, with_file(b"the last words")]
    box = b"".join(START + data + b"\n\n" for data in messages)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("box.mbox", box)
        archive.writestr("next.txt", "The next member.\n")
        # the archive as a whole stays within its limit, which the bomb alone breaks
        archive.writestr("noise.bin", random.Random(0).randbytes(1 << 20))
    documents, records = read(tmp_path, limits=Limits(archive_depth=1 if what == "deep" else 4))
    named = {record.path.rpartition("!/")[2]: record for record in records}
    assert named["next.txt"].status == named["box.mbox"].status == "read"
    assert named["box.mbox"].documents == (2 if what == "nested" else 3)
    assert [doc.text for doc in documents if "!/3/" in doc.source] == (["the last words"] if what == "nested" else [])
    reason = {"bomb": "times its size", "deep": "nested deeper than 1", "nested": "1 messages could not be parsed"}
    assert reason[what] in named["box.mbox"].reason


def test_a_packed_mailbox_that_is_a_bomb_has_its_record(tmp_path, read):
    start = START + message().as_bytes() + b"\n"
    (tmp_path / "box.mbox.gz").write_bytes(gzip.compress(start + b"a" * (60 << 20)))
    _, (record,) = read(tmp_path)
    assert record.status == "failed" and "times its size" in record.reason


def test_text_with_a_name_is_read_once(tmp_path, read):
    mail = message()
    mail.add_attachment("shown below the text", filename="below.txt", disposition="inline")
    mail.add_attachment("a file", filename="file.txt")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    documents, _ = read(tmp_path)
    assert [document.source for document in documents] == [f"{tmp_path}/a.eml!/file.txt", f"{tmp_path}/a.eml"]
    assert "shown below the text" in documents[1].text


def test_quoted_lines_are_restored_in_what_is_attached(tmp_path, read):
    mail = message()
    mail.add_attachment("From here on\nwords\n", filename="notes.txt", cte="7bit")
    data = mail.as_bytes().replace(b"\nFrom here", b"\n>From here")
    (tmp_path / "box").write_bytes(START + data + b"\n")
    documents, _ = read(tmp_path)
    assert documents[0].text == "From here on\nwords\n"


def test_what_is_left_out_of_messages_is_counted(tmp_path, read):
    mail = message()
    picture = {"maintype": "image", "subtype": "png", "disposition": "inline"}
    for name in ("a.png", "b.png", None):
        mail.add_attachment(b"\x89PNG", filename=name, **picture)
    for n in range(1000):
        mail.add_attachment(f"No. {n}", filename=f"{n}.txt")
    cut = with_file(b"word " * 60_000)
    (tmp_path / "box").write_bytes(START + mail.as_bytes() + b"\n\n" + START + cut + b"\n")
    documents, records = read(tmp_path, limits=Limits(piece_bytes=300_000))
    assert len(documents) == 995 + 2 and len(records) == 996
    assert records[-1].reason.split("; ")[:3] == [
        "3 pictures inside of messages were not read",
        "5 parts of messages beyond the first 1,000 were not read",
        "1 messages were cut: what is attached to them was not read",
    ]


def test_a_mailbox_is_read_message_by_message(tmp_path, read):
    box = mailbox.mbox(tmp_path / "box.mbox")
    for n in range(20):
        box.add(mailbox.mboxMessage(message(subject=f"No. {n}", body=f"From here on, {n}.\n\nFrom: no header\n")))
    box.flush()
    assert b"\n>From here" in (tmp_path / "box.mbox").read_bytes()
    documents, (record,) = read(tmp_path / "box.mbox")
    assert [document.text for document in documents] == [
        f"Subject: No. {n}\n{HEADERS}\nFrom here on, {n}.\n\nFrom: no header\n" for n in range(20)
    ]
    assert documents[11].source == f"{tmp_path}/box.mbox#12"
    assert (record.reader, record.media_type) == ("mbox", "application/mbox")


def test_lines_that_only_begin_with_from_do_not_part_a_message(tmp_path, read):
    body = "\nFrom the start\n\nFrom 10:30 on we walk, in 2024\n\nwords\n"
    start = b"From a@b Sat Nov 21 10:00:00 2026\n"
    (tmp_path / "box").write_bytes((start + b"Subject: s\nFrom: a@b\n" + body.encode() + b"\n") * 2)
    documents, _ = read(tmp_path)
    assert [document.text for document in documents] == ["Subject: s\nFrom: a@b\n" + body] * 2


def test_a_huge_message_is_cut_and_the_others_are_whole(tmp_path, read):
    start = b"From a@b Sat Nov 21 10:00:00 2026\nFrom: a@b\n\n"
    (tmp_path / "box").write_bytes(start + b"one\n\n" + start + b"two\n" * 100_000 + b"\n" + start + b"three\n")
    documents, (record,) = read(tmp_path, limits=Limits(piece_bytes=10_000))
    assert [document.text[11:14] for document in documents] == ["one", "two", "thr"]
    assert len(documents[1].text) < 11_000 and record.reason == "1 of 3 messages were cut at 10 kB"


def test_a_saved_web_page_gives_its_article(tmp_path, read):
    mail = message(**{"Snapshot-Content-Location": "https://example.org/"})
    mail.set_content(
        "<body><nav>Menu</nav><main><h1>Title</h1><p>Words.</p></main></body>", subtype="html", cte="base64"
    )
    mail.make_related()
    mail.add_related(b"GIF89a", maintype="image", subtype="gif")
    (tmp_path / "page.mhtml").write_bytes(mail.as_bytes())
    (document,), (record,) = read(tmp_path)
    assert document.text.endswith("\n\nTitle\n\nWords.\n") and "Menu" not in document.text and record.reason == ""


HOSTILE = [
    b"From: =?utf-8?b?////?= <>\nMessage-ID: <\nSubject: =?x?q?=\nDate: 99 99\nTo: ,,;<@\n\nwords",
    b"From: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nno end",
    b"From: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed\n\nno boundary",
    b"From: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset=\xff\n\nwords",
    b"From: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset=idna\nContent-Transfer-Encoding: base64\n\n!!!",
    b"From: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-16\n\nodd",
    b"From: a\nMIME-Version: 1.0\nContent-Transfer-Encoding: x-uuencode\n\nbegin 666 a\n\xff\xff\nend",
    b"From: [a]\nTo: a@[\nMIME-Version: 1.0\nContent-Disposition: attachment; filename*0*=x''%ff; filename*=\n\nwords",
    b"From: a\nMIME-Version: 1.0\n" + b"Content-Type: message/rfc822\n\n" * 3000 + b"words",
    b"From: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 50_000,
]


def test_damaged_messages_never_end_the_reader(tmp_path, read):
    chance = random.Random(0)
    good = message().as_bytes() + b"--b\n\nContent-Type: multipart/mixed; boundary=b\n"
    for _ in range(60):
        data = bytearray(good)
        for _ in range(10):
            data[chance.randrange(len(data))] = chance.randrange(256)
        HOSTILE.append(b"From: a\n" + bytes(data))
    for n, data in enumerate(HOSTILE):
        (tmp_path / f"{n:02}.eml").write_bytes(data)
    box = b"".join(b"From a Sat Nov 21 10:00:00 2026\n" + data + b"\n\n" for data in HOSTILE)
    (tmp_path / "all.mbox").write_bytes(box)
    documents, records = read(tmp_path)
    assert [record.reason for record in records if record.status == "failed"] == [
        "nested too deeply",
        "it has too many parts",
    ]
    assert records[-1].reader == "mbox" and 40 < records[-1].documents < 70
    assert documents[0].text.endswith("words\n")


@pytest.mark.parametrize(
    "text",
    [
        b"From the author of this book\nwords follow: many\n",
        b"From: the author\nTo: the reader\n\nA letter that somebody typed.\n",
        b"Subject: none\n\nwords",
        b"From a distance Sat Nov 21 10:00:00 2026\nthe mountains are blue\n",
        b"Message-ID: is a header\nand this is a line of prose\nFrom: x\n\n",
    ],
)
def test_plain_text_is_no_mail(text):
    assert find_kind(text, "a.txt").reader == "text"


def test_a_patch_is_code():
    head = b"From 0123456789abcdef Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nSubject: [PATCH] x\nMIME-Version: 1.0\n\n"
    assert find_kind(head, "1.patch").reader == "code"
